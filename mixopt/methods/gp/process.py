"""Exact Gaussian-process regression: a few hundred points, several outputs at once, analytic gradients.

Symbols: n points, D features, V outputs that share hyperparameters, m points to predict at, p hyperparameters: one
vector θ, most of them logarithms, each with a normal prior, so that a fit from few points stays sensible.
Source: Rasmussen & Williams 2006, "Gaussian Processes for Machine Learning", algorithm 2.1 and Eq. 5.9.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.linalg import cho_solve, cholesky, get_lapack_funcs, solve_triangular
from scipy.optimize import minimize

from mixopt.arrays import Floats
from mixopt.errors import ConfigError

# Prior variance of an unknown offset, in units of the outputs' variance: wide enough to leave it to the data.
OFFSET_VARIANCE = 100.0


@dataclass(frozen=True)
class Prior:
    """Independent normal priors of hyperparameters."""

    mean: Floats  # (p,)
    spread: Floats  # (p,) standard deviations

    def penalty(self, theta: Floats) -> tuple[float, Floats]:
        """Negative log density without its constant, and its gradient (p,)."""
        z = (theta - self.mean) / self.spread
        return 0.5 * float(z @ z), z / self.spread

    def bounds(self, width: float = 4.0) -> list[tuple[float, float]]:
        """The range within `width` standard deviations, for a bounded optimiser."""
        return list(zip(self.mean - width * self.spread, self.mean + width * self.spread, strict=True))


class Kernel(Protocol):
    """A covariance function of hyperparameters θ (p,)."""

    @property
    def prior(self) -> Prior:
        """The prior of θ; its mean is where a fit starts."""
        ...

    def matrix(self, theta: Floats, a: Floats, b: Floats) -> Floats:
        """(n_a, n_b) covariances between the rows of `a` and of `b`."""
        ...

    def diagonal(self, theta: Floats, a: Floats) -> Floats:
        """(n,) variances of the rows of `a`."""
        ...

    def value_and_pullback(self, theta: Floats, a: Floats) -> tuple[Floats, Pullback]:
        """The matrix (n, n) of `a` with itself, and its pullback: G ↦ ∂/∂θ Σ_ij G_ij K_ij for symmetric G."""
        ...


class Pullback(Protocol):
    """Carries the gradient with respect to a kernel matrix back to the hyperparameters."""

    def __call__(self, gradient: Floats) -> Floats:
        """(n, n) symmetric to (p,)."""
        ...


def squared_distances(a: Floats, b: Floats) -> Floats:
    """(n_a, n_b) squared Euclidean distances between rows, never negative."""
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2 * a @ b.T
    return np.maximum(squares, 0.0)


def matern52(squares: Floats) -> tuple[Floats, Floats]:
    """Matérn-5/2 correlation of squared distances s, and −2 ∂/∂s of it.

    With r = √(5 s): (1 + r + r²/3) e^(−r), and 5/3 (1 + r) e^(−r) (Rasmussen & Williams 2006, Eq. 4.17).
    """
    r = np.sqrt(5.0 * squares)
    decay = np.exp(-r)
    return (1 + r + r * r / 3) * decay, 5 / 3 * (1 + r) * decay


def distance_gradient(weights: Floats, a: Floats) -> Floats:
    """(D,) Σ_ij W_ij (a_id − a_jd)² for symmetric W (n, n), without an array of n × n × D."""
    return 2 * ((weights.sum(1)[:, None] * a * a).sum(0) - (a * (weights @ a)).sum(0))


@dataclass(frozen=True)
class Matern52:
    """s² · Matérn-5/2 with a length scale a feature (ARD), plus an unknown constant.

    θ = log length scales (D,), log s². The prior of length scales grows with √D, as distances do (Hvarfner et al.
    2024, "Vanilla Bayesian optimization performs great in high dimensions").
    """

    features: int  # D

    @property
    def prior(self) -> Prior:
        """About √D for a length scale (of standardised features) and 1 for s²."""
        scale = 0.5 * math.log(self.features) + 0.3
        return Prior(np.append(np.full(self.features, scale), 0.0), np.append(np.full(self.features, 0.7), 1.0))

    def matrix(self, theta: Floats, a: Floats, b: Floats) -> Floats:
        """(n_a, n_b) covariances."""
        scales = np.exp(theta[:-1])
        return np.exp(theta[-1]) * matern52(squared_distances(a / scales, b / scales))[0] + OFFSET_VARIANCE

    def diagonal(self, theta: Floats, a: Floats) -> Floats:
        """(n,) variances."""
        return np.full(len(a), np.exp(theta[-1]) + OFFSET_VARIANCE)

    def value_and_pullback(self, theta: Floats, a: Floats) -> tuple[Floats, Pullback]:
        """See `Kernel`."""
        scaled = a / np.exp(theta[:-1])
        correlation, slope = matern52(squared_distances(scaled, scaled))
        signal = np.exp(theta[-1])

        def pullback(gradient: Floats) -> Floats:
            lengths = distance_gradient(signal * gradient * slope, scaled)
            return np.append(lengths, signal * (gradient * correlation).sum())

        return signal * correlation + OFFSET_VARIANCE, pullback


# Prior of log noise variance, in units of the outputs' variance: seeds move a loss far less than mixtures do.
NOISE_PRIOR = (math.log(1e-3), 1.5)
# Least noise variance: keeps the factorisation well posed where points repeat.
_JITTER = 1e-6
_FAILED = 1e10
# The inverse from a Cholesky factor, at half the cost of solving for it.
(_POTRI,) = get_lapack_funcs(("potri",), dtype=np.float64)


@dataclass(frozen=True)
class Scaling:
    """Centre and scale that make data of order one."""

    centre: Floats  # of each column
    scale: Floats  # of each column, above 0

    @classmethod
    def of(cls, values: Floats) -> Scaling:
        """Mean and standard deviation by column; a column that does not vary keeps its units."""
        spread = values.std(axis=0)
        constant = spread <= 1e-12 * np.maximum(1.0, np.abs(values).max(axis=0))
        return cls(values.mean(axis=0), np.where(constant, 1.0, spread))

    def apply(self, values: Floats) -> Floats:
        """Values in standard units."""
        return (values - self.centre) / self.scale


@dataclass(frozen=True)
class GaussianProcess:
    """A process conditioned on data; immutable."""

    kernel: Kernel  # its covariance, of standardised inputs, in standardised units of the outputs
    theta: Floats  # (p + 1,) the kernel's hyperparameters, then the log of the noise variance
    inputs: Floats  # (n, D) standardised
    outputs: Floats  # (n, V) standardised
    input_scaling: Scaling  # of the D features
    output_scaling: Scaling  # of the V outputs
    factor: Floats  # (n, n) lower Cholesky factor of the covariance with noise
    dual: Floats  # (n, V) covariance⁻¹ · outputs

    @classmethod
    def at(
        cls,
        kernel: Kernel,
        theta: Floats,
        inputs: Floats,
        outputs: Floats,
        input_scaling: Scaling,
        output_scaling: Scaling,
    ) -> GaussianProcess:
        """The process at given hyperparameters, from data in their own units: (n, D) and (n, V)."""
        x, y = input_scaling.apply(inputs), output_scaling.apply(outputs)
        covariance = kernel.matrix(theta[:-1], x, x)
        covariance[np.diag_indices(len(x))] += _noise(theta)
        factor = cholesky(covariance, lower=True)
        return cls(kernel, theta, x, y, input_scaling, output_scaling, factor, cho_solve((factor, True), y))

    @property
    def noise(self) -> Floats:
        """(V,) noise variance of an observation, in the outputs' units squared."""
        return _noise(self.theta) * self.output_scaling.scale**2

    def predict(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of the noise-free function at `inputs` (m, D): (m, V) each."""
        x = self.input_scaling.apply(inputs)
        cross = self.kernel.matrix(self.theta[:-1], x, self.inputs)
        projected = solve_triangular(self.factor, cross.T, lower=True)
        variance = self.kernel.diagonal(self.theta[:-1], x) - (projected * projected).sum(0)
        scale = self.output_scaling.scale
        mean = cross @ self.dual * scale + self.output_scaling.centre
        return mean, np.maximum(variance, 1e-12)[:, None] * scale**2

    def covariance(self, a: Floats, b: Floats) -> Floats:
        """(m_a, m_b) posterior covariance of the noise-free function, in standardised units.

        Multiply by `output_scaling.scale[v]²` for output v.
        """
        a, b = self.input_scaling.apply(a), self.input_scaling.apply(b)
        theta = self.theta[:-1]
        left = solve_triangular(self.factor, self.kernel.matrix(theta, self.inputs, a), lower=True)
        right = solve_triangular(self.factor, self.kernel.matrix(theta, self.inputs, b), lower=True)
        return self.kernel.matrix(theta, a, b) - left.T @ right

    def condition(self, inputs: Floats, outputs: Floats) -> GaussianProcess:
        """The process with k more observations, at the same hyperparameters: (k, D) and (k, V).

        The Cholesky factor is extended by k rows, O(n² k), not computed anew.
        """
        x, y = self.input_scaling.apply(inputs), self.output_scaling.apply(outputs)
        theta, n, k = self.theta[:-1], len(self.inputs), len(x)
        corner = solve_triangular(self.factor, self.kernel.matrix(theta, self.inputs, x), lower=True)
        own = self.kernel.matrix(theta, x, x) + _noise(self.theta) * np.eye(k) - corner.T @ corner
        factor = np.zeros((n + k, n + k))
        factor[:n, :n], factor[n:, :n] = self.factor, corner.T
        factor[n:, n:] = cholesky(own, lower=True)
        all_outputs = np.vstack([self.outputs, y])
        return replace(
            self,
            inputs=np.vstack([self.inputs, x]),
            outputs=all_outputs,
            factor=factor,
            dual=cho_solve((factor, True), all_outputs),
        )

    def believe(self, inputs: Floats) -> GaussianProcess:
        """The process as if pending points (k, D) came out as predicted.

        The kriging believer of Ginsbourger et al. 2010: it leaves the mean as it is and takes the doubt away.
        """
        return self.condition(inputs, self.predict(inputs)[0]) if len(inputs) else self

    @property
    def log_likelihood(self) -> float:
        """Log marginal likelihood of the standardised outputs, summed over outputs."""
        count, outputs = self.outputs.shape
        determinant = 2 * np.log(np.diag(self.factor)).sum()
        fit = float((self.outputs * self.dual).sum())
        return -0.5 * (fit + outputs * (determinant + count * math.log(2 * math.pi)))


def fit_process(
    inputs: Floats,
    outputs: Floats,
    *,
    kernel: Kernel | None = None,
    starts: Sequence[Floats] = (),
    iterations: int = 100,
    input_scaling: Scaling | None = None,
    output_scaling: Scaling | None = None,
) -> GaussianProcess:
    """Fit hyperparameters by their posterior mode and condition on the data.

    Args:
        inputs: (n, D) features, √w for mixtures.
        outputs: (n,) or (n, V), finite; the V outputs share hyperparameters.
        kernel: None for `Matern52`.
        starts: hyperparameters (p + 1,) to start from, such as those of an earlier fit; none for the prior's mean.
            The best end of all starts is taken.
        iterations: most L-BFGS-B iterations a start; 0 takes the best start as it is.
        input_scaling: None for the inputs' own.
        output_scaling: None for the outputs' own.

    Raises:
        ConfigError: fewer than two points, shapes that disagree, or numbers that are not finite.
    """
    outputs = outputs[:, None] if outputs.ndim == 1 else outputs
    if inputs.ndim != 2 or len(inputs) != len(outputs):
        raise ConfigError(
            f"Gaussian process: expected (n, D) inputs and n outputs, found {inputs.shape} and {outputs.shape}"
        )
    if len(inputs) < 2:
        raise ConfigError(f"Gaussian process: needs two points or more, found {len(inputs)}; add runs")
    if not (np.isfinite(inputs).all() and np.isfinite(outputs).all()):
        raise ConfigError("Gaussian process: inputs and outputs must be finite; leave out runs with missing losses")
    kernel = kernel or Matern52(inputs.shape[1])
    input_scaling, output_scaling = input_scaling or Scaling.of(inputs), output_scaling or Scaling.of(outputs)
    x, y = input_scaling.apply(inputs), output_scaling.apply(outputs)
    prior = kernel.prior
    mean = np.append(prior.mean, NOISE_PRIOR[0])
    bounds = [*prior.bounds(), (NOISE_PRIOR[0] - 6 * NOISE_PRIOR[1], math.log(2.0))]
    low, high = np.array(bounds).T
    best, least = mean, math.inf
    for start in starts or (mean,):
        theta = np.clip(start, low, high)
        value = objective(kernel, theta, x, y)[0]
        if iterations:
            found = minimize(
                lambda t: objective(kernel, t, x, y),
                theta,
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                options={"maxiter": iterations},
            )
            theta, value = found.x, float(found.fun)
        if value < least:
            best, least = theta, value
    return GaussianProcess.at(kernel, best, inputs, outputs, input_scaling, output_scaling)


def objective(kernel: Kernel, theta: Floats, x: Floats, y: Floats) -> tuple[float, Floats]:
    """Negative log posterior of hyperparameters without constants, and its gradient (p + 1,).

    ½ Σ_v y_vᵀ K⁻¹ y_v + V/2 log det K + penalty; with α = K⁻¹ y its derivative by K is ½ (V K⁻¹ − Σ_v α_v α_vᵀ).

    Args:
        theta: (p + 1,) its hyperparameters, then log noise variance.
        x: (n, D) standardised inputs.
        y: (n, V) standardised outputs.
    """
    penalty, slope = kernel.prior.penalty(theta[:-1])
    z = (theta[-1] - NOISE_PRIOR[0]) / NOISE_PRIOR[1]
    covariance, pullback = kernel.value_and_pullback(theta[:-1], x)
    covariance[np.diag_indices(len(x))] += _noise(theta)
    try:
        factor = cholesky(covariance, lower=True)
    except np.linalg.LinAlgError:  # the line search steps back from here
        return _FAILED, np.zeros_like(theta)
    dual = cho_solve((factor, True), y)
    inverse, _ = _POTRI(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    gradient = 0.5 * (y.shape[1] * inverse - dual @ dual.T)
    value = 0.5 * float((y * dual).sum()) + y.shape[1] * float(np.log(np.diag(factor)).sum())
    noise = np.trace(gradient) * np.exp(theta[-1]) + z / NOISE_PRIOR[1]
    return value + penalty + 0.5 * z * z, np.append(pullback(gradient) + slope, noise)


def _noise(theta: Floats) -> float:
    """Noise variance in standardised units."""
    return float(np.exp(theta[-1])) + _JITTER
