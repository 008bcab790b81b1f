"""One replay: what it scores, and when it ends."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.bench.executor import Ledger, TableExecutor, TableRun, TableRuns
from mixopt.errors import ConfigError
from mixopt.methods.base import Role
from mixopt.mixture import Mixture
from tests.bench.made import OBJECTIVE, Scripted, made_table, replayed

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.methods.base import Proposal, Recommendation


TABLE = made_table()
VALUES = TABLE.losses[-1] @ OBJECTIVE
RANKED = [int(row) for row in np.argsort(VALUES)]


def test_the_top_is_reached_when_it_is_measured_at_the_target() -> None:
    best, second, worst = RANKED[0], RANKED[1], RANKED[-1]
    found = replayed(Scripted(TABLE, (best, 0), (worst, 2), (second, 2), (best, 2)), TABLE, top=2)
    # A cheap run of the best is not enough; the second best counts, its own run included.
    assert found.reached == pytest.approx(0.1 + 1 + 1)
    np.testing.assert_allclose(found.spent, [0.1, 1.1, 2.1, 3.1])


def test_regret_is_of_the_recommendation_and_known_from_its_cost_on() -> None:
    second, worst = RANKED[1], RANKED[-1]
    found = replayed(Scripted(TABLE, (worst, 2), (second, 2)), TABLE)
    assert math.isnan(found.regret_at(0.99))
    assert found.regret_at(1) == found.regret_at(1.99) == pytest.approx(VALUES[worst] - VALUES.min())
    assert found.regret_at(2) == found.regret_at(100) == pytest.approx(VALUES[second] - VALUES.min())
    assert math.isnan(found.reached)


def test_a_searcher_that_asks_for_nothing_reaches_nothing() -> None:
    found = replayed(Scripted(TABLE), TABLE)
    assert not found.spent.size
    assert math.isnan(found.reached)


def test_a_replay_ends_with_the_budget() -> None:
    found = replayed(Scripted(TABLE, *((row, 2) for row in range(12))), TABLE, budget=3.5)
    assert found.spent[-1] == 3


@pytest.mark.parametrize(("place", "ends"), [(3, 10), (14, 15)])
def test_without_a_budget_it_goes_on_until_the_top_is_reached_and_ten_runs_are_spent(place: int, ends: int) -> None:
    table = made_table(20)
    ranked = np.argsort(table.losses[-1] @ OBJECTIVE).tolist()
    order = [*ranked[1 : place + 1], ranked[0], *ranked[place + 1 :]]
    searcher = Scripted(table, *((row, 2) for row in order))
    found = replayed(searcher, table)
    assert (found.reached, found.spent[-1]) == (place + 1, ends)
    assert replayed(searcher, table, least=0).spent[-1] == place + 1


class AllAtOnce(Scripted):
    """Asks for its whole script every time, as one-shot searches do."""

    def ask(self, history: History) -> list[Proposal]:
        return [self.proposal(*run) for run in self._script]


def test_of_a_batch_no_more_is_bought_than_is_waited_for() -> None:
    found = replayed(AllAtOnce(TABLE, *((row, 2) for row in RANKED)), TABLE, least=2)
    assert found.mixture.tolist() == RANKED[:2]
    assert found.reached == 1


def test_what_cannot_be_run_at_the_target_cannot_be_recommended() -> None:
    losses = TABLE.losses.copy()
    losses[2, 0] = np.nan
    table = replace(TABLE, losses=losses)
    with pytest.raises(ConfigError, match=r"no run at large x 50k .*recommended"):
        replayed(Scripted(table, (0, 0)), table)


class Stranger(Scripted):
    """Asks for what no table has."""

    def __init__(self, mixture: Mixture | None = None, **changes: object) -> None:
        super().__init__(TABLE)
        own = replace(self.proposal(0, 0), role=Role("mine"), **changes)
        self._asked = own if mixture is None else replace(own, mixture=mixture)

    def ask(self, history: History) -> list[Proposal]:
        return [self._asked]


@pytest.mark.parametrize(
    ("searcher", "message"),
    [
        (Stranger(Mixture(("a", "b", "c"), (1.0, 0.0, 0.0))), r"asked for \(mine\); the nearest is"),
        (Stranger(tokens=123), "expected runs of small x 10k.*found one of 10 x 123"),
        (Stranger(model=None), "found one of no named size"),
    ],
)
def test_a_method_that_does_not_choose_from_the_table_is_told_so(searcher: Stranger, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replayed(searcher, TABLE)


class GivesUp(Scripted):
    """Refuses to go on after its first run."""

    def ask(self, history: History) -> list[Proposal]:
        if len(history):
            raise ConfigError("no law predicts anything")
        return super().ask(history)


def test_a_method_that_refuses_ends_its_replay_and_says_why() -> None:
    found = replayed(GivesUp(TABLE, (3, 2)), TABLE)
    assert found.refused == "no law predicts anything"
    assert found.spent.tolist() == [1]


class Oracle(Scripted):
    """Predicts the truth upside down."""

    def predict(self, history: History, weights: np.ndarray) -> np.ndarray:
        assert len(weights) == 12
        return -VALUES


def test_predictions_are_scored_when_the_first_target_run_is_asked_for() -> None:
    assert replayed(Oracle(TABLE, (0, 0), (0, 2)), TABLE).rank_correlation == pytest.approx(-1)
    assert math.isnan(replayed(Oracle(TABLE, (0, 0)), TABLE).rank_correlation)
    assert math.isnan(replayed(Scripted(TABLE, (0, 0), (0, 2)), TABLE).rank_correlation)


BOUGHT = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2)), unique=True, max_size=20)


def nothing(_: object) -> None:
    """Nobody is told."""


class Listening(Scripted):
    """Keeps every loss that it is ever shown."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # pyright: ignore
        self.seen: set[float] = set()

    def ask(self, history: History) -> list[Proposal]:
        self.note(history)
        return super().ask(history)

    def recommend(self, history: History) -> Recommendation:
        self.note(history)
        return super().recommend(history)

    def note(self, history: History) -> None:
        self.seen |= {float(loss) for loss in history.losses.ravel()}
        if history.curves is not None:
            self.seen |= {float(loss) for loss in history.curves.losses.ravel()}


