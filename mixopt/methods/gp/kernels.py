"""Covariance of a Gaussian process over mixtures: what a kernel is, and the ARD Matérn-5/2.

Symbols: n points, D features, p hyperparameters. Hyperparameters are one vector θ, most of them logarithms, each
with a normal prior, so that a fit from few points stays sensible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from mixopt.arrays import Floats

# Prior variance of an unknown offset, in units of the outputs' variance: wide enough to leave it to the data.
OFFSET_VARIANCE = 100.0


@dataclass(frozen=True)
class Prior:
    """Independent normal priors of hyperparameters.

    Attributes:
        mean: (p,).
        spread: (p,) standard deviations.
    """

    mean: Floats
    spread: Floats

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

    Attributes:
        features: D.
    """

    features: int

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
