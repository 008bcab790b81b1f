"""Percentile intervals hold 95 % of the replicates, and the estimate always."""

from __future__ import annotations

import numpy as np
import pytest

from mixopt.methods.intervals import percentiles, weight_intervals
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
