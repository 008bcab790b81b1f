"""A world that the log-linear law is true of, so that its best mixture is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from mixopt.history import History
from mixopt.mixture import Mixture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixopt.methods.base import Proposal


@dataclass(frozen=True)
class MixingWorld:
    """loss_v = floor_v + exp(½ + Σ_k slope_vk w_k) + seed_shift · seed + noise, in nats."""

    domains: tuple[str, ...] = ("code", "web", "books", "law")
    tokens: int = 1_000_000
    noise: float = 0.0
    seed_shift: float = 0.0

    @property
    def slopes(self) -> np.ndarray:
        own = np.linspace(2.6, 1.2, len(self.domains))
        return -np.diag(own) - 0.15 * np.random.default_rng(5).random((len(own), len(own)))

    def losses(self, weights: np.ndarray) -> np.ndarray:
        return np.linspace(1.0, 1.6, len(self.domains)) + np.exp(0.5 + weights @ self.slopes.T)

    def train(self, proposals: Sequence[Proposal]) -> History:
        return self.runs(
            np.array([proposal.mixture.weights for proposal in proposals]),
            [f"{proposal.role} seed {proposal.seed}" for proposal in proposals],
            [proposal.seed for proposal in proposals],
        )

    def runs(self, weights: np.ndarray, names: Sequence[str], seeds: Sequence[int]) -> History:
        losses = self.losses(weights) + self.seed_shift * np.array(seeds)[:, None]
        # By what the runs are, whoever asked for some before.
        rng = np.random.default_rng([0, *(crc32(name.encode()) for name in names)])
        losses = losses + self.noise * rng.standard_normal((len(weights), 1))
        return History(
            runs=tuple(names),
            domains=self.domains,
            eval_domains=self.domains,
            tokens_seen=weights * self.tokens,
            losses=losses,
            seeds=np.array(seeds, dtype=np.int64),
            parameters=np.zeros(len(weights), dtype=np.int64),
        )

    def drawn(self, count: int, seed: int = 3) -> History:
        weights = np.random.default_rng(seed).dirichlet(np.ones(len(self.domains)), count)
        return self.runs(weights, [f"run {row}" for row in range(count)], [0] * count)

    @property
    def natural(self) -> Mixture:
        return Mixture.normalised({name: 0.5**row for row, name in enumerate(self.domains)})
