"""The exact Gaussian process: gradients, closed forms, BoTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from mixopt.methods.gp.process import OFFSET_VARIANCE, Matern52, Scaling, distance_gradient, fit_process, objective


def smooth(points: int = 30, features: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points in the unit cube and a smooth function of them that ignores the last feature."""
    x = np.random.default_rng(seed).random((points, features))
    return x, np.sin(3 * x[:, 0]) + x[:, 1] ** 2


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), points=st.integers(3, 15), outputs=st.integers(1, 3))
def test_gradient_of_the_marginal_likelihood_is_that_of_differences(seed, points, outputs):
    rng = np.random.default_rng(seed)
    kernel, x, y = Matern52(2), rng.normal(size=(points, 2)), rng.normal(size=(points, outputs))
    theta = np.append(kernel.prior.mean, -3.0) + rng.normal(0, 0.5, 4)
    _, gradient = objective(kernel, theta, x, y)
    steps = 1e-5 * np.eye(4)
    differences = [
        (objective(kernel, theta + h, x, y)[0] - objective(kernel, theta - h, x, y)[0]) / 2e-5 for h in steps
    ]
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-5)


def test_distance_gradient_is_the_sum_over_pairs():
    rng = np.random.default_rng(0)
    a, weights = rng.normal(size=(6, 3)), rng.normal(size=(6, 6))
    weights += weights.T
    pairs = (weights[:, :, None] * (a[:, None] - a[None]) ** 2).sum((0, 1))
    np.testing.assert_allclose(distance_gradient(weights, a), pairs)


def test_two_points_have_the_textbook_posterior():
    x, y = np.array([[-1.0], [1.0]]), np.array([-1.0, 1.0])
    process = fit_process(x, y, iterations=0)
    noise = float(process.noise[0])
    signal = np.exp(process.theta[1])
    r = np.sqrt(5.0) / np.exp(process.theta[0]) * np.abs(x - x.T)
    matern = signal * (1 + r + r * r / 3) * np.exp(-r) + OFFSET_VARIANCE
    at = np.array([[0.5]])
    r = np.sqrt(5.0) / np.exp(process.theta[0]) * np.abs(at - x.T)
    cross = signal * (1 + r + r * r / 3) * np.exp(-r) + OFFSET_VARIANCE
    inverse = np.linalg.inv(matern + noise * np.eye(2))
    mean, variance = process.predict(at)
    assert mean[0, 0] == pytest.approx((cross @ inverse @ y).item())
    assert variance[0, 0] == pytest.approx((signal + OFFSET_VARIANCE - cross @ inverse @ cross.T).item(), rel=1e-6)


def test_predicts_what_it_has_not_seen_and_knows_which_feature_matters():
    x, y = smooth(60)
    process = fit_process(x[:40], y[:40])
    mean, variance = process.predict(x[40:])
    assert np.abs(mean[:, 0] - y[40:]).max() < 0.05 * y.std()
    # Errors lie within their error bars.
    assert (np.abs(mean[:, 0] - y[40:]) < 4 * np.sqrt(variance[:, 0] + process.noise)).all()
    assert process.theta[2] > process.theta[0] + 1  # the feature that is ignored has the longest length scale


def test_noise_is_found():
    x, y = smooth(80)
    noisy = y + np.random.default_rng(1).normal(0, 0.1, len(y))
    assert np.sqrt(fit_process(x, noisy).noise[0]) == pytest.approx(0.1, rel=0.3)


def test_outputs_that_share_hyperparameters_are_predicted_as_each_alone():
    x, y = smooth()
    both = np.stack([y, 5 - 2 * y], axis=1)
    process = fit_process(x, both)
    alone = fit_process(x, y, starts=[process.theta], iterations=0)
    points = smooth(5, seed=3)[0]
    mean, variance = process.predict(points)
    np.testing.assert_allclose(mean[:, :1], alone.predict(points)[0], atol=1e-8)
    np.testing.assert_allclose(mean[:, 1], 5 - 2 * mean[:, 0], atol=1e-8)
    np.testing.assert_allclose(variance[:, 1], 4 * variance[:, 0], rtol=1e-6)


def test_conditioning_is_the_same_as_fitting_at_once():
    x, y = smooth()
    y = y[:, None]
    whole = fit_process(x, y, iterations=0)
    part = fit_process(
        x[:20], y[:20], iterations=0, input_scaling=whole.input_scaling, output_scaling=whole.output_scaling
    ).condition(x[20:], y[20:])
    points = smooth(4, seed=5)[0]
    np.testing.assert_allclose(part.predict(points), whole.predict(points), rtol=1e-5, atol=1e-8)
    assert part.log_likelihood == pytest.approx(whole.log_likelihood)


