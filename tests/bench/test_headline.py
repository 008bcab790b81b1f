"""What the methods reach on RegMix's published runs: the figures of docs/bench.md, as bounds, on fewer seeds."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.bench.base import objective_weights
from mixopt.bench.bench import Job
from mixopt.bench.registry import Asked
from mixopt.bench.score import random_reach
from mixopt.bench.tables import find_table

if TYPE_CHECKING:
    from mixopt.bench.replay import Replay

pytestmark = pytest.mark.slow


@cache
def replays(table: str, objective: str, method: str, top: int = 3, seeds: int = 10) -> list[Replay]:
    runs = find_table(table)
    weights = objective_weights(objective, runs.eval_domains)
    asked = Asked.parse(method)
    return [Job(asked, runs, (objective, weights), seed, top, None).run(least=0) for seed in range(seeds)]


def reach(table: str, objective: str, method: str, top: int = 3, seeds: int = 10) -> float:
    """Mean cost until one of the true top was measured, in target runs; NaN if a seed never got there."""
    return float(np.mean([found.reached for found in replays(table, objective, method, top, seeds)]))


# The mean of 13 losses takes 13 processes a fit.
@pytest.mark.parametrize(("objective", "seeds"), [("pile_cc", 10), ("mean", 1)])
def test_adso_finds_a_top_3_of_256_for_three_target_runs(objective: str, seeds: int) -> None:
    adso = reach("regmix-60m", objective, "adso", seeds=seeds)
    assert adso <= 3.0
    assert reach("regmix-60m", objective, "single-fidelity", seeds=seeds) >= 2.7 * adso
    assert random_reach(256, 3) >= 6 * adso


def test_adso_finds_the_best_of_64_large_models_for_two_target_runs() -> None:
    assert reach("regmix-1b", "pile_cc", "adso", top=1, seeds=5) <= 2.0


def test_where_cheap_runs_mislead_adso_costs_little_more_than_target_runs_alone() -> None:
    alone = reach("misleading", "mean", "single-fidelity", seeds=2)
    assert reach("misleading", "mean", "adso", seeds=2) <= 1.5 * alone


@pytest.mark.parametrize(("objective", "method"), [("pile_cc", "loglinear"), ("mean", "gp")])
def test_one_shot_laws_of_64_small_runs_need_few_target_runs(objective: str, method: str) -> None:
    assert reach("regmix-60m", objective, method) <= 3.0


@pytest.mark.parametrize(("method", "least"), [("loglinear:64", 0.97), ("gp:32", 0.95)])
def test_small_models_rank_large_ones(method: str, least: float) -> None:
    found = replays("regmix-1b", "pile_cc", method, top=1, seeds=20)
    assert np.median([one.rank_correlation for one in found]) >= least
