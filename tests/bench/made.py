"""Small tables whose every loss is a different number, and methods to replay on them."""

from __future__ import annotations

import numpy as np

from mixopt.bench.base import Fidelity, Problem, Purchase, Table, View

DOMAINS = ("a", "b", "c")
OBJECTIVE = np.array([0.5, 0.5])


def made_table(mixtures: int = 12, *, seed: int = 0, curves: bool = False, fidelities: int = 3) -> Table:
    """Random losses: nothing can be learned, so that whatever is known was read."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(len(DOMAINS)), mixtures)
    scales = [Fidelity("small x 1k", 10, 1000, 0.1), Fidelity("small x 5k", 10, 5000, 0.5)][: fidelities - 1]
    return Table(
        name="made",
        domains=DOMAINS,
        eval_domains=("x", "y"),
        mixtures=weights / weights.sum(axis=1, keepdims=True),
        fidelities=(*scales, Fidelity("large x 1k", 100, 1000, 1.0)),
        losses=rng.uniform(1, 5, (fidelities, mixtures, 2)),
        curves=curves,
    )


def made_problem(table: Table) -> Problem:
    return table.problem(OBJECTIVE)


class Scripted:
    """Buys what it was told to; recommends the incumbent, else the first candidate."""

    def __init__(self, *purchases: tuple[int, int]) -> None:
        self._purchases = [Purchase(*purchase) for purchase in purchases]

    def next(self, view: View) -> Purchase | None:
        done = len(view.purchases)
        return self._purchases[done] if done < len(self._purchases) else None

    def recommend(self, view: View) -> int:
        best = view.incumbent()
        return int(view.problem.candidates[0]) if best is None else best
