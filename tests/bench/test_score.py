"""The truth, and random search in closed form."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.bench.registry import Asked
from mixopt.bench.score import Truth, parse_top, random_reach, random_regret
from mixopt.errors import ConfigError
from tests.bench.made import OBJECTIVE, made_table, replayed


@given(st.integers(1, 9), st.data())
@settings(deadline=None, max_examples=40)
def test_expected_regret_is_the_mean_over_all_draws(count: int, data: st.DataObject) -> None:
    values = np.array(data.draw(st.lists(st.integers(0, 5), min_size=count, max_size=count)), dtype=float)
    draws = data.draw(st.integers(1, count))
    best = [min(chosen) for chosen in combinations(values, draws)]
    assert random_regret(values, draws) == pytest.approx(np.mean(best) - values.min(), abs=1e-9)


@given(st.integers(2, 9), st.data())
@settings(deadline=None, max_examples=40)
def test_expected_cost_is_the_mean_over_all_orders(count: int, data: st.DataObject) -> None:
    top = data.draw(st.integers(1, count - 1))
    # The first of the top comes at draw n: only where they stand matters.
    first = [min(places) + 1 for places in combinations(range(count), top)]
    assert random_reach(count, top) == pytest.approx(np.mean(first))


@pytest.mark.slow
def test_closed_forms_agree_with_replays_of_random_search() -> None:
    """All but for the first row, which is the one nearest to uniform."""
    table = made_table(40, fidelities=1)
    random = Asked.parse("random:40")
    replays = [replayed(random.searcher(table, ("mean", OBJECTIVE), seed, None), table, top=3) for seed in range(600)]
    truth = table.losses[-1] @ OBJECTIVE
    (nearest,) = {int(found.mixture[0]) for found in replays}
    best = np.argsort(truth)[:3]
    assert nearest not in best
    costs = np.array([found.reached for found in replays])
    assert costs.mean() == pytest.approx(1 + random_reach(39, 3), abs=4 * costs.std() / np.sqrt(600))
    values = np.delete(truth, nearest)
    for cost in (1, 5, 9):
        regret = np.array([truth[found.mixture[1 : 1 + cost]].min() for found in replays]) - truth.min()
        expected = random_regret(values, cost)
        assert regret.mean() == pytest.approx(expected, abs=4 * regret.std() / np.sqrt(600))


def test_more_draws_than_there_are_find_the_best() -> None:
    assert random_regret(np.array([3.0, 1.0, 2.0]), 10) == 0


@pytest.mark.parametrize(
    ("text", "count"), [("3", 3), ("1%", 3), ("0.1%", 1), (" 50 % ", 128), ("2.0", 2), ("1.171875%", 3)]
)
def test_tops_are_counts_or_shares(text: str, count: int) -> None:
    assert parse_top(text, 256) == count


@pytest.mark.parametrize("text", ["0", "256", "100%", "three", "-1", "1.5", "", "0%"])
def test_tops_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"top: .*such as 3.*1%"):
        parse_top(text, 256)


def test_ties_with_the_last_of_the_top_belong_to_it() -> None:
    truth = Truth(np.array([2, 5, 7, 9]), np.array([1.0, 2.0, 2.0, 3.0]))
    assert truth.top(1) == {2}
    assert truth.top(2) == {2, 5, 7}
    assert truth.regret(9) == 2
    with pytest.raises(LookupError, match=r"mixture 0 .*target"):
        truth.regret(0)


def test_an_objective_that_does_not_vary_is_refused() -> None:
    table = replace(made_table(), losses=np.full((3, 12, 2), 2.5))
    with pytest.raises(ConfigError, match=r"same \(2\.5\).* 12 mixtures"):
        Truth.of(table, OBJECTIVE)


def test_one_candidate_is_no_search() -> None:
    losses = made_table().losses.copy()
    losses[2, 1:] = np.nan
    with pytest.raises(ConfigError, match="only one mixture"):
        Truth.of(replace(made_table(), losses=losses), OBJECTIVE)
