"""One replay: a method buys runs until the budget is spent; the judge scores it afterwards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from mixopt.bench.base import UnpaidError
from mixopt.bench.ledger import Ledger
from mixopt.bench.score import Truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixopt.bench.base import Method, Table, View

# Regret is reported at these costs, in target runs; a replay goes on to the last of them at least.
COSTS = (1.0, 2.0, 5.0, 10.0)


@runtime_checkable
class Predicts(Protocol):
    """A method that orders the candidates by a prediction, which can be held against the truth."""

    def predict(self, view: View) -> NDArray[np.float64] | None:
        """(candidates,) predicted objective of each; None before the method has runs to fit."""
        ...


@dataclass(frozen=True, eq=False)
class Replay:
    """What a method did with one seed.

    Attributes:
        seed: of the replay.
        spent: (n,) cost after each purchase, in target runs.
        mixture: (n,) rows bought.
        fidelity: (n,) at which scale.
        recommended: (n,) rows recommended after each purchase.
        regret: (n,) of those, in the objective's units.
        reached: what was spent when a mixture of the true top had been measured at the target, that run included,
            so that the best mixture measured is one of the top; NaN if the budget or the method ended before.
        rank_correlation: Spearman's, of the method's prediction when it first buys a target run; NaN without one.
    """

    seed: int
    spent: NDArray[np.float64]
    mixture: NDArray[np.intp]
    fidelity: NDArray[np.intp]
    recommended: NDArray[np.intp]
    regret: NDArray[np.float64]
    reached: float
    rank_correlation: float

    def regret_at(self, cost: float) -> float:
        """Regret of the last recommendation that cost at most `cost`; NaN before the first."""
        done = int(np.searchsorted(self.spent, cost * (1 + 1e-9), side="right"))
        return float(self.regret[done - 1]) if done else math.nan


def replay(
    method: Method,
    table: Table,
    objective: NDArray[np.float64],
    *,
    seed: int,
    top: int,
    budget: float | None = None,
    least: float = COSTS[-1],
) -> Replay:
    """Run a method against a table.

    Args:
        method: a new one, of the table's problem.
        table: the runs.
        objective: (V,) weights of the objective.
        seed: all that is random follows from it.
        top: how many of the best candidates count as the top.
        budget: most to spend, in target runs; None to go on until the top is reached and `least` is spent.
        least: in target runs; 0 where only the cost to reach the top is asked for.

    Raises:
        ConfigError: a budget below one target run, an objective that does not vary, or too few runs for a fit.
        UnpaidError: the method read or bought what it may not.
    """
    truth = Truth.of(table, objective)
    best = truth.top(top)
    everything = float(np.array([f.cost for f in table.fidelities]) @ table.available.sum(axis=1))
    ledger = Ledger(table, objective, seed, everything if budget is None else budget)
    target, reached, correlation = len(table.fidelities) - 1, math.nan, math.nan
    spent: list[float] = []
    bought: list[tuple[int, int]] = []
    recommended: list[int] = []
    view = ledger.view()
    while not (budget is None and ledger.spent >= least and not math.isnan(reached)):
        purchase = method.next(view)
        if purchase is None or not ledger.affords(purchase):
            break
        if purchase.fidelity == target and math.isnan(correlation) and isinstance(method, Predicts):
            correlation = _rank_correlation(method.predict(view), truth.values)
        ledger.buy(purchase.mixture, purchase.fidelity)
        view = ledger.view()
        spent.append(ledger.spent)
        bought.append((purchase.mixture, purchase.fidelity))
        recommended.append(_candidate(method.recommend(view), view))
        if math.isnan(reached) and purchase.fidelity == target and purchase.mixture in best:
            reached = ledger.spent
    rows = np.array(bought, dtype=np.intp).reshape(-1, 2)
    return Replay(
        seed=seed,
        spent=np.array(spent),
        mixture=rows[:, 0],
        fidelity=rows[:, 1],
        recommended=np.array(recommended, dtype=np.intp),
        regret=np.array([truth.regret(row) for row in recommended]),
        reached=reached,
        rank_correlation=correlation,
    )


def _candidate(row: int, view: View) -> int:
    if row not in view.problem.candidates:
        raise UnpaidError(f"mixture {row} was recommended, which cannot be run at the target")
    return int(row)


def _rank_correlation(predicted: NDArray[np.float64] | None, truth: NDArray[np.float64]) -> float:
    """Spearman's; NaN where there is no prediction or it does not vary."""
    from scipy.stats import rankdata

    if predicted is None or np.ptp(predicted) == 0:
        return math.nan
    return float(np.corrcoef(rankdata(predicted), rankdata(truth))[0, 1])
