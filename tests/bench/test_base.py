"""Tables, problems and views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixopt.bench.base import Fidelity, UnpaidError
from mixopt.bench.ledger import Ledger
from mixopt.errors import ConfigError
from tests.bench.made import OBJECTIVE, made_problem, made_table


def missing(row: int, fidelity: int, domain: int | slice) -> np.ndarray:
    losses = made_table().losses.copy()
    losses[fidelity, row, domain] = np.nan
    return losses


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"losses": np.ones((3, 11, 2))}, r"expected losses of shape \(3, 12, 2\)"),
        ({"mixtures": made_table().mixtures * 2}, "weights that are not shares of 1"),
        ({"losses": missing(4, 0, 1)}, "mixture 4 at small x 1k .*'y'"),
        (
            {"losses": np.where(np.arange(3)[:, None, None] == 2, np.nan, made_table().losses)},
            "no run at the target",
        ),
        ({"fidelities": tuple(reversed(made_table().fidelities))}, "costs that ascend"),
        ({"fidelities": (*made_table().fidelities[:2], Fidelity("t", 1, 1, 2.0))}, "costs that ascend"),
    ],
)
def test_tables_that_do_not_hold_together_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(made_table(), **changes)


def test_a_run_that_was_not_made_is_not_available() -> None:
    table = replace(made_table(), losses=missing(4, 2, slice(None)))
    problem = made_problem(table)
    assert 4 not in problem.candidates
    assert len(problem.candidates) == 11
    assert problem.available[0, 4]


def test_what_a_problem_holds_cannot_be_written() -> None:
    problem = made_problem(made_table())
    with pytest.raises(ValueError, match="read-only"):
        problem.mixtures[0, 0] = 1.0


def test_the_incumbent_is_the_best_that_was_measured_at_the_target() -> None:
    table = made_table()
    ledger = Ledger(table, OBJECTIVE, seed=0, budget=5)
    ledger.buy(7, 0)
    assert ledger.view().incumbent() is None
    for row in (3, 5, 8):
        ledger.buy(row, 2)
    values = table.losses[2] @ OBJECTIVE
    assert ledger.view().incumbent() == min((3, 5, 8), key=lambda row: values[row])


def test_a_view_tells_what_was_paid_and_no_more() -> None:
    table = made_table()
    ledger = Ledger(table, OBJECTIVE, seed=0, budget=5)
    ledger.buy(3, 2)
    view = ledger.view()
    np.testing.assert_array_equal(view.loss(3, 2), table.losses[2, 3])
    np.testing.assert_array_equal(np.flatnonzero(view.paid(2)), [3])
    assert not view.paid(0).any()
    with pytest.raises(UnpaidError, match=r"mixture 3 at small x 1k .*not paid"):
        view.loss(3, 0)


def test_streams_of_random_numbers_repeat_and_differ_by_seed_and_name() -> None:
    def draw(seed: int, stream: str) -> float:
        return Ledger(made_table(), OBJECTIVE, seed, 5).view().rng(stream).random()

    assert draw(1, "a") == draw(1, "a")
    assert len({draw(1, "a"), draw(2, "a"), draw(1, "b")}) == 3


def test_without_a_model_the_nearest_to_the_best_run_of_the_highest_scale_is_recommended() -> None:
    table = replace(made_table(), losses=missing(slice(0, 6), 2, slice(None)))  # candidates are 6 to 11
    ledger = Ledger(table, OBJECTIVE, seed=0, budget=5)
    assert ledger.view().best_measured() == 6

    def nearest(row: int) -> int:
        return 6 + int(np.abs(table.mixtures[6:] - table.mixtures[row]).sum(axis=1).argmin())

    for row in (0, 1, 2):
        ledger.buy(row, 0)
    assert ledger.view().best_measured() == nearest(int(np.argmin(table.losses[0, :3] @ OBJECTIVE)))
    ledger.buy(3, 1)
    assert ledger.view().best_measured() == nearest(3)
    ledger.buy(9, 2)
    assert ledger.view().best_measured() == 9
