"""Loss curves that are kept step by step against those made from the whole history at once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter

from mixopt.policy.loss_curve import BinnedCurve, SampledCurve, SmoothedCurve


def history(steps, seed=0, present=0.7):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, 5, (steps, 3)) * (rng.random((steps, 3)) < present)
    return np.where(tokens > 0, rng.uniform(1, 4, (steps, 3)), np.nan), tokens


def fill(curve, losses, tokens, first=0):
    for step in range(first, len(losses)):
        curve.add(step, 8.0 * (step + 1), losses[step], tokens[step])
    return curve


@settings(deadline=None, max_examples=20)
@given(steps=st.integers(101, 1300), skip=st.sampled_from([0, 7, 60, 300]), stride=st.sampled_from([1, 3, 10]))
def test_smoothing_as_it_comes_equals_smoothing_the_whole_history(steps, skip, stride):
    losses, tokens = history(steps, seed=steps)
    filled = losses.copy()
    filled[0] = np.where(tokens[0] > 0, losses[0], np.nansum(losses[0] * tokens[0]) / max(tokens[0].sum(), 1))
    if not tokens[0].any():
        filled[0] = tokens[0] = losses[0] = 1.0
    for step in range(1, steps):
        filled[step] = np.where(tokens[step] > 0, losses[step], filled[step - 1])
    points = fill(SmoothedCurve(3, skip, stride), losses, tokens).points()
    np.testing.assert_allclose(points.losses, savgol_filter(filled.T, 101, 3)[:, skip::stride], atol=1e-12)
    np.testing.assert_array_equal(points.samples, 8.0 * np.arange(1, steps + 1)[skip::stride])


def test_smoothing_needs_a_window():
    assert fill(SmoothedCurve(3, 0, 1), *history(100)).points().samples.size == 0


def test_smoothing_waits_for_the_first_usable_loss():
    losses, tokens = history(260)
    losses[:20], tokens[:20] = np.nan, 0
    curve = fill(SmoothedCurve(3, 0, 10), losses[:110], tokens[:110])
    assert curve.points().samples.size == 0
    points = fill(curve, losses, tokens, first=110).points()
    assert np.isfinite(points.losses[points.weights > 0]).all()
    assert (points.weights > 0).any()


def test_sampling_takes_every_stride_th_step():
    losses, tokens = history(50)
    points = fill(SampledCurve(3, 5, 10), losses, tokens).points()
    np.testing.assert_array_equal(points.losses, losses[5::10].T)
    np.testing.assert_array_equal(points.weights, (tokens[5::10] > 0).T)
    np.testing.assert_array_equal(points.samples, 8.0 * np.arange(6, 51, 10))


def test_bins_are_means_by_tokens():
    losses, tokens = history(43)
    points = fill(BinnedCurve(3, 3, 10, 0), losses, tokens).points()
    bins = [slice(start, start + 10) for start in (3, 13, 23, 33)]
    sums = np.array([tokens[b].sum(axis=0) for b in bins])
    means = np.array([np.nansum(losses[b] * tokens[b], axis=0) for b in bins]) / sums
    np.testing.assert_allclose(points.losses, means.T)
    np.testing.assert_allclose(points.weights, (sums / sums.mean(axis=0)).T)
    np.testing.assert_allclose(points.samples, [8 * (b.start + 5.5) for b in bins])


def test_a_full_curve_halves_its_points_and_loses_no_token():
    losses, tokens = history(2000)
    small, whole = fill(BinnedCurve(3, 0, 1, 100), losses, tokens), fill(BinnedCurve(3, 0, 1, 0), losses, tokens)
    points, all_points = small.points(), whole.points()
    assert 50 <= points.samples.size <= 100
    assert points.samples.size * 32 == pytest.approx(2000, abs=32)
    width = 2000 // 32
    merged = fill(BinnedCurve(3, 0, 32, 0), losses, tokens).points()
    np.testing.assert_allclose(points.losses[:, :width], merged.losses[:, :width])
    np.testing.assert_allclose(points.samples[:width], merged.samples[:width])
    assert all_points.samples.size == 2000


@pytest.mark.parametrize(
    "make", [lambda: SampledCurve(3, 5, 10), lambda: SmoothedCurve(3, 5, 10), lambda: BinnedCurve(3, 5, 2, 20)]
)
@pytest.mark.parametrize("cut", [0, 3, 100, 180])
def test_save_load_continue(make, cut):
    losses, tokens = history(1200)
    straight, again = make(), make()
    fill(straight, losses[:cut], tokens[:cut])
    again.load_state_dict(json.loads(json.dumps(straight.state_dict())))
    for curve in (straight, again):
        fill(curve, losses, tokens, first=cut)
    for ours, theirs in zip(straight.points(), again.points(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
