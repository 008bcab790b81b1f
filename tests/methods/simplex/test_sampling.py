"""Draws between bounds have the distribution that rejection would give, at any number of domains."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ks_2samp, qmc

from mixopt.methods.simplex.sampling import dirichlet_within, uniform_within
from mixopt.solve import Bounds

FLOORS = np.array([0.02, 0.0, 0.05, 0.0])
CAPS = np.array([0.4, 0.5, 0.9, 0.3])


def kept_by_rejection(concentration: list[float], count: int) -> np.ndarray:
    drawn = np.random.default_rng(1).dirichlet(concentration, 60 * count)
    inside = ((drawn >= FLOORS) & (drawn <= CAPS)).all(axis=1)
    assert inside.sum() >= count
    return drawn[inside][:count]


def differ(one: np.ndarray, other: np.ndarray) -> float:
    """The least p-value of weights and of their ratios."""
    pairs = [(one[:, j], other[:, j]) for j in range(one.shape[1])]
    pairs += [(one[:, 0] - one[:, 1], other[:, 0] - other[:, 1])]
    return min(ks_2samp(a, b).pvalue for a, b in pairs)


@pytest.mark.parametrize("concentration", [[1, 1, 1, 1], [0.3, 2, 0.5, 1], [0.1, 0.3, 0.2, 0.6]])
def test_conditioned_dirichlets_are_those_of_rejection(concentration: list[float]):
    drawn = dirichlet_within(np.tile(concentration, (4000, 1)), FLOORS, CAPS, np.random.default_rng(0))
    assert differ(drawn, kept_by_rejection(concentration, 4000)) > 1e-3


def test_the_map_of_the_cube_turns_uniform_into_uniform():
    cube = np.random.default_rng(0).random((4000, 3))
    assert differ(uniform_within(cube, Bounds(tuple("abcd"), FLOORS, CAPS)), kept_by_rejection([1] * 4, 4000)) > 1e-3


def test_without_caps_the_map_is_stick_breaking():
    cube = np.random.default_rng(0).random((50, 4))
    left, expected = np.ones(50), []
    for k in range(4):
        expected.append(left * (1 - (1 - cube[:, k]) ** (1 / (4 - k))))
        left = left - expected[-1]
    drawn = uniform_within(cube, Bounds.free("abcde"))
    # The k-th conditional of a uniform point is Beta(1, m − 1 − k), by either end of the unit interval.
    other = uniform_within(1 - cube, Bounds.free("abcde"))
    found = np.minimum(np.abs(drawn[:, 0] - expected[0]).max(), np.abs(other[:, 0] - expected[0]).max())
    assert found < 1e-6


@pytest.mark.parametrize("cap", [0.021, 0.03, 0.5])
def test_fifty_domains_under_tight_caps_are_symmetric(cap: float):
    bounds = Bounds(tuple(map(str, range(50))), np.zeros(50), np.full(50, cap))
    drawn = uniform_within(qmc.Sobol(49, rng=np.random.default_rng(0)).random_base2(10), bounds)
    np.testing.assert_allclose(drawn.mean(axis=0), 0.02, rtol=0.06)
    even = drawn.std(axis=0)
    assert even.max() < 1.25 * even.min()
    chained = dirichlet_within(np.ones((512, 50)), bounds.floors, bounds.caps, np.random.default_rng(0))
    assert chained.std() == pytest.approx(drawn.std(), rel=0.1)


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    size = draw(st.integers(2, 12))
    floors = draw(arrays(np.float64, size, elements=st.floats(0, 1))) / (2 * size)
    reach = draw(arrays(np.float64, size, elements=st.floats(0, 1)))
    caps = np.minimum(floors + reach, 1.0)
    if caps.sum() < 1:
        caps = np.minimum(1.0, caps + (1.001 - caps.sum()) / size)
    if caps.sum() < 1:
        caps[:] = 1.0
    return Bounds(tuple(map(str, range(size))), floors, caps)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(bounds(), st.integers(0, 2**32), st.floats(0.01, 10))
def test_draws_are_mixtures_within_bounds(bounds: Bounds, seed: int, strength: float):
    size = len(bounds.domains)
    rng = np.random.default_rng(seed)
    chained = dirichlet_within(np.full((9, size), strength / size), bounds.floors, bounds.caps, rng)
    mapped = uniform_within(rng.random((9, size - 1)), bounds)
    for drawn in (chained, mapped):
        np.testing.assert_allclose(drawn.sum(axis=1), 1, atol=1e-9)
        assert (drawn >= bounds.floors - 1e-9).all()
        assert (drawn <= bounds.caps + 1e-9).all()
