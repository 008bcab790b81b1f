"""Losses at several scales, modelled together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.methods.adso.fidelity_model import FidelityKernel, FidelityModel, Points
from mixopt.methods.gp.process import OFFSET_VARIANCE, Matern52, objective

RNG = np.random.default_rng(3)
MIXTURES = RNG.dirichlet(np.ones(3), 40)
CHEAP, TARGET = np.array([1.8]), np.array([0.0])


def target_loss(weights: np.ndarray) -> np.ndarray:
    """(n, 2) two losses at the target."""
    return np.stack([2 + (weights[:, 0] + 0.1) ** -0.5, 1 + np.exp(-3 * weights[:, 1])], axis=1)


def runs(cheap: int, target: int, sign: float = 1.0) -> tuple[Points, np.ndarray]:
    """Cheap runs at another level and half the amplitude, in reverse where `sign` is negative, and target runs."""
    weights = np.vstack([MIXTURES[:cheap], MIXTURES[:target]])
    scales = np.vstack([np.tile(CHEAP, (cheap, 1)), np.tile(TARGET, (target, 1))])
    losses = target_loss(weights)
    losses[:cheap] = 4 + sign * 0.5 * losses[:cheap]
    return Points(weights, scales), losses


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_few_target_runs_and_many_cheap_ones_predict_the_target(sign):
    points, losses = runs(30, 6, sign)
    model = FidelityModel.fit(points, losses)
    unseen = MIXTURES[30:]
    mean, variance = model.predict(Points(unseen, np.zeros((10, 1))))
    alone = FidelityModel.fit(Points(MIXTURES[:6], np.zeros((6, 0))), losses[30:])
    single, _ = alone.predict(Points(unseen, np.zeros((10, 0))))
    truth = target_loss(unseen)
    assert np.abs(mean - truth).mean() < 0.5 * np.abs(single - truth).mean()
    assert (np.abs(mean - truth) < 4 * np.sqrt(variance) + 0.02).all()
    agreement = model.agreement(np.ones(2), np.array([CHEAP, TARGET]))
    assert agreement[1] == pytest.approx(1)
    assert sign * agreement[0] > 0.7


def test_observing_is_conditioning_at_the_same_hyperparameters():
    points, losses = runs(20, 5)
    whole = FidelityModel.fit(points, losses)
    thetas = [process.theta for process in whole.processes]
    part = FidelityModel.fit(points.select(slice(22)), losses[:22], thetas)
    part = part.observe(points.select(slice(22, None)), losses[22:])
    again = FidelityModel.fit(points, losses, thetas)
    new = Points(MIXTURES[35:], np.zeros((5, 1)))
    np.testing.assert_allclose(again.predict(new)[0], whole.predict(new)[0])
    # The scaling of the first 22 runs is another, so the prior is as well: near, not equal.
    np.testing.assert_allclose(part.predict(new)[0], whole.predict(new)[0], atol=0.05)
    assert part.observe(points.select(slice(0, 0)), losses[:0]) is part


def test_believing_takes_doubt_away():
    points, losses = runs(10, 2)
    model = FidelityModel.fit(points, losses)
    pending = Points(MIXTURES[20:22], np.zeros((2, 1)))
    believed = model.believe(pending)
    np.testing.assert_allclose(believed.predict(pending)[0], model.predict(pending)[0], rtol=1e-3)
    assert (believed.predict(pending)[1] < model.predict(pending)[1]).all()


def test_one_scale_needs_no_axis():
    model = FidelityModel.fit(Points(MIXTURES[:20], np.zeros((20, 0))), target_loss(MIXTURES[:20]))
    np.testing.assert_array_equal(model.agreement(np.ones(2), np.zeros((1, 0))), [1.0])


KERNEL = FidelityKernel(features=3, axes=2)


def some(seed: int, points: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Hyperparameters about the prior, and points at a few scales."""
    rng = np.random.default_rng(seed)
    theta = KERNEL.prior.mean + rng.normal(0, 0.4, len(KERNEL.prior.mean))
    return theta, np.hstack([rng.normal(size=(points, 3)), rng.choice([0.0, 0.6, 1.8], (points, 2))])


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_gradient_is_that_of_differences(seed):
    kernel_theta, x = some(seed)
    theta, y = np.append(kernel_theta, -3.0), np.random.default_rng(seed).normal(size=(len(x), 2))
    _, gradient = objective(KERNEL, theta, x, y)
    steps = 1e-5 * np.eye(len(theta))
    differences = [
        (objective(KERNEL, theta + h, x, y)[0] - objective(KERNEL, theta - h, x, y)[0]) / 2e-5 for h in steps
    ]
    np.testing.assert_allclose(gradient, differences, rtol=1e-4, atol=1e-4)


@given(seed=st.integers(0, 10_000))
def test_it_is_a_covariance(seed):
    theta, x = some(seed)
    matrix = KERNEL.matrix(theta, x, x)
    np.testing.assert_allclose(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix), KERNEL.diagonal(theta, x))
    assert np.linalg.eigvalsh(matrix).min() > -1e-9 * OFFSET_VARIANCE


def test_at_one_scale_it_is_a_matern_and_a_level():
    theta, x = some(1)
    x[:, 3:] = 0.0
    plain = Matern52(3).matrix(theta[:4], x[:, :3], x[:, :3])
    np.testing.assert_allclose(KERNEL.matrix(theta, x, x), plain)


def test_correlation_of_scales():
    theta = KERNEL.prior.mean.copy()
    reach, scale = np.exp(theta[6]), np.array([[1.8, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(KERNEL.correlation(theta, scale), [np.exp(-1.8 / reach), 1.0])
    reversed_ = KERNEL.turned(theta, np.array([np.pi / 1.8, 0.0]))
    np.testing.assert_allclose(KERNEL.correlation(reversed_, scale), [-np.exp(-1.8 / reach), 1.0])


def test_amplitude_grows_with_distance_as_its_slope_says():
    theta = KERNEL.prior.mean.copy()
    theta[4] = 0.5
    target, there = KERNEL.spread(theta, np.array([[2.0, 0.0]]))
    assert there[0] == pytest.approx(target * np.e)
