"""The projection against scipy and against its optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize

from mixopt.solve.projection import project


def held(size: int):
    return arrays(np.float64, size, elements=st.floats(-3, 3))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    held(5),
    arrays(np.float64, 5, elements=st.floats(0, 0.2)),
    arrays(np.float64, 5, elements=st.floats(0.2, 1)),
    arrays(np.float64, 5, elements=st.floats(0.01, 100)),
)
def test_projection_is_feasible_and_no_feasible_point_is_nearer(points, floors, caps, metric):
    w = project(points, floors, caps, metric)
    assert abs(w.sum() - 1) < 1e-9
    assert (w >= floors).all()
    assert (w <= caps).all()
    # The variational inequality: (v − w)ᵀ D (z − w) ≤ 0 for every feasible z.
    corners = project(np.eye(5) * 9 - 3, floors, caps)
    assert (((points - w) * metric) @ (corners - w).T <= 1e-7).all()


def test_projection_agrees_with_a_general_solver():
    rng = np.random.default_rng(1)
    for _ in range(5):
        v, floors, caps = rng.normal(size=4), rng.uniform(0, 0.2, 4), rng.uniform(0.3, 0.7, 4)
        found = minimize(
            lambda w, v=v: ((w - v) ** 2).sum(), np.full(4, 0.25), bounds=list(zip(floors, caps, strict=True)),
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1}, options={"ftol": 1e-14},
        )  # fmt: skip
        np.testing.assert_allclose(project(v, floors, caps), found.x, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(held(6))
def test_projection_onto_the_plain_simplex_keeps_points_of_it(points):
    inside = np.exp(points) / np.exp(points).sum()
    np.testing.assert_allclose(project(inside, np.zeros(6), np.ones(6)), inside, atol=1e-12)


def test_a_batch_is_projected_row_by_row():
    points = np.random.default_rng(0).normal(size=(3, 4, 5))
    batch = project(points, np.zeros(5), np.full(5, 0.5))
    for index in np.ndindex(3, 4):
        np.testing.assert_allclose(batch[index], project(points[index], np.zeros(5), np.full(5, 0.5)))
