"""Gains over a baseline: paired by seed against scipy, unpaired against Welch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mixopt.study.compare.pairs import Scores, relative_gain, versus

OWN = {0: 70.0, 1: 72.5, 2: 69.0}
BASE = {0: 75.0, 1: 76.0, 2: 71.0}


def test_the_gain_is_the_mean_over_pairs_with_scipys_t_test():
    found = versus(Scores(OWN, {}), Scores(BASE, {}))
    gains = [1 - OWN[seed] / BASE[seed] for seed in OWN]
    test = stats.ttest_1samp(gains, 0)
    interval = test.confidence_interval(0.95)
    assert found.gain.seeds == pytest.approx(gains)
    assert found.gain.value == pytest.approx(np.mean(gains))
    assert found.p_value == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.wins, found.losses, found.paired) == (3, 0, True)


def test_only_seeds_that_both_have_are_paired():
    found = versus(Scores({**OWN, 9: 1.0}, {}), Scores({**BASE, 7: 1.0}, {}))
    assert found.gain == versus(Scores(OWN, {}), Scores(BASE, {})).gain


def test_pairs_take_out_what_a_seed_does_to_both():
    own, base = {0: 90.0, 1: 180.0}, {0: 100.0, 1: 200.0}
    gain, _ = relative_gain(own, base)
    assert gain.value == pytest.approx(0.1)
    assert gain.standard_error == pytest.approx(0, abs=1e-15)


def test_without_a_common_seed_means_are_compared_with_welchs_freedom():
    rng = np.random.default_rng(0)
    own, base = 5000 + rng.standard_normal(4), 5003 + 2 * rng.standard_normal(5)
    found = versus(Scores(dict(enumerate(own.tolist())), {}), Scores(dict(enumerate(base.tolist(), start=10)), {}))
    assert not found.paired
    assert (found.wins, found.losses, found.gain.seeds) == (0, 0, ())
    assert found.gain.value == pytest.approx(1 - own.mean() / base.mean())
    # For a ratio near 1 the delta method is Welch's test of the difference, to first order.
    welch = stats.ttest_ind(own, base, equal_var=False)
    assert found.p_value == pytest.approx(welch.pvalue, rel=1e-2)
    se = math.hypot(stats.sem(own) / base.mean(), own.mean() * stats.sem(base) / base.mean() ** 2)
    assert found.gain.standard_error == pytest.approx(se)


def test_one_seed_has_a_gain_and_no_interval():
    found = versus(Scores({0: 9.0}, {}), Scores({0: 10.0}, {}))
    assert found.gain.value == pytest.approx(0.1)
    assert (found.gain.standard_error, found.low, found.p_value) == (None, None, None)
    unpaired = versus(Scores({0: 9.0}, {}), Scores({1: 10.0, 2: 10.0}, {}))
    assert (unpaired.gain.standard_error, unpaired.low) == (None, None)


def test_a_mixture_against_itself_wins_and_loses_nothing():
    found = versus(Scores(OWN, {"code": OWN}), Scores(OWN, {"code": OWN}))
    assert (found.gain.value, found.low, found.high, found.p_value) == (0, 0, 0, None)
    assert (found.wins, found.losses, found.domain_wins, found.domain_losses) == (0, 0, 0, 0)


def test_domains_are_won_and_lost_by_their_means():
    own = Scores(OWN, {"code": {0: 5.0, 1: 6.0}, "law": {0: 9.0, 1: 9.0}})
    base = Scores(BASE, {"code": {0: 6.0, 1: 6.0}, "law": {0: 8.0, 1: 8.0}})
    found = versus(own, base)
    assert found.domains["code"].seeds == pytest.approx((1 / 6, 0))
    assert found.domains["law"].value == pytest.approx(-1 / 8)
    assert (found.domain_wins, found.domain_losses) == (1, 1)


def test_constant_values_without_pairs_have_no_spread():
    gain, _ = relative_gain({0: 9.0, 1: 9.0}, {5: 10.0, 6: 10.0})
    assert (gain.value, gain.standard_error) == (pytest.approx(0.1), 0.0)