def test_believing_keeps_the_mean_and_takes_the_doubt():
    x, y = smooth(12)
    process, pending = fit_process(x, y), smooth(2, seed=9)[0]
    believed = process.believe(pending)
    np.testing.assert_allclose(believed.predict(x)[0], process.predict(x)[0], atol=1e-4)
    assert (believed.predict(pending)[1] < process.predict(pending)[1]).all()
    assert process.believe(pending[:0]) is process


def test_covariance_holds_the_variance_on_its_diagonal():
    x, y = smooth()
    process, points = fit_process(x, y), smooth(6, seed=2)[0]
    covariance = process.covariance(points, points) * process.output_scaling.scale**2
    np.testing.assert_allclose(np.diag(covariance), process.predict(points)[1][:, 0], rtol=1e-4, atol=1e-10)


def test_a_start_from_an_earlier_fit_ends_no_worse():
    x, y = smooth()
    first = fit_process(x, y)
    again = fit_process(x, y, starts=[first.theta])
    standard = first.inputs, first.outputs
    assert objective(again.kernel, again.theta, *standard)[0] <= objective(first.kernel, first.theta, *standard)[0]


def test_a_constant_feature_and_a_constant_output_are_no_obstacle():
    x, y = smooth(10)
    x[:, 2] = 0.3
    mean, _ = fit_process(x, np.stack([y, np.full(10, 2.5)], axis=1)).predict(x)
    np.testing.assert_allclose(mean[:, 1], 2.5)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (np.zeros((1, 2)), np.zeros(1), r"two points .*found 1"),
        (np.zeros((3, 2)), np.zeros(4), r"found \(3, 2\) and \(4, 1\)"),
        (np.zeros((3, 2)), np.array([0.0, np.nan, 1.0]), "must be finite"),
    ],
)
def test_refuses(inputs, outputs, message):
    with pytest.raises(ConfigError, match=message):
        fit_process(inputs, outputs)


@pytest.mark.slow  # importing BoTorch
@pytest.mark.filterwarnings("ignore")
def test_agrees_with_botorch():
    """The same kernel at the same hyperparameters: likelihood, mean and variance."""
    gpytorch = pytest.importorskip("gpytorch")
    models = pytest.importorskip("botorch.models")
    torch = pytest.importorskip("torch")
    x, y = smooth(25)
    process = fit_process(x, y)
    theta, double = process.theta, {"dtype": torch.double}
    train_x, train_y = torch.tensor(process.inputs, **double), torch.tensor(process.outputs, **double)
    matern = gpytorch.kernels.ScaleKernel(gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=3))
    offset = gpytorch.kernels.ConstantKernel()
    model = models.SingleTaskGP(
        train_x, train_y, covar_module=matern + offset, mean_module=gpytorch.means.ZeroMean(), outcome_transform=None
    ).double()
    matern.base_kernel.lengthscale = torch.tensor(np.exp(theta[:3]), **double)
    matern.outputscale, offset.constant = torch.tensor([np.exp(theta[3]), OFFSET_VARIANCE], **double)
    model.likelihood.noise = float(process.noise[0] / process.output_scaling.scale[0] ** 2)
    prior = model.forward(train_x)
    likelihood = model.likelihood(prior).log_prob(train_y[:, 0]).item()
    assert process.log_likelihood == pytest.approx(likelihood, rel=1e-6)
    points = smooth(7, seed=4)[0]
    posterior = model.posterior(torch.tensor(process.input_scaling.apply(points), **double))
    mean, variance = process.predict(points)
    theirs = posterior.mean.detach().numpy()[:, 0] * process.output_scaling.scale + process.output_scaling.centre
    np.testing.assert_allclose(mean[:, 0], theirs, rtol=1e-6)
    standard = variance[:, 0] / process.output_scaling.scale**2
    np.testing.assert_allclose(standard, posterior.variance.detach().numpy()[:, 0], rtol=1e-3, atol=1e-7)


def test_scaling_keeps_the_units_of_what_does_not_vary():
    scaling = Scaling.of(np.array([[1.0, 4.0], [3.0, 4.0]]))
    np.testing.assert_allclose(scaling.apply(np.array([[2.0, 5.0]])), [[0.0, 1.0]])
