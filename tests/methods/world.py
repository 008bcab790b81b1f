"""A world whose best mixture is known: the sum over domains of power laws of their tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mixopt.history import History
from mixopt.mixture import Mixture
from mixopt.solve import Bounds, PowerSum, solve_simplex

if TYPE_CHECKING:
    from mixopt.methods.base import Proposal


@dataclass(frozen=True)
class World:
    """loss_v = level + offset_v + Σ_j (a_j + n_j / unit)^(−b_j): the mean loss is additive, as DDO assumes.

    `noise` is relative and per run; `seed_shift` is added to every loss of seed 1, twice to those of seed 2, …
    """

    domains: tuple[str, ...] = ("code", "web", "books", "law")
    a: tuple[float, ...] = (1.0, 0.6, 2.0, 0.8)
    b: tuple[float, ...] = (1.2, 1.6, 1.0, 0.4)
    tokens: int = 1_000_000
    noise: float = 0.0
    level: float = 2.0
    seed_shift: float = 0.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0), compare=False)

    @property
    def unit(self) -> float:
        return self.tokens / len(self.domains)

    def mean_loss(self, tokens: np.ndarray) -> np.ndarray:
        return self.level + ((tokens / self.unit + self.a) ** -np.array(self.b)).sum(axis=-1)

    def train(self, proposals: list[Proposal], batch: int = 1) -> History:
        """The runs asked for, with tokens in whole batches of `batch`, each domain's in whole units of 16."""
        seen = []
        for proposal in proposals:
            total = max(1, round(proposal.tokens / batch)) * batch
            seen.append(proposal.mixture.counts(total // 16) * 16.0 if batch > 1 else proposal.mixture.array * total)
        tokens = np.array(seen)
        spread = np.linspace(-0.4, 0.4, len(self.domains))
        losses = self.mean_loss(tokens)[:, None] + spread
        losses = losses * (1 + self.noise * self.rng.standard_normal((len(tokens), 1)))
        seeds = np.array([proposal.seed for proposal in proposals])
        losses = losses + self.seed_shift * seeds[:, None]
        return History(
            runs=tuple(f"{p.role} seed {p.seed}" for p in proposals),
            domains=self.domains,
            eval_domains=self.domains,
            tokens_seen=tokens,
            losses=losses,
            seeds=seeds,
            parameters=np.zeros(len(tokens), dtype=np.int64),
        )

    def best(self) -> Mixture:
        size = len(self.domains)
        law = PowerSum(np.ones(size), np.array(self.a), np.full(size, float(size)), np.array(self.b))
        return Mixture(self.domains, tuple(solve_simplex(law, Bounds.free(self.domains)).weights.tolist()))

    @property
    def uniform(self) -> Mixture:
        return Mixture.uniform(self.domains)


@dataclass(frozen=True)
class TransferWorld:
    """loss_v = floor_v + amplitude_v (Σ_k transfer_vk n_k / unit)^−exponent_v: what the law by domain assumes.

    The last `only` evaluation domains are not trained on. `noise` is in nats, per run and domain; `seed_shift` is
    added to every loss of seed 1, twice to those of seed 2, …
    """

    noise: float = 0.0
    seed_shift: float = 0.0
    only: int = 0
    floor: tuple[float, ...] = (1.5, 2.0, 1.0, 1.8)
    amplitude: tuple[float, ...] = (1.2, 2.0, 0.7, 1.5)
    exponent: tuple[float, ...] = (0.3, 0.5, 0.25, 0.4)
    transfer: tuple[tuple[float, ...], ...] = ((1.0, 0.3, 0.05), (0.1, 1.0, 0.05), (0.02, 0.04, 1.0), (0.5, 1.0, 0.3))
    domains: tuple[str, ...] = ("code", "docs", "maths")
    tokens: int = 900_000
    unit: float = 300_000.0

    @property
    def eval_domains(self) -> tuple[str, ...]:
        return (*self.domains, "news")[: 3 + self.only]

    def losses(self, tokens: np.ndarray) -> np.ndarray:
        amount = (tokens / self.unit) @ np.array(self.transfer).T
        everything = np.array(self.floor) + np.array(self.amplitude) * amount ** -np.array(self.exponent)
        return everything[..., : 3 + self.only]

    def train(self, tokens: np.ndarray, seeds: tuple[int, ...] = (0,)) -> History:
        """A run of each of (R, 3) tokens and each seed."""
        amounts = np.repeat(tokens, len(seeds), axis=0)
        seed = np.tile(np.array(seeds), len(tokens))
        rng = np.random.default_rng(7)
        losses = self.losses(amounts) + self.noise * rng.standard_normal((len(amounts), 3 + self.only))
        return History(
            runs=tuple(f"run {i}" for i in range(len(amounts))),
            domains=self.domains,
            eval_domains=self.eval_domains,
            tokens_seen=amounts,
            losses=losses + self.seed_shift * seed[:, None],
            seeds=seed,
            parameters=np.zeros(len(amounts), dtype=np.int64),
        )

    def design(self, *totals: float) -> np.ndarray:
        """(7 a scale, 3) tokens of DDO's runs about the uniform mixture."""
        rows = []
        for total in totals or (float(self.tokens),):
            base = np.full(3, total / 3)
            rows.append(base)
            changes = [np.where(np.arange(3) == domain, x, 1.0) for domain in range(3) for x in (3.0, 1 / 3)]
            rows += [change * base for change in changes]
        return np.array(rows)
