"""The two-way layout against closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from mixopt.history import RunEffects


def balanced(cells: int, seeds: int):
    return np.repeat(np.arange(cells), seeds), np.tile(np.arange(seeds), cells)


def test_in_a_balanced_layout_effects_are_means_over_seeds():
    cell, seed = balanced(4, 3)
    values = np.random.default_rng(0).normal(size=12)
    layout = RunEffects.of(cell, seed, 4)
    np.testing.assert_allclose(layout.operator @ values, values.reshape(4, 3).mean(axis=1))
    np.testing.assert_allclose(layout.spread, 3**-0.5)
    assert layout.freedom == 3 * 2


def test_noise_is_the_two_way_residual_and_common_shifts_do_not_count():
    cell, seed = balanced(5, 4)
    values = np.random.default_rng(1).normal(size=(5, 4))
    centred = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    expected = np.sqrt((centred**2).sum() / 12)
    layout = RunEffects.of(cell, seed, 5)
    assert layout.noise(values.ravel()) == pytest.approx(expected)
    shifted = values + np.array([0, 10, -5, 3]) + np.arange(5)[:, None]
    assert layout.noise(shifted.ravel()) == pytest.approx(expected)


def test_a_missing_run_does_not_bias_its_cell_by_the_seed_that_it_lacks():
    cell, seed = balanced(4, 3)
    kept = np.arange(12) != 5
    layout = RunEffects.of(cell[kept], seed[kept], 4)
    values = (np.arange(4.0)[:, None] + np.array([0.0, 1.0, 10.0])).ravel()[kept]
    effects = layout.operator @ values
    np.testing.assert_allclose(np.diff(effects), 1.0)
    assert layout.noise(values) == pytest.approx(0, abs=1e-12)


def test_without_repeats_there_is_no_noise_estimate():
    layout = RunEffects.of(np.arange(5), np.zeros(5, dtype=np.int64), 5)
    assert layout.noise(np.arange(5.0)) is None
    np.testing.assert_allclose(layout.operator, np.eye(5))


def test_seeds_that_no_cells_share_are_not_taken_out():
    """A table whose every run has a seed of its own says nothing about seeds."""
    layout = RunEffects.of(np.arange(4), np.arange(4), 4)
    np.testing.assert_allclose(layout.operator @ np.array([1.0, 2.0, 3.0, 4.0]), [1, 2, 3, 4], atol=1e-12)
