"""The batched fit against scipy, against laws it must recover, and against itself one problem at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from mixopt.laws.power import LOG_A, LOG_B, Prior, exact_branches, fit_power

X = np.array([[1 / 9, 1 / 3, 1.0, 3.0, 9.0]])
SD = np.full((1, 5), 0.002)


def law(x, a, b, c):
    return (x + a) ** -b + c


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.floats(0.05, 5), st.floats(0.1, 3), st.floats(-1, 1))
def test_exact_points_of_a_law_are_fitted_exactly(a, b, c):
    y = law(X, a, b, c)
    fit = fit_power(X, y, SD)
    np.testing.assert_allclose(fit.curve(X[0]), y[0], atol=1e-7)


def test_parameters_are_recovered_where_five_points_determine_them():
    fit = fit_power(X, law(X, 0.7, 1.3, 0.4), SD)
    assert (fit.a[0], fit.b[0], fit.c[0]) == pytest.approx((0.7, 1.3, 0.4), abs=1e-6)


def scipy_cost(x, y, sd, prior):
    """The documented cost, minimised by a general method from many starts, with c free."""

    def cost(theta):
        residual = ((y - law(x, *np.exp(theta[:2]), theta[2])) / sd) ** 2
        pull = ((theta[:2] - prior.centre) / prior.spread) ** 2 if prior else 0.0
        return residual.sum() + np.sum(pull)

    bounds = [LOG_A, LOG_B, (-60.0, 60.0)]
    starts = [(np.log(a), np.log(b), y.mean()) for a, b in ((0.1, 0.1), (1, 0.5), (1, 2), (5, 2))]
    return min(minimize(cost, start, bounds=bounds, options={"ftol": 1e-15}).fun for start in starts)


@pytest.mark.slow
@pytest.mark.parametrize("prior", [None, Prior()])
def test_no_general_minimiser_finds_a_lower_cost(prior):
    rng = np.random.default_rng(5)
    x, sd = np.array([1 / 3, 1.0, 3.0]), np.full(3, 0.003)
    for _ in range(6):
        a, b = np.exp(rng.normal(0, 0.8, 2))
        y = law(x, a, b, 0.0) + rng.normal(0, 0.003, 3)
        fit = fit_power(x[None], y[None], sd[None], prior)
        theta = np.log([fit.a[0], fit.b[0]])
        ours = fit.residual[0] + (np.sum(((theta - prior.centre) / prior.spread) ** 2) if prior else 0.0)
        assert ours <= scipy_cost(x, y, sd, prior) * (1 + 1e-6) + 1e-6


def test_a_batch_gives_what_its_problems_give_alone():
    rng = np.random.default_rng(2)
    x = np.exp(rng.normal(0, 1, (3, 4)))
    y = law(x, 1.0, 0.8, 0.2) + rng.normal(0, 0.01, (6, 3, 4))
    sd, shift = np.full((3, 4), 0.01), rng.normal(0, 0.5, (6, 3, 2))
    batch = fit_power(x, y, sd, Prior(), shift)
    for i, j in np.ndindex(6, 3):
        alone = fit_power(x[[j]], y[[i]][:, [j]], sd[[j]], Prior(), shift[[i]][:, [j]])
        np.testing.assert_allclose([batch.a[i, j], batch.b[i, j]], [alone.a[0, 0], alone.b[0, 0]], rtol=1e-6)


def test_a_point_of_infinite_deviation_is_as_if_it_were_not_there():
    y = law(X, 0.7, 1.3, 0.4)
    rough = y + np.array([[0, 0, 0, 0, 5.0]])
    sd = np.where(np.arange(5) == 4, np.inf, SD)
    fit = fit_power(X, rough, sd, Prior())
    short = fit_power(X[:, :4], y[:, :4], SD[:, :4], Prior())
    np.testing.assert_allclose([fit.a, fit.b, fit.c], [short.a, short.b, short.c], rtol=1e-7)


def test_a_rising_line_is_fitted_flat():
    fit = fit_power(X, 1 + 0.05 * np.log(X), SD)
    assert np.ptp(fit.curve(X[0])) < 1e-3


def test_two_points_and_a_prior_give_a_law_through_both():
    x, y = np.array([[1.0, 3.0]]), np.array([[1.0, 0.95]])
    fit = fit_power(x, y, np.full((1, 2), 1e-4), Prior())
    np.testing.assert_allclose(fit.curve(x[0]), y[0], atol=1e-3)


def test_a_wider_deviation_lets_the_prior_pull_harder():
    y = law(X, 3.0, 3.0, 0.0)
    prior = Prior()
    tight, loose = (fit_power(X, y, np.full((1, 5), sd), prior) for sd in (1e-6, 10.0))
    assert (tight.a[0], tight.b[0]) == pytest.approx((3.0, 3.0), rel=1e-3)
    assert (loose.a[0], loose.b[0]) == pytest.approx((prior.a_median, prior.b_median), rel=1e-2)


def test_three_points_have_two_exact_laws_and_both_are_found():
    """A law of b = 1.25 through three points: another of smaller b goes through them too."""
    x = np.array([[0.2, 1.0, 3.0]])
    y = law(x, 2.67, 1.25, 0.8)
    low, high = exact_branches(x, y, np.full((1, 3), 0.003))
    assert high.b[0] == pytest.approx(1.25, abs=1e-6)
    assert low.b[0] < 0.3
    for fit in (low, high):
        np.testing.assert_allclose(fit.curve(x[0]), y[0], atol=1e-9)


def test_a_law_that_is_determined_has_one_branch():
    low, high = exact_branches(X, law(X, 0.7, 1.3, 0.4), SD)
    assert low.b[0] == pytest.approx(high.b[0], rel=1e-5)


def test_replicates_from_a_start_stay_on_its_branch():
    x = np.array([[0.2, 1.0, 3.0]])
    y = law(x, 2.67, 1.25, 0.8)
    sd = np.full((1, 3), 0.003)
    for branch in exact_branches(x, y, sd):
        start = np.log(np.stack([branch.a, branch.b], axis=-1))
        again = fit_power(x, np.broadcast_to(y, (4, 1, 3)), sd, start=start)
        np.testing.assert_allclose(again.b, np.broadcast_to(branch.b, (4, 1)), rtol=1e-6)
