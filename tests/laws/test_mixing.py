"""Exponential mixing laws: known laws, a reference optimiser, and one batch against many fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from mixopt.laws.mixing import MixingLaw, fit_mixing_law
from tests.methods.swarm.regressors.worlds import exponential, mixtures

WEIGHTS = mixtures(30, 4)
NOISY = exponential(WEIGHTS, 3, noise=0.02).T


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 8), st.integers(1, 4), st.integers(0, 10_000))
def test_exact_losses_give_the_law_back(domains: int, losses: int, seed: int):
    rng = np.random.default_rng(seed)
    weights = mixtures(6 * domains, domains, seed)
    slope, floor = rng.uniform(-3, 1, (losses, domains)), rng.uniform(0.5, 3, losses)
    law = fit_mixing_law(weights, floor[:, None] + np.exp(slope @ weights.T))
    np.testing.assert_allclose(law.floor, floor, atol=0.02)
    np.testing.assert_allclose(law.slope, slope, atol=0.1)


@pytest.mark.slow
def test_no_optimiser_from_many_starts_finds_a_better_law():
    law = fit_mixing_law(WEIGHTS, NOISY)
    rng = np.random.default_rng(0)
    for y, cost in zip(NOISY, law.cost, strict=True):

        def residual(theta: np.ndarray, y: np.ndarray = y) -> np.ndarray:
            return np.exp(theta[0]) + np.exp(WEIGHTS @ theta[1:]) - y

        starts = rng.uniform([-2, -1, -1, -1, -1], [1, 1, 1, 1, 1], (20, 5))
        best = min(2 * least_squares(residual, start).cost for start in starts)
        assert cost <= best * 1.001


def test_every_loss_of_a_batch_is_fitted_as_if_alone():
    together = fit_mixing_law(WEIGHTS, NOISY)
    for row, y in enumerate(NOISY):
        alone = fit_mixing_law(WEIGHTS, y[None])
        np.testing.assert_allclose(alone.predict(WEIGHTS)[0], together.predict(WEIGHTS)[row], atol=1e-5)


def test_runs_of_no_precision_are_as_if_they_were_not_there():
    seen = np.ones_like(NOISY)
    seen[:, ::3] = 0
    kept = seen[0] > 0
    law = fit_mixing_law(WEIGHTS, np.where(seen > 0, NOISY, 7.0), precision=seen)
    apart = fit_mixing_law(WEIGHTS[kept], NOISY[:, kept])
    np.testing.assert_allclose(law.predict(WEIGHTS), apart.predict(WEIGHTS), atol=1e-5)


def test_a_loss_that_flattens_as_it_rises_needs_a_negative_factor():
    slope = np.array([-3.0, 0.5, 0.0, 0.2])
    truth = (4 - np.exp(WEIGHTS @ slope))[None]
    flattening = fit_mixing_law(WEIGHTS, truth, negative=True)
    assert flattening.sign[0] == -1
    np.testing.assert_allclose(flattening.predict(WEIGHTS), truth, atol=1e-4)
    assert fit_mixing_law(WEIGHTS, truth).cost[0] > 10 * flattening.cost[0]
    factor, centred = flattening.factor()
    assert factor[0] < 0
    assert centred.sum() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(factor * np.exp(WEIGHTS @ centred[0]), truth[0] - flattening.floor, atol=1e-4)


def test_the_negative_factor_is_kept_only_where_it_fits_better():
    np.testing.assert_array_equal(fit_mixing_law(WEIGHTS, NOISY, negative=True).sign, 1.0)


def test_an_outlier_moves_the_robust_law_little():
    """Of a mixture among others: one that stands alone moves any law, robust or not."""
    spoilt = NOISY.copy()
    spoilt[:, np.abs(WEIGHTS - 0.25).sum(axis=1).argmin()] += 0.5
    truth = exponential(WEIGHTS, 3).T
    plain = np.abs(fit_mixing_law(WEIGHTS, spoilt).predict(WEIGHTS) - truth).max()
    robust = np.abs(fit_mixing_law(WEIGHTS, spoilt, robust=True).predict(WEIGHTS) - truth).max()
    assert robust < 0.5 * plain


def test_a_floor_is_never_below_zero():
    falling = 0.2 - 0.15 * WEIGHTS[:, 0]
    assert fit_mixing_law(WEIGHTS, falling[None]).floor[0] >= 0


def test_a_start_near_the_answer_gives_the_same_law():
    law = fit_mixing_law(WEIGHTS, NOISY)
    again = fit_mixing_law(WEIGHTS, NOISY, start=law)
    np.testing.assert_allclose(again.predict(WEIGHTS), law.predict(WEIGHTS), atol=1e-5)


def test_laws_predict_common_mixtures_and_their_own():
    law = fit_mixing_law(WEIGHTS, NOISY)
    own = np.stack([WEIGHTS[:5], WEIGHTS[5:10], WEIGHTS[10:15]])
    np.testing.assert_allclose(law.predict(own)[1], law.predict(WEIGHTS[5:10])[1])
    assert isinstance(law.take(np.array([2, 0])).reshape(2, 1), MixingLaw)
    np.testing.assert_array_equal(law.take(np.array([2, 0])).floor, law.floor[[2, 0]])
