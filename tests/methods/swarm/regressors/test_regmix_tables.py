"""Laws of RegMix's 1M models on its 1B and 60M models: the figures of docs/search.md, as bounds."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.bench.tables import find_table
from mixopt.methods.swarm.law_choice import spearman
from mixopt.methods.swarm.regressors import LAWS

if TYPE_CHECKING:
    from mixopt.bench.base import Table

PILE_CC = "pile_cc"
SEEDS = 20


@cache
def table() -> Table:
    return find_table("regmix-1b")


def ranks(name: str, runs: int, target: int, *, aggregate: bool | None, seeds: int = SEEDS) -> list[float]:
    """Spearman of predictions by fits to so many of the 512 first 1M runs, and the losses at a larger scale.

    Args:
        name: of the regressor.
        runs: that it is fitted to.
        target: index of the fidelity.
        aggregate: None for Pile-CC; True for the mean of 13 predicted losses, False for the predicted mean.
        seeds: random choices of the runs.
    """
    data, found = table(), []
    small, there = data.losses[0], np.isfinite(data.losses[target]).all(axis=1)
    swarm = np.flatnonzero(np.isfinite(small).all(axis=1))[:512]
    column = data.eval_domains.index(PILE_CC)
    for seed in range(seeds):
        rows = np.random.default_rng(seed).choice(swarm, runs, replace=False)
        losses = small[rows, column : column + 1] if aggregate is None else small[rows]
        losses = losses.mean(axis=1, keepdims=True) if aggregate is False else losses
        predicted = LAWS.get(name)().fit(data.mixtures[rows], losses, seed=seed).predict(data.mixtures[there])
        truth = data.losses[target][there]
        rank = spearman(predicted.mean(axis=1), truth[:, column] if aggregate is None else truth.mean(axis=1))
        assert rank is not None
        found.append(rank)
    return found


def test_the_log_linear_law_of_64_small_runs_ranks_large_models():
    assert np.median(ranks("loglinear", 64, target=2, aggregate=None)) >= 0.97


@pytest.mark.parametrize("target", [1, 2])
def test_the_gaussian_process_of_32_small_runs_ranks_larger_models(target: int):
    assert np.median(ranks("gp", 32, target, aggregate=None)) >= 0.95


def test_losses_modelled_one_by_one_rank_the_mean_better_than_their_mean_does():
    by_domain = np.median(ranks("gp", 32, 1, aggregate=True, seeds=5))
    assert by_domain >= np.median(ranks("gp", 32, 1, aggregate=False, seeds=5)) + 0.1


@pytest.mark.slow
def test_trees_need_more_runs_than_laws():
    few, many = (np.median(ranks("regmix", runs, 2, aggregate=None, seeds=3)) for runs in (64, 512))
    assert few <= 0.93
    assert many >= 0.95
