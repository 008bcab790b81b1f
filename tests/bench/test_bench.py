"""All methods on one table: figures, intervals, ratios, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.bench.bench import bench
from mixopt.bench.objective import objective_weights
from mixopt.bench.registry import METHODS, find_method
from mixopt.bench.replay import COSTS
from mixopt.bench.score import random_reach
from mixopt.bench.tables import find_table
from mixopt.errors import ConfigError
from tests.bench.made import OBJECTIVE, made_table

if TYPE_CHECKING:
    from mixopt.bench.outcome import Bench

MADE = ("mean", OBJECTIVE)


def of_regmix(*methods: str, objective: str = "pile_cc", seeds: int = 3, **options) -> Bench:
    table = find_table("regmix-1b")
    weights = objective_weights(objective, table.eval_domains)
    return bench(table, (objective, weights), methods, seeds=seeds, top=1, **options)


def test_random_search_is_exact_and_others_are_measured() -> None:
    random, law = of_regmix("random", "loglinear:40").outcomes
    assert random.reach.value == random_reach(64, 1) == 32.5
    assert random.reach.low is None
    assert not random.replays
    assert [replay.seed for replay in law.replays] == [0, 1, 2]
    reached = [replay.reached for replay in law.replays]
    assert law.reach.value == pytest.approx(np.mean(reached))
    assert min(reached) <= law.reach.low <= law.reach.value <= law.reach.high <= max(reached)  # pyright: ignore
    assert law.against["random"].value == pytest.approx(32.5 / np.mean(reached))
    assert law.rank_correlation == pytest.approx(np.median([replay.rank_correlation for replay in law.replays]))


def test_regret_is_the_mean_over_seeds_at_each_cost() -> None:
    (law,) = of_regmix("loglinear:40").outcomes
    for cost in COSTS:
        assert law.regret[cost].value == pytest.approx(np.mean([replay.regret_at(cost) for replay in law.replays]))
    costs, mean, low, high = law.curve
    known = np.isfinite(mean)
    assert (low[known] <= mean[known] + 1e-12).all()
    assert (mean[known] <= high[known] + 1e-12).all()
    assert mean[-1] == pytest.approx(law.regret[10].value)
    assert costs[-1] == pytest.approx(10)


def test_seeds_that_miss_are_counted_with_what_they_spent() -> None:
    found = bench(made_table(60), MADE, ["screen:40"], seeds=4, top=1, budget=6)
    (screen,) = found.outcomes
    missed = [replay for replay in screen.replays if math.isnan(replay.reached)]
    assert screen.missed == len(missed) > 0
    spent = [replay.spent[-1] if math.isnan(replay.reached) else replay.reached for replay in screen.replays]
    assert screen.reach.value == pytest.approx(np.mean(spent))
    assert set(screen.regret) == {1.0, 2.0, 5.0}  # the budget ends before 10


def test_processes_change_nothing() -> None:
    told: list[tuple[int, int]] = []
    one = of_regmix("loglinear:40", "screen:40", seeds=2)
    two = of_regmix("loglinear:40", "screen:40", seeds=2, workers=2, progress=lambda *done: told.append(done))
    assert json.dumps(one.to_dict()) == json.dumps(two.to_dict())
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_json_has_every_purchase_and_no_nan() -> None:
    content = of_regmix("loglinear:40", "random").to_dict()
    text = json.dumps(content, allow_nan=False)
    law = json.loads(text)["methods"]["loglinear:40"]
    assert len(law["replays"][0]["mixture"]) == len(law["replays"][0]["spent"])
    assert content["fidelities"][0]["runs"] == 768
    assert content["methods"]["random"]["cost_to_reach"] == {"value": 32.5, "low": None, "high": None}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("loglinaer", "method: .*'loglinaer'"),
        ("random:32", "method random: .*'random:32'"),
        ("gp:0", "method gp: .*'gp:0'"),
        ("gp:", "found 'gp:'"),
        ("gp:many", "found 'gp:many'"),
    ],
)
def test_methods_that_are_none(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_method(name)


def test_a_number_replaces_the_methods_own() -> None:
    assert find_method("gp").runs == METHODS["gp"].runs
    assert find_method("gp:32").runs == 32


def test_a_fidelity_that_never_varies_leaves_nothing_cheap_to_learn_from() -> None:
    table = made_table(fidelities=1)
    with pytest.raises(ConfigError, match=r"large x 1k.*gp learns"):
        bench(table, MADE, ["random", "gp"], seeds=1, top=1)
    names = {outcome.name for outcome in bench(table, MADE, None, seeds=1, top=1).outcomes}
    assert names == {name for name, entry in METHODS.items() if entry.learns_from == "nothing"}


def test_shorter_runs_of_the_targets_size_are_asked_for_where_they_are_needed() -> None:
    table = find_table("agreeing")
    weights = objective_weights("mean", table.eval_domains)
    with pytest.raises(ConfigError, match=r"fewer tokens.*tokens-only"):
        bench(table, ("mean", weights), ["tokens-only"], seeds=1, top=1)
    assert not METHODS["tokens-only"].possible(table.problem(weights))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0.5}, "budget: .*found 0.5"),
        ({"seeds": 0}, "seeds: .*found 0"),
    ],
)
def test_settings_that_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bench(made_table(), MADE, ["random"], **{"seeds": 1, "top": 1, **changes})


@pytest.mark.parametrize("fidelity", [0, 2])
def test_an_objective_that_is_constant_at_one_scale_is_refused(fidelity: int) -> None:
    table = made_table()
    losses = table.losses.copy()
    losses[fidelity] = 2.0
    with pytest.raises(ConfigError, match=f"the same .* at {table.fidelities[fidelity].name}"):
        bench(replace(table, losses=losses), MADE, ["random"], seeds=1, top=1)
