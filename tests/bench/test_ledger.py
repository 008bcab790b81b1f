"""Nothing leaves a table unpaid."""

from __future__ import annotations

import gc
import types
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.bench.base import Purchase, UnpaidError, View
from mixopt.bench.ledger import Ledger
from mixopt.bench.replay import replay
from mixopt.errors import ConfigError
from tests.bench.made import OBJECTIVE, Scripted, made_table

BOUGHT = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2)), unique=True, max_size=20)


def within_reach(thing: Any) -> set[float]:
    """Every number in an array, list or attribute that can be reached from a view, however deep."""
    seen: set[int] = set()
    numbers: set[float] = set()
    queue = [thing]
    while queue:
        item = queue.pop()
        if id(item) in seen or isinstance(item, (type, types.ModuleType, types.FunctionType)):
            continue
        seen.add(id(item))
        if isinstance(item, float):
            numbers.add(item)
        elif isinstance(item, np.ndarray):
            base = item if item.base is None else item.base
            numbers |= {float(number) for array in (item, base) for number in np.asarray(array).ravel()}
        else:
            queue.extend(gc.get_referents(item))
    return numbers


@settings(deadline=None, max_examples=40)
@given(BOUGHT, st.booleans())
def test_views_hold_paid_losses_and_no_others(bought: list[tuple[int, int]], curves: bool) -> None:
    table = made_table(curves=curves)
    ledger = Ledger(table, OBJECTIVE, seed=0, budget=100)
    paid = np.zeros((3, 12), dtype=bool)
    for row, fidelity in bought:
        if not paid[fidelity, row]:
            ledger.buy(row, fidelity)
            paid[fidelity, row] = True
            if curves and fidelity == 1:  # the same size for fewer tokens
                paid[0, row] = True
    found = within_reach(ledger.view())
    assert {float(loss) for loss in table.losses[paid].ravel()} <= found
    assert not {float(loss) for loss in table.losses[~paid].ravel()} & found


def test_the_ledger_itself_does_lead_to_the_table() -> None:
    table = made_table()
    assert {float(loss) for loss in table.losses.ravel()} <= within_reach(
        Ledger(table, OBJECTIVE, seed=0, budget=5)
    )


@settings(deadline=None, max_examples=40)
@given(BOUGHT)
def test_what_is_spent_is_the_sum_of_the_costs(bought: list[tuple[int, int]]) -> None:
    table = made_table()
    ledger = Ledger(table, OBJECTIVE, seed=0, budget=100)
    for row, fidelity in bought:
        np.testing.assert_array_equal(ledger.buy(row, fidelity), table.losses[fidelity, row])
    assert ledger.spent == pytest.approx(sum(table.fidelities[fidelity].cost for _, fidelity in bought))
    assert ledger.view().purchases == tuple(Purchase(*purchase) for purchase in bought)
    assert ledger.view().left == pytest.approx(100 - ledger.spent)


@settings(deadline=None, max_examples=40)
@given(BOUGHT, st.floats(1, 4))
def test_no_more_is_spent_than_the_budget(bought: list[tuple[int, int]], budget: float) -> None:
    found = replay(Scripted(*bought), made_table(), OBJECTIVE, seed=0, top=1, budget=budget)
    assert not found.spent.size or found.spent[-1] <= budget * (1 + 1e-9)


def test_a_purchase_beyond_the_budget_is_refused() -> None:
    ledger = Ledger(made_table(), OBJECTIVE, seed=0, budget=1)
    ledger.buy(0, 1)
    with pytest.raises(UnpaidError, match=r"1 target runs, where 0\.5 are left"):
        ledger.buy(0, 2)
    assert len(ledger.view().losses) == 1


@pytest.mark.parametrize(
    ("row", "fidelity", "message"),
    [(3, 0, "paid for already"), (12, 0, "no run"), (-1, 0, "no run"), (0, 3, "no run"), (0, -1, "no run")],
)
def test_entries_that_are_not_for_sale(row: int, fidelity: int, message: str) -> None:
    ledger = Ledger(made_table(), OBJECTIVE, seed=0, budget=5)
    ledger.buy(3, 0)
    with pytest.raises(UnpaidError, match=message):
        ledger.buy(row, fidelity)
    assert ledger.spent == pytest.approx(0.1)


def test_points_of_a_curve_come_with_its_end_and_cost_nothing() -> None:
    table = made_table(curves=True)
    ledger = Ledger(table, OBJECTIVE, seed=0, budget=5)
    ledger.buy(3, 1)
    view = ledger.view()
    assert list(zip(view.mixture, view.fidelity, strict=True)) == [(3, 0), (3, 1)]
    assert view.purchases == (Purchase(3, 1),)
    assert ledger.spent == pytest.approx(0.5)
    ledger.buy(3, 2)  # another size shows nothing of this one
    assert len(ledger.view().losses) == 3


def test_what_a_method_writes_into_its_view_changes_nothing() -> None:
    table = made_table()
    ledger = Ledger(table, OBJECTIVE, seed=0, budget=5)
    ledger.buy(3, 2)
    ledger.view().losses[:] = 0
    ledger.buy(4, 2)[:] = 0
    np.testing.assert_array_equal(ledger.view().losses, table.losses[2, [3, 4]])


@pytest.mark.parametrize("budget", [0.99, 0, float("nan")])
def test_a_budget_below_one_run_is_refused(budget: float) -> None:
    with pytest.raises(ConfigError, match="budget: expected at least 1"):
        Ledger(made_table(), OBJECTIVE, seed=0, budget=budget)


class Peeking:
    """Reads a target run that it has not paid for, and buys only the best."""

    def next(self, view: View) -> Purchase | None:
        problem = view.problem
        values = [view.loss(int(row), problem.target) @ problem.objective for row in problem.candidates]
        return Purchase(int(problem.candidates[np.argmin(values)]), problem.target)

    def recommend(self, view: View) -> int:
        return int(view.problem.candidates[0])


def test_a_method_that_peeks_is_stopped() -> None:
    with pytest.raises(UnpaidError, match="was not paid for"):
        replay(Peeking(), made_table(), OBJECTIVE, seed=0, top=1)
