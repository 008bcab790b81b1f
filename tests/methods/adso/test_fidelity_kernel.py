"""The covariance over mixtures and scales: gradients, what its hyperparameters mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.methods.adso.fidelity_kernel import FidelityKernel
from mixopt.methods.gp.kernels import OFFSET_VARIANCE, Matern52
from mixopt.methods.gp.process import objective

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
