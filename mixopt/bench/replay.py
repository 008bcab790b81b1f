"""One replay: a searcher asks for runs of a table until the budget is spent; what it recommends is scored."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from mixopt.arrays import Floats, Indices
from mixopt.bench.executor import Ledger, TableExecutor, TableRun, TableRuns
from mixopt.errors import ConfigError
from mixopt.methods.base import search_loop
from mixopt.methods.swarm.law_choice import spearman

if TYPE_CHECKING:
    from mixopt.bench.base import Table
    from mixopt.bench.score import Truth
    from mixopt.history import History
    from mixopt.methods.base import Proposal, Recommendation, Searcher
    from mixopt.result import RunResult


# Regret is reported at these costs, in target runs; a replay goes on to the last of them at least.
COSTS = (1.0, 2.0, 5.0, 10.0)
# What the searcher would recommend is asked for at these costs; it changes nothing, but takes time.
CHECKS = np.union1d(COSTS, np.geomspace(0.05, COSTS[-1], 25))


@runtime_checkable
class Predicts(Protocol):
    """A searcher that predicts any mixture's objective at the target, which can be held against the truth."""

    def predict(self, history: History, weights: Floats) -> Floats:
        """(P,) predicted objective of mixtures (P, K).

        Raises:
            ConfigError: the history supports no prediction.
        """
        ...


@dataclass(frozen=True, eq=False)
class Replay:
    """What a searcher did with one seed."""

    seed: int  # of the replay
    spent: Floats  # (n,) cost after each purchase, in target runs
    mixture: Indices  # (n,) rows bought
    fidelity: Indices  # (n,) at which scale
    advised: Floats  # (m,) what was spent when it was asked for its recommendation
    recommended: Indices  # (m,) rows recommended then
    regret: Floats  # (m,) of those, in the objective's units
    # what was spent when a mixture of the true top had been measured at the target, that run included, so that the best
    # mixture measured is one of the top; NaN if the budget or the search ended before
    reached: float
    rank_correlation: float  # Spearman's, of the searcher's predictions when it first asks for a target run; else NaN
    refused: str | None = None  # why it gave up, where its method said so

    def regret_at(self, cost: float) -> float:
        """Regret of the last recommendation that cost at most `cost`; NaN before the first."""
        done = int(np.searchsorted(self.advised, cost * (1 + 1e-9), side="right"))
        return float(self.regret[done - 1]) if done else math.nan


def replay(
    searcher: Searcher,
    table: Table,
    truth: Truth,
    *,
    seed: int,
    top: int,
    budget: float | None = None,
    least: float = COSTS[-1],
) -> Replay:
    """Run a searcher against a table, in the loop that studies run it in.

    Args:
        truth: the objective of every candidate, which the searcher never sees.
        top: how many of the best candidates count as the top.
        budget: most to spend, in target runs; None to go on until the top is reached and `least` is spent.
        least: in target runs; 0 where only the cost to reach the top is asked for.

    Raises:
        ConfigError: a budget below one target run, or runs that the table does not have.
    """
    session = _Session(searcher, TableRuns(table), truth, truth.top(top), budget, least)
    refused = None
    try:
        search_loop(session, session.plan, session.do, session.history)
    except _Refusal as refusal:
        refused = str(refusal)
    rows = np.array([(run.row, run.fidelity) for run in session.bought], dtype=np.intp).reshape(-1, 2)
    advised, recommended = np.array(session.advice).reshape(-1, 2).T
    return Replay(
        seed=seed,
        spent=np.array(session.spent),
        mixture=rows[:, 0],
        fidelity=rows[:, 1],
        advised=advised,
        recommended=recommended.astype(np.intp),
        regret=np.array([truth.regret(int(row)) for row in recommended]),
        reached=session.reached,
        rank_correlation=session.correlation,
        refused=refused,
    )


class _Refusal(Exception):  # noqa: N818 (no mistake of anybody's)
    """A method says that it can do nothing with what it was sold."""


class _Session:
    """A searcher, the executor and the scores, as steps of `search_loop`; it passes on to its own searcher."""

    wants: frozenset[str] = frozenset()

    def __init__(
        self, searcher: Searcher, runs: TableRuns, truth: Truth, best: set[int], budget: float | None, least: float
    ) -> None:
        self._searcher, self._table_runs = searcher, runs
        self._truth, self._best = truth, best
        self._goes_on, self._least, self._target = budget is None, least, len(runs.table.fidelities) - 1
        self._executor = TableExecutor(runs.find, Ledger(math.inf if budget is None else budget))
        self._paid: dict[str, RunResult] = {}
        self.bought: list[TableRun] = []
        self.spent: list[float] = []
        self.advice: list[tuple[float, int]] = []
        self.reached = self.correlation = math.nan

    @property
    def is_over(self) -> bool:
        """Whether enough was seen."""
        return self._goes_on and self._executor.ledger.spent >= self._least and not math.isnan(self.reached)

    def ask(self, history: History) -> list[Proposal]:
        """What the searcher asks for, until enough was seen."""
        try:
            return [] if self.is_over else self._searcher.ask(history)
        except ConfigError as error:
            if not len(history):
                raise  # the problem, not the runs
            raise _Refusal(str(error)) from error

    def recommend(self, history: History) -> Recommendation:
        """What the searcher recommends, which is noted."""
        try:
            found = self._searcher.recommend(history)
        except ConfigError as error:
            raise _Refusal(str(error)) from error
        self.advice.append(
            (self._executor.ledger.spent, self._table_runs.row_of(found.mixture, self._target, "recommended"))
        )
        return found

    def plan(self, proposals: Sequence[Proposal]) -> list[TableRun]:
        """Proposals as runs of the table."""
        return [self._table_runs.run_of(proposal) for proposal in proposals]

    def do(self, runs: Sequence[TableRun]) -> None:
        """Buy runs, in their order, until enough was seen."""
        if self.bought:
            self._look(runs)
        for run, ended in self._executor.run(runs, lambda _: None):
            result = ended.result
            if result and result.status == "finished":
                self._paid[run.run_id] = result
                self.bought.append(run)
                self.spent.append(self._executor.ledger.spent)
                if math.isnan(self.reached) and run.fidelity == self._target and run.row in self._best:
                    self.reached = self._executor.ledger.spent
            if self.is_over:
                break

    def history(self, run_ids: Sequence[str]) -> History:
        """What was paid for."""
        return self._table_runs.history(self._paid, run_ids)

    def _look(self, runs: Sequence[TableRun]) -> None:
        """What the searcher would recommend, and how it ranks the candidates, before it goes on."""
        history, spent = self.history([run.run_id for run in self.bought]), self._executor.ledger.spent
        after = spent + sum(self._table_runs.table.fidelities[run.fidelity].cost for run in runs)
        checks = CHECKS * (1 + 1e-9)
        if ((spent <= checks) & (after > checks)).any():
            with contextlib.suppress(_Refusal):  # not yet
                self.recommend(history)
        first = math.isnan(self.correlation) and any(run.fidelity == self._target for run in runs)
        if first and isinstance(self._searcher, Predicts):
            with contextlib.suppress(ConfigError):
                said = self._searcher.predict(history, self._table_runs.table.mixtures[self._truth.rows])
                found = spearman(said, self._truth.values)
                self.correlation = math.nan if found is None else found
