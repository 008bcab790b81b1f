"""The step law and the size law: curves that share an exponent, and the nested use of both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from mixopt.laws.step_size import carried_losses, fit_scaling_law

STEPS = np.geomspace(1e8, 3e9, 12)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 1.0), st.integers(1, 5), st.integers(0, 1000))
def test_curves_of_a_law_are_found_again(exponent: float, curves: int, seed: int):
    rng = np.random.default_rng(seed)
    floor, x0 = rng.uniform(0.5, 3, curves), rng.uniform(0.2, 5, curves) * 1e8
    truth = floor[:, None] + (x0[:, None] / STEPS) ** exponent
    law = fit_scaling_law(STEPS, truth)
    assert law.exponent == pytest.approx(exponent, rel=1e-3)
    np.testing.assert_allclose(law.predict(STEPS), truth, atol=1e-5)
    np.testing.assert_allclose(law.predict(3e10), floor + (x0 / 3e10) ** exponent, atol=1e-3)
    np.testing.assert_allclose(law.x0, x0, rtol=0.05)


def test_an_outlier_moves_the_law_little():
    truth = 2 + (1e8 / STEPS[None]) ** 0.4 * np.array([[1.0], [2.0]])
    noisy = truth + 1e-3 * np.random.default_rng(0).standard_normal(truth.shape)
    spoilt = noisy.copy()
    spoilt[0, 4] += 0.5
    there = fit_scaling_law(STEPS, spoilt).predict(1e10)
    np.testing.assert_allclose(there, fit_scaling_law(STEPS, noisy).predict(1e10), atol=0.01)


def test_a_missing_point_is_left_out():
    truth = 1 + (3e8 / STEPS[None]) ** 0.5 * np.ones((3, 1))
    gaps = truth.copy()
    gaps[1, :5] = np.nan
    np.testing.assert_allclose(fit_scaling_law(STEPS, gaps).predict(1e10), 1 + (3e8 / 1e10) ** 0.5, atol=1e-6)


def test_a_floor_is_never_below_zero_and_a_rising_curve_is_flat():
    falling = fit_scaling_law(STEPS, np.log(1e11 / STEPS)[None])
    assert falling.floor[0] >= 0
    rising = fit_scaling_law(STEPS, np.linspace(2, 3, STEPS.size)[None])
    assert rising.amplitude[0] == 0
    assert rising.predict(1e12)[0] == pytest.approx(rising.floor[0])


def test_losses_are_carried_in_tokens_and_then_in_size():
    sizes = np.array([19e6, 85e6, 200e6, 302e6])
    rng = np.random.default_rng(1)
    shape = (3, 1, 1, 2)
    floor, by_tokens, by_size = rng.uniform(1, 2, shape), rng.uniform(3, 5, shape), rng.uniform(3, 5, shape)

    def truth(tokens: np.ndarray, size: np.ndarray) -> np.ndarray:
        tokens, size = np.asarray(tokens)[:, None], np.asarray(size)[:, None, None]
        return floor + (np.exp(by_tokens) * 1e6 / tokens) ** 0.4 + (np.exp(by_size) * 1e5 / size) ** 0.3

    found = carried_losses(STEPS, sizes, truth(STEPS, sizes), 1e11, 1e9)
    np.testing.assert_allclose(found, truth(np.array([1e11]), np.array([1e9]))[:, 0, 0], atol=2e-3)


@pytest.mark.parametrize(
    ("x", "losses", "message"),
    [
        (STEPS[:2], np.ones((1, 2)), "two points of every curve and three of one, found 2 and 2"),
        (STEPS, np.where(np.arange(12) > 0, np.nan, 1.0)[None], "found 1 and 1; measure at more amounts"),
        (-STEPS, np.ones((1, 12)), "expected different amounts above 0"),
        (np.full(12, 3.0), np.ones((1, 12)), "expected different amounts above 0"),
        (STEPS, np.ones((1, 11)), r"expected losses \(curves, 12\), found shape \(1, 11\)"),
    ],
)
def test_what_has_no_law_is_refused(x: np.ndarray, losses: np.ndarray, message: str):
    with pytest.raises(ConfigError, match=message):
        fit_scaling_law(x, losses)


def test_losses_of_another_shape_are_refused():
    with pytest.raises(ConfigError, match=r"expected losses \(mixtures, 2, 12, losses\), found \(1, 3, 12, 2\)"):
        carried_losses(STEPS, np.array([1e6, 1e7]), np.ones((1, 3, 12, 2)), 1e10, 1e9)
