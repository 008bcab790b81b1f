"""Forecast errors: none where a law holds exactly, and NaN where there is nothing to say."""

from __future__ import annotations

import numpy as np
import pytest

from mixopt.laws.annealing import AnnealingLaws, RateSchedule
from mixopt.laws.domain_law import DomainLaws
from mixopt.laws.forecast_error import FRACTIONS, MIN_POINTS, forecast_errors, last_losses

TOTAL = 1e6
RATE = RateSchedule(total=TOTAL, shape="linear", warmup=0.05, final=0.1, memory=0.05)
TOKENS = np.linspace(0.01, 1, 200) * TOTAL
LAWS = AnnealingLaws(
    DomainLaws(np.array([4.0, 5.0]), np.log([2.0, 1.5]), np.array([0.3, 0.4])),
    np.array([0.15, 0.1]) / RATE.annealing(TOTAL),
    RATE,
)


def errors(losses, weights=None):
    weights = np.ones_like(losses) if weights is None else weights
    return {(e.law, e.fraction): e for e in forecast_errors(TOKENS, losses, weights, RATE)}


def test_the_law_that_holds_forecasts_the_end_and_the_other_overestimates_it():
    found = errors(LAWS.loss(TOKENS))
    assert [key[1] for key in found] == [fraction for fraction in FRACTIONS for _ in range(2)]
    for fraction in (1 / 2, 5 / 6):
        assert found["schedule-aware", fraction].median < 1e-4
        assert found["power", fraction].median > 5 * found["schedule-aware", fraction].median


@pytest.mark.slow
def test_a_power_law_is_forecast_by_the_power_law():
    losses = LAWS.forward.loss(TOKENS)
    for fraction in FRACTIONS:
        np.testing.assert_allclose(errors(losses)["power", fraction].errors, 0, atol=1e-4)


def test_the_last_stretch_is_a_weighted_mean_of_what_is_there():
    losses = np.column_stack([np.linspace(3, 2, 200), np.full(200, 5.0)])
    weights = np.ones_like(losses)
    weights[-1, 0], weights[:, 1] = 3.0, 0.0
    late = TOKENS > 0.95 * TOTAL
    assert 5 < late.sum() < 15
    found = last_losses(TOKENS, losses, weights, TOTAL)
    assert found[0] == pytest.approx(np.average(losses[late, 0], weights=weights[late, 0]))
    assert np.isnan(found[1])


def test_losses_without_weight_may_be_nan():
    losses = LAWS.loss(TOKENS)
    weights = np.ones_like(losses)
    weights[::4, 1] = 0
    found = errors(np.where(weights > 0, losses, np.nan), weights)
    assert found["schedule-aware", 1 / 2].median < 1e-3


def test_a_domain_with_few_points_has_no_error_and_does_not_count():
    losses = LAWS.loss(TOKENS)
    weights = np.zeros_like(losses)
    weights[:, 0] = 1
    weights[-(MIN_POINTS - 1) :, 1] = 1
    found = errors(losses, weights)["power", 1 / 2]
    assert np.isnan(found.errors).tolist() == [False, True]
    assert found.median == abs(found.errors[0])


def test_before_there_are_points_enough_nothing_is_forecast():
    few = slice(0, None, 20)
    found = forecast_errors(TOKENS[few], LAWS.loss(TOKENS[few]), np.ones((10, 2)), RATE)
    assert len(found) == 6
    assert all(np.isnan(error.median) for error in found)
