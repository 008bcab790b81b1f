"""Floors: exact, and as published."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mixopt.policy.floor import Floor, published_clip
from mixopt.solve.projection import project

AMOUNTS = arrays(np.float64, st.integers(1, 30), elements=st.floats(1e-6, 1.0))


@settings(deadline=None)
@given(amounts=AMOUNTS, share=st.floats(0.0, 1.0))
def test_the_projection_is_that_of_the_solver_and_keeps_the_floor(amounts, share):
    weights = amounts / amounts.sum()
    floor = np.full(weights.size, share / weights.size)
    floor[::3] = 0
    projected = Floor(floor).project(weights)
    assert (projected >= floor - 1e-15).all()
    assert projected.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(projected, project(weights, floor, np.ones_like(floor)), atol=1e-12)


def test_what_is_missing_is_taken_evenly():
    projected = Floor(np.full(3, 0.1)).project(np.array([0.6, 0.4, 0.0]))
    np.testing.assert_allclose(projected, [0.55, 0.35, 0.1])


def test_the_published_clip_breaks_its_own_floor():
    one_hot = np.eye(22)[0]
    assert published_clip(one_hot, 0.01).min() == pytest.approx(0.01 / 1.21)
    assert Floor(np.full(22, 0.01)).project(one_hot).min() == pytest.approx(0.01)


def test_the_published_clip_is_raise_then_divide():
    weights = np.array([0.6, 0.395, 0.005])
    raised = np.maximum(weights, 0.01)
    np.testing.assert_allclose(published_clip(weights, 0.01), raised / raised.sum(), rtol=0, atol=1e-15)
