"""The three solvers against each other, against closed forms and against the optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simplex_references import convex_programme, projected_gradient
from mixopt.errors import ConfigError
from mixopt.solve import Bounds, PowerSum, solve_simplex

METHODS = (None, projected_gradient, convex_programme)


@st.composite
def problems(draw):
    """A law and bounds: exponents from near 0 to large, offsets of 0, flat domains, floors and caps that bind."""
    size = draw(st.integers(2, 8))

    def several(low, high):
        return np.array([draw(st.floats(low, high)) for _ in range(size)])

    amplitude = several(0.1, 5.0)
    amplitude[[draw(st.integers(0, 9)) == 0 for _ in range(size)]] = 0.0
    offset = several(0.01, 4.0)
    offset[[draw(st.booleans()) for _ in range(size)]] = 0.0
    exponent = np.exp(several(np.log(0.02), np.log(5.0)))
    floors = several(0.0, 0.9 / size) * draw(st.sampled_from([0.0, 1.0]))
    caps = np.minimum(1.0, np.maximum(several(0.5 / size, 1.0), floors + 0.01))
    if caps.sum() < 1.001:
        caps = np.ones(size)
    law = PowerSum(amplitude, offset, several(0.5, 20.0), exponent)
    return law, Bounds(tuple(f"d{i}" for i in range(size)), floors, caps)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(problems())
def test_the_three_solvers_agree_to_1e_6_in_the_weights(problem):
    law, bounds = problem
    kkt, gradient, cvxpy = (solve_simplex(law, bounds, method).weights for method in METHODS)
    np.testing.assert_allclose(gradient, kkt, atol=1e-6)
    np.testing.assert_allclose(cvxpy, kkt, atol=1e-6)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(problems())
def test_solution_is_feasible_and_satisfies_the_optimality_conditions(problem):
    law, bounds = problem
    solution = solve_simplex(law, bounds)
    w, slope = solution.weights, law.slope(solution.weights)
    assert abs(w.sum() - 1) < 1e-9
    assert (w >= bounds.floors - 1e-12).all()
    assert (w <= bounds.caps + 1e-12).all()
    tolerance = 1e-6 * (1 + solution.multiplier)
    at_floor, at_cap = w <= bounds.floors + 1e-9, w >= bounds.caps - 1e-9
    assert (slope[~at_floor] >= solution.multiplier - tolerance).all()
    assert (slope[~at_cap] <= solution.multiplier + tolerance).all()
    assert (solution.bound_multipliers[at_floor & ~at_cap] >= -tolerance).all()
    assert (solution.bound_multipliers[at_cap & ~at_floor] <= tolerance).all()


@settings(max_examples=50, deadline=None)
@given(problems(), st.integers(0, 2**32 - 1))
def test_no_random_feasible_mixture_is_better(problem, seed):
    from mixopt.solve.bounds import project

    law, bounds = problem
    best = solve_simplex(law, bounds).objective
    points = np.random.default_rng(seed).dirichlet(np.ones(law.shape[-1]), 50)
    others = project(points, bounds.floors, bounds.caps)
    assert (law.value(others) >= best - 1e-9 * abs(best)).all()


@pytest.mark.parametrize("method", METHODS)
def test_pure_powers_of_one_exponent_have_the_closed_form(method):
    """min Σ s_j w_j^−b: w_j ∝ s_j^(1/(b+1))."""
    s, b = np.array([1.0, 2.0, 8.0]), 2.0
    law = PowerSum(s, np.zeros(3), np.ones(3), np.full(3, b))
    expected = s ** (1 / (b + 1)) / (s ** (1 / (b + 1))).sum()
    solution = solve_simplex(law, Bounds.free("abc"), method)
    np.testing.assert_allclose(solution.weights, expected, atol=1e-9)
    np.testing.assert_allclose(solution.bound_multipliers, 0, atol=1e-9)


def test_bound_multiplier_is_the_price_of_one_more_unit_of_weight():
    law = PowerSum(np.ones(3), np.array([3.0, 1.0, 0.5]), np.full(3, 3.0), np.array([0.1, 1.0, 1.5]))
    floors = np.array([0.2, 0.0, 0.0])
    names = ("a", "b", "c")
    here = solve_simplex(law, Bounds(names, floors, np.ones(3)))
    step = 1e-5
    there = solve_simplex(law, Bounds(names, floors + step * np.eye(3)[0], np.ones(3)))
    assert here.bound_multipliers[0] > 0
    assert (there.objective - here.objective) / step == pytest.approx(here.bound_multipliers[0], rel=1e-3)


def test_a_batch_gives_what_its_problems_give_alone():
    rng = np.random.default_rng(3)
    law = PowerSum(*(rng.uniform(low, high, (5, 4)) for low, high in ((0, 2), (0, 2), (1, 4), (0.1, 3))))
    bounds = Bounds(tuple("abcd"), np.full(4, 0.05), np.full(4, 0.6))
    batch = solve_simplex(law, bounds)
    for row in range(5):
        alone = solve_simplex(law.at(row), bounds)
        np.testing.assert_allclose(batch.weights[row], alone.weights, atol=1e-12)
        assert batch.multiplier[row] == pytest.approx(float(alone.multiplier))


@pytest.mark.parametrize("method", METHODS)
def test_flat_domains_get_floors_and_share_what_the_others_cannot_take(method):
    law = PowerSum(np.array([1.0, 0.0, 0.0]), np.ones(3), np.ones(3), np.ones(3))
    names = ("a", "b", "c")
    free = solve_simplex(law, Bounds(names, np.array([0, 0.1, 0.05]), np.ones(3)), method)
    np.testing.assert_allclose(free.weights, [0.85, 0.1, 0.05], atol=1e-9)
    capped = solve_simplex(law, Bounds(names, np.zeros(3), np.array([0.4, 1.0, 1.0])), method)
    np.testing.assert_allclose(capped.weights, [0.4, 0.3, 0.3], atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_floors_that_sum_to_one_are_the_answer(method):
    law = PowerSum(np.ones(2), np.zeros(2), np.ones(2), np.ones(2))
    solution = solve_simplex(law, Bounds(("a", "b"), np.array([0.3, 0.7]), np.ones(2)), method)
    np.testing.assert_allclose(solution.weights, [0.3, 0.7])


def test_a_cap_of_zero_where_the_law_is_infinite_is_refused():
    law = PowerSum(np.ones(2), np.array([0.0, 1.0]), np.ones(2), np.ones(2))
    with pytest.raises(ConfigError, match="'a' has a cap of 0"):
        solve_simplex(law, Bounds(("a", "b"), np.zeros(2), np.array([0.0, 1.0])))


@pytest.mark.parametrize("field", ["amplitude", "offset", "scale", "exponent"])
@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_laws_outside_the_convex_family_are_refused(field, bad):
    arrays = {"amplitude": np.ones(2), "offset": np.ones(2), "scale": np.ones(2), "exponent": np.ones(2)}
    arrays[field] = np.array([1.0, bad])
    with pytest.raises(ConfigError, match=field):
        PowerSum(**arrays)
