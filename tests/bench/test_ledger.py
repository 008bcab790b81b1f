"""Nothing leaves a table unpaid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.bench.ledger import Ledger, TableExecutor
from mixopt.bench.stall import Stall, TableRun
from mixopt.errors import ConfigError
from tests.bench.made import Scripted, made_table, replayed

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.methods.base import Proposal, Recommendation

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
    till = TableExecutor(Stall(made_table()).find, Ledger(1))
    jobs = [TableRun(0, 1), TableRun(0, 2), TableRun(1, 1)]
    results = {job: ended.result for job, ended in till.run(jobs, nothing)}
    assert [results[job].status for job in jobs] == ["finished", "failed", "finished"]
    assert "costs 1 target runs, and 0.5 are left" in str(results[jobs[1]].error)
    assert not results[jobs[1]].domains
    assert till.ledger.spent == 1


def test_a_run_that_the_table_does_not_have_fails_and_costs_nothing() -> None:
    table = made_table()
    table.losses[0, 3] = np.nan
    till = TableExecutor(Stall(table).find)
    ((_, ended),) = till.run([TableRun(3, 0)], nothing)
    result = ended.result
    assert (result.status, result.error) == ("failed", "there is no such run")
    assert till.ledger.spent == 0


def test_a_run_is_charged_when_it_is_handed_out() -> None:
    till = TableExecutor(Stall(made_table()).find)
    runs = till.run([TableRun(0, 0), TableRun(1, 0)], nothing)
    next(runs)
    runs.close()
    assert till.ledger.spent == pytest.approx(0.1)


def test_a_history_holds_the_tables_numbers() -> None:
    table = made_table(curves=True)
    stall = Stall(table)
    run = TableRun(4, 1)
    ((_, ended),) = TableExecutor(stall.find).run([run], nothing)
    result = ended.result
    history = stall.history({run.run_id: result}, ["0@0", run.run_id])
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
