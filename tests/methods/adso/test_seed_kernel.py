"""Covariance of runs that share a seed: gradients, and that a seed's shift is told from what mixtures do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.methods.adso.fidelity_kernel import FidelityKernel
from mixopt.methods.adso.fidelity_model import FidelityModel, Points
from mixopt.methods.adso.seed_kernel import ANY_SEED, SeedKernel
from mixopt.methods.gp.kernels import OFFSET_VARIANCE, Matern52
from mixopt.methods.gp.process import objective

KERNELS = [SeedKernel(FidelityKernel(features=3, axes=2), 2), SeedKernel(Matern52(5), 0)]


def some(kernel: SeedKernel, seed: int, points: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Hyperparameters about the prior, and points at a few scales with a few seeds."""
    rng = np.random.default_rng(seed)
    theta = kernel.prior.mean + rng.normal(0, 0.4, len(kernel.prior.mean))
    scales, seeds = rng.choice([0.0, 0.6, 1.8], (points, 2)), rng.choice([ANY_SEED, 0, 1, 7], (points, 1))
    return theta, np.hstack([rng.normal(size=(points, 3)), scales, seeds])


@pytest.mark.parametrize("kernel", KERNELS)
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_gradient_is_that_of_differences(kernel, seed):
    kernel_theta, x = some(kernel, seed)
    theta, y = np.append(kernel_theta, -3.0), np.random.default_rng(seed).normal(size=(len(x), 2))
    _, gradient = objective(kernel, theta, x, y)
    steps = 1e-5 * np.eye(len(theta))
    differences = [
        (objective(kernel, theta + h, x, y)[0] - objective(kernel, theta - h, x, y)[0]) / 2e-5 for h in steps
    ]
    np.testing.assert_allclose(gradient, differences, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", KERNELS)
@given(seed=st.integers(0, 10_000))
def test_it_is_a_covariance(kernel, seed):
    theta, x = some(kernel, seed)
    matrix = kernel.matrix(theta, x, x)
    np.testing.assert_allclose(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix), kernel.diagonal(theta, x))
    assert np.linalg.eigvalsh(matrix).min() > -1e-9 * OFFSET_VARIANCE


def test_only_runs_of_one_seed_share_its_shift_and_less_so_at_other_scales():
    kernel = KERNELS[0]
    theta = kernel.prior.mean
    x = np.zeros((4, 6))
    x[:, -1] = [0, 0, 1, ANY_SEED]
    x[1, 3] = 0.5
    shift = kernel.matrix(theta, x, x) - kernel.base.matrix(theta[:-2], x[:, :-1], x[:, :-1])
    apart = np.exp(-0.5 / np.exp(theta[-1]))
    np.testing.assert_allclose(
        shift / np.exp(theta[-2]), [[1, apart, 0, 0], [apart, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], atol=1e-12
    )


@pytest.mark.parametrize("axes", [0, 1])
def test_a_shift_of_a_seed_is_told_from_what_mixtures_do(axes):
    """Two seeds half a nat apart, a hundred times what the law errs by."""
    rng = np.random.default_rng(0)
    weights, seeds = rng.dirichlet(np.ones(3), 24), np.arange(24) % 2
    scales = rng.choice([0.0, 1.0], (24, axes))
    new = Points(rng.dirichlet(np.ones(3), 50), np.zeros((50, axes)), np.full(50, ANY_SEED))

    def loss(points: Points) -> np.ndarray:
        return (2 + (0.3 + points.weights) ** -0.5 + 0.2 * points.scales.sum(1, keepdims=True)) @ [
            [0.5],
            [0.3],
            [0.2],
        ]

    def error(points: Points, losses: np.ndarray) -> float:
        at = new if points.seeds is not None else Points(new.weights, new.scales)
        errors = FidelityModel.fit(points, losses).predict(at)[0] - loss(new)
        return float(errors.std())  # not of their mean: which seed is the average one is not known

    plain, seeded = Points(weights, scales), Points(weights, scales, seeds)
    shifted = loss(plain) + 0.5 * seeds[:, None]
    assert error(seeded, shifted) < 2 * error(plain, loss(plain))
    assert error(plain, shifted) > 5 * error(seeded, shifted)
