"""One replay: what it scores, and when it ends."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mixopt.bench.base import Purchase, UnpaidError, View
from mixopt.bench.methods.random_search import RandomSearch
from mixopt.bench.replay import replay
from tests.bench.made import OBJECTIVE, Scripted, made_table

TABLE = made_table()
VALUES = TABLE.losses[-1] @ OBJECTIVE
RANKED = [int(row) for row in np.argsort(VALUES)]


def test_the_top_is_reached_when_it_is_measured_at_the_target() -> None:
    best, second, worst = RANKED[0], RANKED[1], RANKED[-1]
    found = replay(Scripted((best, 0), (worst, 2), (second, 2), (best, 2)), TABLE, OBJECTIVE, seed=0, top=2)
    # A cheap run of the best is not enough; the second best counts, its own run included.
    assert found.reached == pytest.approx(0.1 + 1 + 1)
    np.testing.assert_allclose(found.spent, [0.1, 1.1, 2.1, 3.1])


def test_regret_is_of_the_recommendation_and_known_from_its_cost_on() -> None:
    second, worst = RANKED[1], RANKED[-1]
    found = replay(Scripted((worst, 2), (second, 2)), TABLE, OBJECTIVE, seed=0, top=1)
    assert math.isnan(found.regret_at(0.99))
    assert found.regret_at(1) == found.regret_at(1.99) == pytest.approx(VALUES[worst] - VALUES.min())
    assert found.regret_at(2) == found.regret_at(100) == pytest.approx(VALUES[second] - VALUES.min())
    assert math.isnan(found.reached)


def test_a_method_that_buys_nothing_has_no_regret_and_reaches_nothing() -> None:
    found = replay(Scripted(), TABLE, OBJECTIVE, seed=0, top=1)
    assert not found.spent.size
    assert math.isnan(found.regret_at(10))
    assert math.isnan(found.reached)


def test_a_replay_ends_with_the_budget() -> None:
    found = replay(RandomSearch(), TABLE, OBJECTIVE, seed=0, top=1, budget=3.5)
    assert found.spent[-1] == 3


def test_without_a_budget_it_goes_on_until_the_top_is_reached_and_ten_runs_are_spent() -> None:
    table = made_table(60)
    lengths = []
    for seed in range(8):
        found = replay(RandomSearch(), table, OBJECTIVE, seed=seed, top=1)
        assert found.spent[-1] == max(10, found.reached)
        lengths.append(found.spent[-1])
    assert max(lengths) > 10


def test_it_can_end_once_the_top_is_reached() -> None:
    found = replay(RandomSearch(), made_table(60), OBJECTIVE, seed=0, top=1, least=0)
    assert found.spent[-1] == found.reached


def test_the_same_seed_gives_the_same_replay_and_another_one_another() -> None:
    first, again, other = (replay(RandomSearch(), TABLE, OBJECTIVE, seed=seed, top=1) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.mixture, again.mixture)
    assert first.mixture.tolist() != other.mixture.tolist()


class Outsider(Scripted):
    """Recommends a mixture that has no run at the target."""

    def recommend(self, view: View) -> int:
        return 4


def test_what_cannot_be_run_at_the_target_cannot_be_recommended() -> None:
    losses = TABLE.losses.copy()
    losses[2, 4] = np.nan
    with pytest.raises(UnpaidError, match="mixture 4 was recommended"):
        replay(Outsider((0, 0)), replace(TABLE, losses=losses), OBJECTIVE, seed=0, top=1)


class Oracle(Scripted):
    """Predicts the truth upside down."""

    def predict(self, view: View) -> np.ndarray:
        return -VALUES


def test_predictions_are_scored_when_the_first_target_run_is_bought() -> None:
    assert replay(Oracle((0, 2)), TABLE, OBJECTIVE, seed=0, top=1).rank_correlation == pytest.approx(-1)
    assert math.isnan(replay(Oracle((0, 0)), TABLE, OBJECTIVE, seed=0, top=1).rank_correlation)
    assert math.isnan(replay(Scripted((0, 2)), TABLE, OBJECTIVE, seed=0, top=1).rank_correlation)


def test_purchases_are_recorded_in_their_order() -> None:
    script = [(3, 0), (5, 2), (3, 1)]
    found = replay(Scripted(*script), TABLE, OBJECTIVE, seed=0, top=1)
    bought = [Purchase(int(m), int(f)) for m, f in zip(found.mixture, found.fidelity, strict=True)]
    assert bought == [Purchase(*purchase) for purchase in script]
