"""Mixtures to choose from: within bounds, all over, and near good ones."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.methods.candidates import abroad, near
from mixopt.solve import Bounds

NAMES = tuple("abcdefghijklmnopqrst")


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), size=st.integers(2, 20))
def test_they_are_mixtures_within_bounds(seed, size):
    rng = np.random.default_rng(seed)
    floors = rng.dirichlet(np.ones(size)) * 0.3
    bounds = Bounds(NAMES[:size], floors, np.minimum(1.0, floors + 1.6 / size))
    natural = rng.dirichlet(np.ones(size))
    drawn = abroad(natural, bounds, 20, rng)
    for mixtures in (drawn, near(drawn[:3], bounds, 20, rng)):
        assert mixtures.shape == (20, size)
        np.testing.assert_allclose(mixtures.sum(axis=1), 1)
        assert (mixtures >= bounds.floors - 1e-9).all()
        assert (mixtures <= bounds.caps + 1e-9).all()


def test_near_is_near_and_abroad_is_not():
    rng, bounds = np.random.default_rng(0), Bounds.free(NAMES[:5])
    natural = np.full(5, 0.2)
    centre = np.array([[0.6, 0.3, 0.1, 0.0, 0.0]])
    distance = 0.5 * np.abs(near(centre, bounds, 300, rng) - centre).sum(axis=1)
    assert np.median(distance) < 0.08
    assert distance.max() > 0.1
    assert np.median(0.5 * np.abs(abroad(natural, bounds, 300, rng) - centre).sum(axis=1)) > 0.4
