"""Tokens to reach a value, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from mixopt.study.compare.pairs import first_crossing, not_available, reach

TOKENS = np.arange(1, 21) * 1e5


def law(amplitude: float, tokens: np.ndarray = TOKENS) -> np.ndarray:
    return 3 + amplitude * tokens**-0.3


def exact(amplitude: float, baseline: float) -> float:
    """Tokens at which 3 + amplitude·t^−0.3 is where the baseline's law is at the end."""
    return (amplitude / baseline) ** (1 / 0.3) * TOKENS[-1]


@pytest.mark.parametrize("amplitude", [60.0, 55.0, 52.0, 45.0])
def test_a_power_law_is_crossed_where_it_says(amplitude: float):
    found = first_crossing(TOKENS, law(amplitude), law(60.0)[-1])
    assert found == pytest.approx(exact(amplitude, 60.0), rel=2e-4)


def test_a_value_that_is_never_reached_gives_none():
    assert first_crossing(TOKENS, law(60.0), law(59.9)[-1]) is None


def test_a_value_reached_at_the_first_point_gives_that_point():
    assert first_crossing(TOKENS, law(60.0), 100.0) == TOKENS[0]


def test_the_first_of_several_crossings_counts_and_lies_between_its_points():
    values = np.array([5.0, 4.0, 4.5, 3.0])
    found = first_crossing(np.array([1.0, 2.0, 3.0, 4.0]), values, 4.2)
    assert found is not None
    assert 1 < found < 2


def test_a_rise_through_noise_does_not_move_a_later_crossing_out_of_its_interval():
    values = np.array([5.0, 4.0, 4.9, 3.0])
    found = first_crossing(np.array([1.0, 2.0, 3.0, 4.0]), values, 3.5)
    assert found is not None
    assert 3 < found < 4


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=12), st.floats(0.05, 12))
def test_a_crossing_lies_where_the_curve_goes_through_the_target(values: list[float], target: float):
    tokens = np.arange(1, len(values) + 1) * 100.0
    found = first_crossing(tokens, np.array(values), target)
    below = [index for index, value in enumerate(values) if value <= target]
    if not below:
        assert found is None
    else:
        assert found is not None
        assert tokens[max(0, below[0] - 1)] * (1 - 1e-9) <= found <= tokens[below[0]] * (1 + 1e-9)


def test_the_saving_is_that_of_the_law():
    amplitudes = [52.0, 52.0, 52.0]
    found = reach(TOKENS.tolist(), np.stack([law(a) for a in amplitudes]), np.full(3, law(60.0)[-1]), 2_000_000)
    assert found.saved == pytest.approx(1 - (52 / 60) ** (1 / 0.3), abs=2e-4)
    assert found.tokens == pytest.approx(exact(52.0, 60.0), rel=2e-4)
    assert found.low == pytest.approx(found.saved)
    assert found.high == pytest.approx(found.saved)
    assert found.reason is None


def test_the_interval_is_a_t_interval_of_the_seeds_own_crossings_on_a_log_scale():
    amplitudes = [50.0, 52.0, 54.0]
    found = reach(TOKENS.tolist(), np.stack([law(a) for a in amplitudes]), np.full(3, law(60.0)[-1]), 2_000_000)
    own = [math.log(exact(a, 60.0)) for a in amplitudes]
    width = t.ppf(0.975, 2) * np.std(own, ddof=1) / math.sqrt(3)
    assert found.seeds == pytest.approx([exact(a, 60.0) for a in amplitudes], rel=5e-4)
    assert found.tokens is not None
    assert found.low == pytest.approx(1 - found.tokens * math.exp(width) / 2e6, abs=1e-3)
    assert found.high == pytest.approx(1 - found.tokens * math.exp(-width) / 2e6, abs=1e-3)
    assert found.low < found.saved < found.high


def test_seeds_are_paired_with_the_baselines_own_end():
    """Shifts that a seed shares with the baseline's run leave its crossing where it was."""
    shifts = np.array([-0.2, 0.0, 0.3])
    values = law(52.0) + shifts[:, None]
    found = reach(TOKENS.tolist(), values, law(60.0)[-1] + shifts, 2_000_000)
    assert found.seeds == pytest.approx([exact(52.0, 60.0)] * 3, rel=2e-4)
    assert found.low == pytest.approx(found.high, abs=1e-9)


def test_a_baseline_that_trained_for_longer_is_measured_by_its_own_tokens():
    found = reach(TOKENS.tolist(), law(52.0)[None], law(60.0)[-1:], 4_000_000)
    assert found.saved == pytest.approx(1 - exact(52.0, 60.0) / 4e6, abs=1e-3)


def test_never_reached_is_said_with_both_values():
    found = reach(TOKENS.tolist(), law(62.0)[None], law(60.0)[-1:], 2_000_000)
    assert (found.tokens, found.saved, found.low, found.high) == (None, None, None, None)
    assert found.seeds == (None,)
    assert found.reason == "never reached: 3.798 at best in 2M tokens, the baseline ends at 3.772"


def test_no_interval_where_one_seed_never_gets_there():
    values = np.stack([law(50.0), law(50.0), law(61.0)])
    found = reach(TOKENS.tolist(), values, np.full(3, law(60.0)[-1]), 2_000_000)
    assert found.saved is not None
    assert found.low is None
    assert found.reason == "no interval: 1 of 3 seeds never reach it"


@pytest.mark.parametrize(("seeds", "paired", "reason"), [(1, True, "two seeds"), (3, False, "share no seed")])
def test_no_interval_without_pairs(seeds: int, paired: bool, reason: str):
    values = np.stack([law(50.0)] * seeds)
    found = reach(TOKENS.tolist(), values, np.full(seeds, law(60.0)[-1]), 2_000_000, paired=paired)
    assert found.saved is not None
    assert found.high is None
    assert reason in (found.reason or "")


def test_not_available_is_not_never():
    found = not_available("the data differ")
    assert found.reason == "not available: the data differ"
    assert found.seeds == ()
