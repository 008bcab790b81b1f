"""Folds, and scores of what was left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.methods.swarm.law_choice import Score, folds_of, spearman
from mixopt.methods.swarm.regressors import LAWS
from tests.methods.swarm.regressors.worlds import exponential, mixtures


@given(st.integers(2, 60))
def test_every_mixture_is_left_out_once(mixtures: int):
    folds = folds_of(mixtures)
    np.testing.assert_array_equal(folds.sum(axis=0), 1)
    assert folds.sum(axis=1).max() - folds.sum(axis=1).min() <= 1
    assert len(folds) == min(mixtures, 10)


def test_a_score_is_what_its_definition_says():
    measured, predicted = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0])
    score = Score.of(predicted, measured, np.eye(3, dtype=bool))
    assert score.rmse == pytest.approx(np.sqrt((0.25 + 0 + 1) / 3))
    assert score.relative == pytest.approx(score.rmse / (7 / 3))
    assert score.mean_rmse == pytest.approx(np.sqrt((2**2 + 0.5**2 + 2.5**2) / 3))
    assert score.spearman == 1
    gains = np.array([4 - 0.25, 0.25, 6.25 - 1])
    assert score.doubt == pytest.approx(gains.std(ddof=1) / np.sqrt(3))
    assert score.better_than_mean


def test_the_mean_itself_is_not_better_than_the_mean():
    measured = np.random.default_rng(0).normal(size=20)
    folds = folds_of(20)
    means = np.array([measured[~fold].mean() for fold in folds])[folds.argmax(axis=0)]
    assert not Score.of(means, measured, folds).better_than_mean


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_law_of_noise_is_refused_and_one_of_mixtures_is_not(noise: float):
    """Over 12 swarms: noise alone passes in one of twenty or so, and a clear law always."""
    passed = 0
    for seed in range(12):
        weights = mixtures(24, 4, seed)
        losses = np.random.default_rng(seed).normal(3, noise, (24, 1)) if noise else exponential(weights, 1, 0.01)
        folds = folds_of(24)
        predicted = LAWS.get("loglinear")().left_out(weights, losses, folds, seed=0)
        left_out = predicted[folds.argmax(axis=0), np.arange(24), 0]
        passed += Score.of(left_out, losses[:, 0], folds).better_than_mean
    assert passed <= 1 if noise else passed == 12


def test_ranks_need_something_to_rank():
    assert spearman(np.ones(5), np.arange(5.0)) is None
    assert spearman(np.array([3.0, 1.0, 2.0]), np.array([9.0, 2.0, 4.0])) == pytest.approx(1)
    assert spearman(np.arange(2.0), np.arange(2.0)) is None
