"""Small tables whose every loss is a different number, and searchers to replay on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixopt.bench.base import Fidelity, Table
from mixopt.bench.executor import place_of
from mixopt.bench.replay import Replay, replay
from mixopt.bench.score import Truth
from mixopt.methods.base import Proposal, Recommendation, Role
from mixopt.mixture import Mixture

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.methods.base import Searcher

DOMAINS = ("a", "b", "c")
OBJECTIVE = np.array([0.5, 0.5])


def made_table(mixtures: int = 12, *, seed: int = 0, curves: bool = False, fidelities: int = 3) -> Table:
    """Random losses: nothing can be learned, so that whatever is known was read."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(len(DOMAINS)), mixtures)
    scales = [
        Fidelity("small x 10k", 10, 10_000, 0.1),
        Fidelity("small x 50k", 10, 50_000, 0.5),
        Fidelity("large x 50k", 100, 50_000, 1.0),
    ]
    return Table(
        name="made",
        domains=DOMAINS,
        eval_domains=("x", "y"),
        mixtures=weights / weights.sum(axis=1, keepdims=True),
        fidelities=tuple(scales[3 - fidelities :] if fidelities < 3 else scales),
        losses=rng.uniform(1, 5, (fidelities, mixtures, 2)),
        curves=curves,
    )


def lawful_table(mixtures: int = 40) -> Table:
    """Losses that the log-linear law is true of, at two scales that rank alike."""
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.ones(len(DOMAINS)), mixtures)
    slopes = np.array([[-1.5, -0.2, 0.1], [0.2, -0.4, -1.1]])
    losses = np.exp(weights @ slopes.T)
    return Table(
        name="lawful",
        domains=DOMAINS,
        eval_domains=("x", "y"),
        mixtures=weights / weights.sum(axis=1, keepdims=True),
        fidelities=(Fidelity("small", 10, 10_000, 0.1), Fidelity("large", 100, 10_000, 1.0)),
        losses=np.stack([losses + 1 + 0.003 * rng.standard_normal(losses.shape), losses]),
    )


class Scripted:
    """Asks for runs as it was told to, one at a time; recommends the best measured at the target, else row 0."""

    def __init__(self, table: Table, *script: tuple[int, int]) -> None:
        self.table, self._script = table, script

    def proposal(self, row: int, fidelity: int) -> Proposal:
        weights = dict(zip(self.table.domains, self.table.mixtures[row].tolist(), strict=True))
        model, tokens = place_of(self.table.fidelities[fidelity])
        return Proposal(Mixture.normalised(weights), tokens, 0, Role("mixture"), model=model)

    def ask(self, history: History) -> list[Proposal]:
        return [self.proposal(*run) for run in self._script[len(history) : len(history) + 1]]

    def recommend(self, history: History) -> Recommendation:
        at_target = np.flatnonzero(history.parameters == self.table.fidelities[-1].parameters)
        weights = self.table.mixtures[0]
        if at_target.size:
            values = history.losses[at_target] @ OBJECTIVE
            weights = history.weights[at_target[values.argmin()]]
        mixture = Mixture.normalised(dict(zip(self.table.domains, weights.tolist(), strict=True)))
        return Recommendation(method="script", objective="mean", tokens=1, mixture=mixture, intervals={}, predicted={})


def replayed(searcher: Searcher, table: Table, *, top: int = 1, **options: object) -> Replay:
    """A replay with the mean of both losses as its objective."""
    return replay(searcher, table, Truth.of(table, OBJECTIVE), seed=0, top=top, **options)  # pyright: ignore
