"""Percentile intervals hold 95 % of the replicates, and the estimate always."""

from __future__ import annotations

import numpy as np
import pytest

from mixopt.methods.intervals import Prediction, forecast, percentiles, weight_intervals
from mixopt.mixture import Mixture

DRAWS = np.arange(1001) / 1000


def test_the_ends_cut_off_a_fortieth_on_either_side():
    assert percentiles(0.5, DRAWS) == pytest.approx((0.025, 0.975))


@pytest.mark.parametrize(("value", "ends"), [(-1.0, (-1.0, 0.975)), (2.0, (0.025, 2.0))])
def test_an_estimate_outside_its_replicates_is_held_all_the_same(value, ends):
    assert percentiles(value, DRAWS) == pytest.approx(ends)


def test_weights_have_theirs_by_domain():
    draws = np.stack([DRAWS, 1 - DRAWS / 2], axis=1)
    found = weight_intervals(Mixture(("code", "law"), (0.25, 0.75)), draws)
    assert list(found) == ["code", "law"]
    assert found["code"] == pytest.approx((0.025, 0.975))
    assert found["law"] == pytest.approx((0.5125, 0.9875))


def test_an_error_that_replicates_do_not_hold_is_added_in_quadrature():
    low, high = percentiles(0.5, DRAWS, error=0.5)
    assert (0.5 - low, high - 0.5) == pytest.approx([np.hypot(0.475, 0.98)] * 2)


def test_a_gain_is_of_replicates_and_the_optimism_lowers_it_but_not_over_the_mixture_itself():
    here, there = np.array([0.5, 0.5]), np.array([0.8, 0.2])
    best, other = Prediction(here, 2.0, np.full(9, 2.0)), Prediction(there, 2.5, np.full(9, 2.5))
    predicted, gains = forecast(best, {"same": best, "other": other}, optimism=0.1)
    assert predicted["recommended"].high == pytest.approx(2.1)
    assert predicted["other"].high == pytest.approx(2.5)
    assert (gains["other"].low, gains["other"].value, gains["other"].high) == pytest.approx((0.16, 0.2, 0.2))
    assert (gains["same"].low, gains["same"].value) == (0.0, 0.0)


def test_the_law_s_error_of_a_gain_is_less_between_near_mixtures():
    best = Prediction(np.array([0.5, 0.5]), 2.0, np.full(9, 2.0))
    near, far = (Prediction(np.array([0.5 + d, 0.5 - d]), 2.5, np.full(9, 2.5)) for d in (0.1, 0.3))
    _, gains = forecast(best, {"near": near, "far": far}, between={"near": 0.02, "far": 0.02}, usual=0.2)
    widths = [gains[name].high - gains[name].value for name in ("near", "far")]
    assert widths == pytest.approx([1.96 * 0.01, 1.96 * 0.02])
