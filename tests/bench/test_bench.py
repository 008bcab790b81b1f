"""All methods on one table: figures, intervals, ratios, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.bench.base import objective_weights
from mixopt.bench.bench import bench
from mixopt.bench.registry import USUAL, Asked
from mixopt.bench.replay import COSTS
from mixopt.bench.score import random_reach
from mixopt.bench.tables import find_table
from mixopt.errors import ConfigError
from tests.bench.made import OBJECTIVE, lawful_table, made_table

if TYPE_CHECKING:
    from mixopt.bench.bench import Bench

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
    (single,) = bench(made_table(60), MADE, ["single-fidelity"], seeds=4, top=1, budget=6).outcomes
    missed = [replay for replay in single.replays if math.isnan(replay.reached)]
    assert single.missed == len(missed) > 0
    spent = [replay.spent[-1] if math.isnan(replay.reached) else replay.reached for replay in single.replays]
    assert single.reach.value == pytest.approx(np.mean(spent))
    assert set(single.regret) <= {1.0, 2.0, 5.0}  # the budget ends before 10


@pytest.mark.slow
def test_processes_change_nothing() -> None:
    told: list[tuple[int, int]] = []
    one = of_regmix("loglinear:40", "gp:40", seeds=2)
    two = of_regmix("loglinear:40", "gp:40", seeds=2, workers=2, progress=lambda *done: told.append(done))
    assert json.dumps(one.to_dict()) == json.dumps(two.to_dict())
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_swarm_is_bought_at_the_cheapest_scale_and_its_best_predictions_at_the_target() -> None:
    table = lawful_table()
    (law,) = bench(table, MADE, ["loglinear:12"], seeds=2, top=2).outcomes
    values = table.losses[1] @ OBJECTIVE
    for replay in law.replays:
        assert replay.fidelity.tolist() == [0] * 12 + [1] * (len(replay.fidelity) - 12)
        assert len(set(replay.mixture[12:].tolist())) == len(replay.mixture) - 12
        # A good law's order is nearly that of the truth, and what is recommended was measured.
        assert np.corrcoef(values[replay.mixture[12:]], np.arange(len(replay.mixture) - 12))[0, 1] > 0.8
        assert set(replay.recommended[replay.advised >= 2.2]) <= set(replay.mixture[12:])
    assert law.rank_correlation is not None
    assert law.rank_correlation > 0.95
    assert law.replays[0].mixture.tolist() != law.replays[1].mixture.tolist()


def test_a_budget_leaves_a_swarm_one_target_run() -> None:
    (law,) = bench(lawful_table(), MADE, ["loglinear:30"], seeds=1, top=1, budget=2).outcomes
    assert law.replays[0].fidelity.tolist() == [0] * 10 + [1]


@pytest.mark.parametrize("method", ["adso", "single-fidelity"])
def test_adso_keeps_to_its_budget_and_to_the_table(method: str) -> None:
    (outcome,) = bench(lawful_table(), MADE, [method], seeds=2, top=1, budget=4).outcomes
    for replay in outcome.replays:
        bought = list(zip(replay.mixture.tolist(), replay.fidelity.tolist(), strict=True))
        assert len(set(bought)) == len(bought)
        assert 3 <= replay.spent[-1] <= 4 + 1e-9
        assert (replay.fidelity == 1).all() == (method == "single-fidelity")


def test_shorter_runs_of_the_target_are_enough_for_tokens_only() -> None:
    table = find_table("drawn")
    weights = objective_weights("web", table.eval_domains)
    (found,) = bench(table, ("web", weights), ["tokens-only"], seeds=1, top=3, budget=3).outcomes
    assert set(found.replays[0].fidelity.tolist()) <= {5, 7, 8}
    assert min(found.replays[0].fidelity) == 5


def test_json_has_every_purchase_and_no_nan() -> None:
    content = of_regmix("loglinear:40", "random").to_dict()
    text = json.dumps(content, allow_nan=False)
    law = json.loads(text)["methods"]["loglinear:40"]
    assert len(law["replays"][0]["mixture"]) == len(law["replays"][0]["spent"])
    assert content["fidelities"][0]["runs"] == 768
    assert content["methods"]["random"]["cost_to_reach"] == {"value": 32.5, "low": None, "high": None}


@pytest.mark.parametrize("name", ["gp:0", "gp:"])
def test_a_number_of_cheap_runs_is_one(name: str) -> None:
    with pytest.raises(ConfigError, match=f"such as gp:32, found '{name}'"):
        Asked.parse(name)


def test_a_number_replaces_the_methods_own() -> None:
    assert Asked.parse("gp").settings == {}
    assert Asked.parse("gp:32").having({"runs": 8, "guard": 1.0}).settings == {"runs": 32}
    assert Asked.parse("adso").having({"runs": 8, "guard": 1.0}).settings == {"guard": 1.0}
    with pytest.raises(ConfigError, match="adso: it takes no number"):
        Asked.parse("adso:32")


@pytest.mark.parametrize(
    ("method", "message"),
    [("grid", "a lattice is of all mixtures"), ("ddo", "found one of no named size"), ("autoscale", "--target")],
)
def test_methods_that_choose_mixtures_of_their_own_are_told_so(method: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bench(lawful_table(), MADE, [method], seeds=1, top=1)


def test_what_a_table_does_not_allow_is_left_out_unless_it_was_asked_for() -> None:
    table = made_table(fidelities=1)
    names = {outcome.name for outcome in bench(table, MADE, None, seeds=1, top=1, budget=4).outcomes}
    assert {"random", "single-fidelity"} <= names
    assert not {"adso", "tokens-only"} & names
    with pytest.raises(ConfigError, match=r"table made: adso: .*two scales or more"):
        bench(table, MADE, ["random", "adso"], seeds=1, top=1)
    assert set(USUAL) > names


def test_a_law_that_refuses_its_swarm_ends_the_replay_and_says_so() -> None:
    (found,) = bench(made_table(60), MADE, ["loglinear:30"], seeds=1, top=1).outcomes
    assert found.missed == 1
    assert "no law of mean predicts" in str(found.replays[0].refused)


@pytest.mark.parametrize(
    ("changes", "message"), [({"budget": 0.5}, "budget: .*found 0.5"), ({"seeds": 0}, "seeds: .*found 0")]
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
