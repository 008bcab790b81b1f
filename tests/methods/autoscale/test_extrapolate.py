"""AutoScale's extrapolation against the paper's example, its formula, closed forms and known optima."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from mixopt.methods.autoscale.extrapolate import Growth
from mixopt.solve import Bounds, PowerSum, solve_simplex

# Kang et al. 2024, Remark 1: optimal tokens of two domains, and what follows from the first two.
EXAMPLE = {
    200: (100, 100), 500: (300, 200), 1300: (900, 400), 3500: (2700, 800), 9700: (8100, 1600),
    27500: (24300, 3200), 79300: (72900, 6400), 231500: (218700, 12800), 681700: (656100, 25600),
}  # fmt: skip
TWO = Growth.fit(np.array([200.0, 500.0]), np.array([[0.5, 0.5], [0.6, 0.4]]))


@pytest.mark.parametrize(("total", "amounts"), list(EXAMPLE.items()))
def test_the_papers_worked_example_is_exact(total, amounts):
    np.testing.assert_allclose(TWO.at(total) * total, amounts, rtol=1e-12)


@pytest.mark.parametrize(("steps", "total"), list(enumerate(list(EXAMPLE)[1:])))
def test_its_totals_are_whole_numbers_of_steps(steps, total):
    assert TWO.steps(total) == pytest.approx(steps, abs=1e-12)


def test_between_them_the_target_is_met_exactly_where_algorithm_2_goes_beyond():
    weights = TWO.at(1000)
    assert TWO.at(1300)[0] > weights[0] > TWO.at(500)[0]
    k = np.log(weights[0] * 1000 / 300) / np.log(3)
    assert weights[1] * 1000 == pytest.approx(200 * 2**k, rel=1e-12)


shares = st.integers(2, 9).flatmap(
    lambda k: st.tuples(*[st.lists(st.floats(0.02, 1.0), min_size=k, max_size=k) for _ in range(2)])
)


def pair(drawn) -> np.ndarray:
    weights = np.array(drawn)
    return weights / weights.sum(axis=1, keepdims=True)


@given(shares, st.floats(1.3, 50.0), st.floats(1.0, 1e4))
@settings(max_examples=150, deadline=None)
def test_two_scales_give_the_formula_at_the_exponent_that_meets_the_target(drawn, ratio, times):
    weights = pair(drawn)
    totals = np.array([1e6, 1e6 * ratio])
    growth = Growth.fit(totals, weights)
    target = totals[1] * times
    n1, n2 = weights * totals[:, None]
    k = float(growth.steps(target))
    amounts = n2 * (n2 / n1) ** k
    assert k >= -1e-9
    assert amounts.sum() == pytest.approx(target, rel=1e-9)
    found = growth.at(target)
    assert found.sum() == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(found, amounts / target, rtol=1e-8, atol=1e-12)


@given(shares, st.floats(1e-3, 1e6), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_units_and_the_order_of_domains_do_not_matter(drawn, unit, random):
    weights = pair(drawn)
    order = list(range(weights.shape[1]))
    random.shuffle(order)
    found = Growth.fit(np.array([1.0, 4.0]), weights).at(60.0)
    np.testing.assert_allclose(Growth.fit(np.array([unit, 4 * unit]), weights).at(60 * unit), found, rtol=1e-7)
    np.testing.assert_allclose(Growth.fit(np.array([1.0, 4.0]), weights[:, order]).at(60.0), found[order], rtol=1e-9)


@given(shares, st.integers(0, 2**32 - 1), st.floats(1.1, 1e3))
@settings(max_examples=80, deadline=None)
def test_bounds_hold_and_domains_at_none_of_them_share_one_position(drawn, seed, times):
    weights = pair(drawn)
    size = weights.shape[1]
    rng = np.random.default_rng(seed)
    floors, caps = rng.uniform(0, 0.6 / size, size), np.minimum(1, rng.uniform(1.2 / size, 3 / size, size))
    # All of them grow: the sum then rises with the position, and the answer is unique.
    growth = Growth.fit(np.array([1.0, 100.0]), weights)
    growth = Growth.fit(np.array([1.0, 100.0 * np.exp(max(0.0, 0.1 - float(growth.rate.min())))]), weights)
    target = float(growth.totals[-1]) * times
    found = growth.at(target, Bounds(tuple(map(str, range(size))), floors, caps))
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert (found >= floors - 1e-12).all()
    assert (found <= caps + 1e-12).all()
    free = (found > floors + 1e-9) & (found < caps - 1e-9)
    position = (np.log(found * target) - growth.level) / growth.rate
    if free.sum() > 1:
        assert np.ptp(position[free]) < 1e-6
    if free.any():
        # A capped domain would be further at the common position, a floored one not so far.
        at = np.exp(growth.level + growth.rate * position[free][0]) / target
        assert (at[found >= caps - 1e-9] >= caps[found >= caps - 1e-9] - 1e-6).all()
        assert (at[found <= floors + 1e-9] <= floors[found <= floors + 1e-9] + 1e-6).all()


def power_law_optima(totals, offset=0.0):
    """True optima of Σ s_j (a_j + N_j)^(−b_j), tokens in thousands."""
    strength, exponent = np.array([2.0, 1.0, 3.0, 0.5]), np.array([0.3, 0.5, 0.8, 1.2])
    names = ("a", "b", "c", "d")
    return np.stack([
        solve_simplex(
            PowerSum(strength, np.full(4, offset), np.full(4, total / 1e3), exponent), Bounds.free(names)
        ).weights
        for total in totals
    ])  # fmt: skip


@pytest.mark.parametrize("scales", [(1e5, 4e5), (1e5, 3e5, 2e6), (1e5, 2e5, 5e5, 3e6)])
@pytest.mark.parametrize("target", [8e6, 1e8, 1e10])
def test_theorem_1_holds_in_a_world_of_pure_powers(scales, target):
    growth = Growth.fit(np.array(scales), power_law_optima(scales))
    np.testing.assert_allclose(growth.at(target), power_law_optima([target])[0], atol=1e-6)
    assert np.abs(growth.residuals).max() < 1e-5


def test_it_does_not_hold_with_offsets():
    scales = (1e5, 4e5)
    found = Growth.fit(np.array(scales), power_law_optima(scales, offset=30.0)).at(1e8)
    assert 0.5 * np.abs(found - power_law_optima([1e8], offset=30.0)[0]).sum() > 0.05


def test_three_scales_are_fitted_by_least_squares():
    """No other levels, rates and positions come nearer to the logarithms."""
    rng = np.random.default_rng(0)
    totals = np.array([1e5, 4e5, 2e6])
    noisy = power_law_optima(totals) * np.exp(0.05 * rng.standard_normal((3, 4)))
    growth = Growth.fit(totals, noisy / noisy.sum(axis=1, keepdims=True))
    logs = np.log(growth.weights * totals[:, None])
    least = (growth.residuals**2).sum()
    assert least > 1e-4
    for _ in range(200):
        level, rate = (part + 0.02 * rng.standard_normal(4) for part in (growth.level, growth.rate))
        position = growth.position + 0.02 * rng.standard_normal(3)
        assert ((logs - level - rate * position[:, None]) ** 2).sum() > least


def test_replicates_are_each_carried_on_by_themselves():
    rng = np.random.default_rng(1)
    totals = np.array([1e5, 4e5, 2e6])
    draws = rng.dirichlet(np.full(5, 20.0), (30, 3))
    pinned = rng.random((30, 3, 5)) < 0.15
    bounds = Bounds(tuple("abcde"), np.full(5, 0.03), np.full(5, 0.6))
    together = Growth.fit(totals, draws, pinned).at(5e7, bounds)
    for row in range(30):
        np.testing.assert_allclose(Growth.fit(totals, draws[row], pinned[row]).at(5e7, bounds), together[row])


def test_a_domain_pinned_at_both_scales_keeps_its_share_and_the_others_share_the_rest_by_the_formula():
    totals = np.array([1e5, 4e5])
    weights = np.array([[0.1, 0.5, 0.4], [0.1, 0.6, 0.3]])
    growth = Growth.fit(totals, weights, np.array([[True, False, False]] * 2))
    found = growth.at(3e6)
    assert growth.held.tolist() == [True, False, False]
    assert found[0] == pytest.approx(0.1)
    n1, n2 = (weights * totals[:, None])[:, 1:]
    k = np.log(found[1] * 3e6 / n2[0]) / np.log(n2[0] / n1[0])
    assert found[2] * 3e6 == pytest.approx(n2[1] * (n2[1] / n1[1]) ** k, rel=1e-9)
    # Taken for growth, the bound's own would have gone on at the rate of the total.
    assert np.abs(Growth.fit(totals, weights).at(3e6) - found).max() > 1e-3


def test_a_bound_at_a_small_scale_is_left_out_of_a_line_through_the_others():
    totals = np.array([1e5, 4e5, 2e6, 1e7])
    true = power_law_optima(totals)
    bent = true.copy()
    bent[0, 0] += 0.1
    bent[0, 1:] *= (1 - bent[0, 0]) / (1 - true[0, 0])
    pinned = np.zeros((4, 4), dtype=bool)
    pinned[0, 0] = True
    growth = Growth.fit(totals, bent, pinned)
    assert not growth.held.any()
    assert growth.used.sum() == 15
    truth = power_law_optima([1e9])[0]
    assert np.abs(growth.at(1e9) - truth).max() < 0.25 * np.abs(Growth.fit(totals, bent).at(1e9) - truth).max()


def test_zero_has_no_growth():
    totals = np.array([1e5, 4e5])
    growth = Growth.fit(totals, np.array([[0.0, 0.2, 0.5, 0.3], [0.0, 0.0, 0.6, 0.4]]))
    assert growth.held.tolist() == [True, True, False, False]
    found = growth.at(1e7)
    assert np.isfinite(found).all()
    assert found[:2].tolist() == [0.0, 0.0]
    appeared = Growth.fit(totals, np.array([[0.0, 0.6, 0.4], [0.2, 0.5, 0.3]])).at(1e7)
    assert appeared[0] == pytest.approx(0.2)


def test_a_shrinking_domain_goes_on_shrinking():
    growth = Growth.fit(np.array([1e5, 2e5]), np.array([[0.6, 0.4], [0.1, 0.9]]))
    assert growth.rate[0] < 0
    assert growth.at(4e5)[0] * 4e5 < 0.1 * 2e5


def test_where_nothing_grows_the_largest_scale_stays():
    weights = np.array([[0.5, 0.5], [0.4, 0.6]])
    growth = Growth.fit(np.array([1e5, 4e5]), weights, np.ones((2, 2), dtype=bool))
    np.testing.assert_allclose(growth.at(1e7), weights[1])
    assert np.isnan(growth.steps(1e7))


@pytest.mark.parametrize("target", [1.0, 150.0, 200.0])
def test_at_or_below_the_smallest_scale_its_own_optimum_is_given(target):
    np.testing.assert_allclose(TWO.at(target), [0.5, 0.5])


def test_between_the_scales_weights_lie_between_theirs():
    inside = TWO.at(300)
    assert 0.5 < inside[0] < 0.6
    assert -1 < TWO.steps(300) < 0


def test_noise_greater_than_growth_falls_back_on_the_totals():
    """The best line runs against the scales here: middle, last, first."""
    weights = np.array([[0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [0.5, 0.02, 0.48]])
    totals = np.array([1.0, 1.3, 1.6])
    growth = Growth.fit(totals, weights)
    assert (np.diff(growth.position) > 0).all()
    assert growth.at(16.0).sum() == pytest.approx(1)


@pytest.mark.parametrize("totals", [[1e5], [1e5, 1e5], [4e5, 1e5]])
def test_equal_or_falling_scales_are_refused(totals):
    with pytest.raises(ConfigError, match=r"scales: .*two or more"):
        Growth.fit(np.array(totals), np.full((len(totals), 2), 0.5))
