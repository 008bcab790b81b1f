"""A world whose best mixture is known: the sum over domains of power laws of their tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mixopt.mixture import Mixture
from mixopt.search.base import History, Proposal
from mixopt.solve import Bounds, PowerSum, solve_simplex


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
            seen.append(
                proposal.mixture.counts(total // 16) * 16.0 if batch > 1 else proposal.mixture.array * total
            )
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
