"""Covariance of losses over mixtures and scales.

    y = bias(z) + amplitude(z) · g(√w, z)

A scale z is told by its distance below the target in decades, an axis each for model size, tokens, and what is left
of the run (a point of a learning curve has not seen the decay of the learning rate); the target is the origin.

Symbols: D features of a mixture, J axes of scale, n points. Inputs are rows (x_1 … x_D, z_1 … z_J).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.methods.gp.kernels import (
    OFFSET_VARIANCE,
    Prior,
    Pullback,
    distance_gradient,
    matern52,
    squared_distances,
)

if TYPE_CHECKING:
    from mixopt.arrays import Floats, Indices


@dataclass(frozen=True)
class FidelityKernel:
    """s² a(z) a(z') · Matérn-5/2(x, x') · ρ(z − z')  +  offset(z − z').

    - amplitude a(z) = exp(b · z): how much mixtures differ at a scale, relative to the target;
    - ρ(Δ) = exp(−Σ|Δ_j| / ℓ_j) · cos(ω · Δ): how alike scales rank mixtures. The cosine lets scales *disagree*, as
      they do on tasks that small models cannot do: at ω · Δ = π small models rank mixtures in reverse, and the
      process makes use of it. It stays a covariance: going along z turns g from one function into another;
    - offset: 100 · exp(−½ Σ(Δ_j / λ_j)²), an unknown level at each scale that varies smoothly with it.

    θ = log length scales of features (D,), log s², b (J,), log ℓ (J,), ω (J,), log λ (J,).

    Attributes:
        features: D.
        axes: J, at least 1.
    """

    features: int
    axes: int

    @property
    def prior(self) -> Prior:
        """Scales agree and are alike in amplitude unless data say otherwise; units are decades."""
        d, j = self.features, self.axes
        mean = (0.5 * math.log(d) + 0.3, 0.0, 0.0, math.log(5.0), 0.0, 0.0)
        spread = (0.7, 1.0, 0.3, 1.0, 0.6, 0.7)
        sizes = (d, 1, j, j, j, j)
        return Prior(np.repeat(mean, sizes), np.repeat(spread, sizes))

    def _split(self, theta: Floats) -> list[Floats]:
        d, j = self.features, self.axes
        return np.split(theta, [d, d + 1, d + 1 + j, d + 1 + 2 * j, d + 1 + 3 * j])

    def turned(self, theta: Floats, phase: Floats) -> Floats:
        """θ with the frequencies ω (J,) replaced: the likelihood is even in ω, so 0 is no place to start from."""
        parts = self._split(theta)
        parts[4] = phase
        return np.concatenate(parts)

    def matrix(self, theta: Floats, a: Floats, b: Floats) -> Floats:
        """(n_a, n_b) covariances."""
        d, scales = self.features, np.exp(theta[: self.features])
        mixtures = matern52(squared_distances(a[:, :d] / scales, b[:, :d] / scales))[0]
        # Few scales, many points: worked out once for each pair of scales.
        (left, rows), (right, columns) = _distinct(a[:, d:]), _distinct(b[:, d:])
        between = self._between(theta, left, right)
        at = np.ix_(rows, columns)
        return mixtures * between.coupling[at] + between.offset[at]

    def diagonal(self, theta: Floats, a: Floats) -> Floats:
        """(n,) variances."""
        _, signal, slope, *_ = self._split(theta)
        return np.exp(signal + 2 * a[:, self.features :] @ slope) + OFFSET_VARIANCE

    def spread(self, theta: Floats, scales: Floats) -> tuple[float, Floats]:
        """Standard deviation over mixtures at the target, and (n,) at `scales` (n, J)."""
        _, signal, slope, *_ = self._split(theta)
        target = float(np.exp(0.5 * signal[0]))
        return target, target * np.exp(scales @ slope)

    def correlation(self, theta: Floats, scales: Floats) -> Floats:
        """(n,) ρ between `scales` (n, J) and the target: how alike they rank mixtures, before any run."""
        target, own = self.spread(theta, scales)
        return self._between(theta, scales, np.zeros((1, self.axes))).coupling[:, 0] / (target * own)

    def _between(self, theta: Floats, a: Floats, b: Floats) -> _Between:
        _, signal, slope, reach, frequency, smooth = self._split(theta)
        delta = a[:, None, :] - b[None, :, :]
        amplitude = np.exp(signal + (a @ slope)[:, None] + (b @ slope)[None, :])
        return _Between(
            delta=delta,
            damped=amplitude * np.exp(-(np.abs(delta) / np.exp(reach)).sum(-1)),
            phase=delta @ frequency,
            offset=OFFSET_VARIANCE * np.exp(-0.5 * ((delta / np.exp(smooth)) ** 2).sum(-1)),
        )

    def value_and_pullback(self, theta: Floats, a: Floats) -> tuple[Floats, Pullback]:
        """See `mixopt.methods.gp.kernels.Kernel`."""
        lengths, _, _, reach, _, smooth = self._split(theta)
        x = a[:, : self.features] / np.exp(lengths)
        mixtures, falling = matern52(squared_distances(x, x))
        levels, rows = _distinct(a[:, self.features :])
        between = self._between(theta, levels, levels)
        at = np.ix_(rows, rows)
        coupling = between.coupling[at]
        member = np.eye(len(levels))[rows]

        def pullback(gradient: Floats) -> Floats:
            by_scale = member.T @ (gradient * mixtures) @ member
            coupled = by_scale * between.coupling
            turning = -by_scale * between.damped * np.sin(between.phase)
            offsets = member.T @ gradient @ member * between.offset
            return np.concatenate(
                [
                    distance_gradient(gradient * coupling * falling, x),
                    [coupled.sum()],
                    2 * coupled.sum(1) @ levels,
                    np.tensordot(coupled, np.abs(between.delta)) / np.exp(reach),
                    np.tensordot(turning, between.delta),
                    np.tensordot(offsets, between.delta**2) / np.exp(2 * smooth),
                ]
            )

        return mixtures * coupling + between.offset[at], pullback


@dataclass(frozen=True)
class _Between:
    """What pairs of scales have to do with one another.

    Attributes:
        delta: (n_a, n_b, J) difference of scales.
        damped: (n_a, n_b) s² a a' exp(−Σ|Δ| / ℓ).
        phase: (n_a, n_b) ω · Δ.
        offset: (n_a, n_b) covariance of levels.
    """

    delta: Floats
    damped: Floats
    phase: Floats
    offset: Floats

    @property
    def coupling(self) -> Floats:
        """(n_a, n_b) s² a a' ρ(Δ)."""
        return self.damped * np.cos(self.phase)


def _distinct(scales: Floats) -> tuple[Floats, Indices]:
    """The distinct rows of (n, J) in ascending order, and for each row which it is.

    `np.unique` by rows does the same, but takes longer than all else that is done for a pair of scales.
    """
    order = np.lexsort(scales.T[::-1])
    ascending = scales[order]
    new = np.ones(len(scales), dtype=np.bool_)
    new[1:] = (ascending[1:] != ascending[:-1]).any(axis=1)
    rows = np.empty(len(scales), dtype=np.intp)
    rows[order] = np.cumsum(new) - 1
    return ascending[new], rows
