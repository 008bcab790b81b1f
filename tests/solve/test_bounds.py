"""Floors and caps, and what is said of those that cannot be met."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.solve import Bounds, Supply, make_bounds, parse_floor
from mixopt.solve.bounds import project


@pytest.mark.parametrize(("text", "value"), [("0.2x", 0.05), ("0.02", 0.02), (0.1, 0.1), ("1X", 0.25), ("0", 0.0)])
def test_a_floor_is_a_weight_or_a_multiple_of_uniform(text, value):
    assert parse_floor(text, 4) == pytest.approx(value)


@pytest.mark.parametrize("text", ["x", "a lot", "-0.1", "nan", "1.5", "9x", ""])
def test_a_floor_that_is_neither_is_refused(text):
    with pytest.raises(ConfigError, match="expected a weight such as"):
        parse_floor(text, 4)


def test_caps_are_the_epochs_that_the_text_allows():
    supply = Supply({"a": 100, "b": 5000}, target_tokens=1000, max_epochs=4)
    np.testing.assert_allclose(make_bounds(("a", "b"), "0.1x", supply).caps, [0.4, 1.0])
    assert supply.epochs(Mixture.from_dict({"a": 0.4, "b": 0.6})) == pytest.approx({"a": 4.0, "b": 0.12})


def test_epochs_of_an_empty_domain_are_infinite_when_it_is_wanted():
    supply = Supply({"a": 0, "b": 10}, target_tokens=10)
    assert supply.epochs(Mixture.from_dict({"a": 0.5, "b": 0.5}))["a"] == math.inf
    assert supply.epochs(Mixture.from_dict({"a": 0.0, "b": 1.0}))["a"] == 0


def test_floors_above_one_in_sum_name_the_domains():
    with pytest.raises(ConfigError, match=r"floors: .*1\.2, .*: code 0\.7, web 0\.5"):
        Bounds(("code", "web", "books"), np.array([0.7, 0.5, 0.0]), np.ones(3))


def test_caps_below_one_in_sum_name_the_domains():
    with pytest.raises(ConfigError, match=r"caps: .*0\.8.*code 0\.3, web 0\.5"):
        Bounds(("code", "web"), np.zeros(2), np.array([0.3, 0.5]))


def test_a_floor_above_its_cap_is_named():
    supply = Supply({"code": 10, "web": 10_000}, target_tokens=1000, max_epochs=1)
    with pytest.raises(ConfigError, match=r"floor of 'code', 0\.1, .*cap, 0\.01"):
        make_bounds(("code", "web"), 0.1, supply)


def test_a_domain_without_a_count_is_named():
    with pytest.raises(ConfigError, match="none given for 'web'"):
        make_bounds(("code", "web"), 0, Supply({"code": 10}, 100, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"a": -1}, 10), "available tokens of 'a'"),
        (({"a": math.nan}, 10), "available tokens of 'a'"),
        (({"a": 1}, 0), "target tokens"),
        (({"a": 1}, 10, 0), "max epochs"),
    ],
)
def test_a_supply_of_impossible_numbers_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Supply(*arguments)


@pytest.mark.parametrize("bad", [-0.1, 1.2, math.nan])
def test_a_bound_outside_zero_to_one_is_refused(bad):
    with pytest.raises(ConfigError, match=r"floors: .*0 to 1 for 'b'"):
        Bounds(("a", "b"), np.array([0.0, bad]), np.ones(2))


def test_floors_that_sum_to_one_by_rounding_are_feasible():
    assert Bounds(tuple("abcde"), np.full(5, 0.2), np.ones(5)).floors.sum() == pytest.approx(1)


def test_weights_at_a_bound_have_prices():
    bounds = Bounds(("a", "b", "c"), np.array([0.1, 0.0, 0.0]), np.array([1.0, 0.5, 1.0]))
    weights = np.array([0.1, 0.5 - 1e-12, 0.4])
    assert bounds.at_floor(weights).tolist() == [True, False, False]
    assert bounds.at_cap(weights).tolist() == [False, True, False]
    assert bounds.prices(weights, np.array([1.0, -2.0, 3.0])) == {"a": 1.0, "b": -2.0}


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