@settings(deadline=None, max_examples=30)
@given(BOUGHT, st.booleans(), st.floats(1, 6))
def test_a_searcher_is_shown_paid_losses_and_no_others(
    bought: list[tuple[int, int]], curves: bool, budget: float
) -> None:
    table = made_table(curves=curves)
    searcher = Listening(table, *bought)
    found = replayed(searcher, table, budget=budget)
    paid = np.zeros((3, 12), dtype=bool)
    paid[found.fidelity, found.mixture] = True
    if curves:
        paid[0] |= paid[1]  # points on the way to the longer run of one size
    assert searcher.seen == {float(loss) for loss in table.losses[paid].ravel()}


@settings(deadline=None, max_examples=30)
@given(BOUGHT, st.floats(1, 4))
def test_what_is_spent_is_the_sum_of_the_costs_and_no_more_than_the_budget(
    bought: list[tuple[int, int]], budget: float
) -> None:
    table = made_table()
    found = replayed(Scripted(table, *bought), table, budget=budget)
    costs = [table.fidelities[fidelity].cost for fidelity in found.fidelity]
    np.testing.assert_allclose(found.spent, np.cumsum(costs))
    assert not found.spent.size or found.spent[-1] <= budget * (1 + 1e-9)
    assert list(zip(found.mixture, found.fidelity, strict=True)) == bought[: len(costs)]


def test_a_run_beyond_the_budget_fails_and_shows_nothing() -> None:
    executor = TableExecutor(TableRuns(made_table()).find, Ledger(1))
    jobs = [TableRun(0, 1), TableRun(0, 2), TableRun(1, 1)]
    results = {job: ended.result for job, ended in executor.run(jobs, nothing)}
    assert [results[job].status for job in jobs] == ["finished", "failed", "finished"]
    assert "costs 1 target runs, and 0.5 are left" in str(results[jobs[1]].error)
    assert not results[jobs[1]].domains
    assert executor.ledger.spent == 1


def test_a_run_that_the_table_does_not_have_fails_and_costs_nothing() -> None:
    table = made_table()
    table.losses[0, 3] = np.nan
    executor = TableExecutor(TableRuns(table).find)
    ((_, ended),) = executor.run([TableRun(3, 0)], nothing)
    result = ended.result
    assert (result.status, result.error) == ("failed", "there is no such run")
    assert executor.ledger.spent == 0


def test_a_run_is_charged_when_it_is_handed_out() -> None:
    executor = TableExecutor(TableRuns(made_table()).find)
    runs = executor.run([TableRun(0, 0), TableRun(1, 0)], nothing)
    next(runs)
    runs.close()
    assert executor.ledger.spent == pytest.approx(0.1)


def test_a_history_holds_the_tables_numbers() -> None:
    table = made_table(curves=True)
    runs_of = TableRuns(table)
    run = TableRun(4, 1)
    ((_, ended),) = TableExecutor(runs_of.find).run([run], nothing)
    result = ended.result
    history = runs_of.history({run.run_id: result}, ["0@0", run.run_id])
    assert history.runs == (run.run_id,)
    np.testing.assert_allclose(history.weights[0], table.mixtures[4], atol=1e-4)
    np.testing.assert_array_equal(history.losses[0], table.losses[1, 4])
    assert history.parameters.tolist() == [10]
    assert history.tokens.tolist() == [50_000]
    assert history.curves is not None
    assert history.curves.tokens.tolist() == [10_000]
    np.testing.assert_array_equal(history.curves.losses[0], table.losses[0, 4])


@pytest.mark.parametrize("budget", [0.99, 0, math.nan])
def test_a_budget_below_one_run_is_refused(budget: float) -> None:
    with pytest.raises(ConfigError, match="budget"):
        Ledger(budget)
