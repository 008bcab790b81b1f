"""Exponential mixing laws, fitted to many losses and replicates in one batched call.

    L = c + k·exp(Σ_j t_j w_j),  c ≥ 0        (Ye et al. 2024, "Data Mixing Laws", the form called M4)

As Σ_j w_j = 1, a factor k > 0 is a shift of every t_j: with k = 1 this is the log-linear law L = exp(c') + exp(t·w)
of Olmix (2026). So the laws differ only where k < 0, a loss that flattens as it rises.

c is solved inside, t by `mixopt.laws.batched_fit`. The Jacobian of a law is its value times w, so that every
Gauss-Newton matrix is one product with the outer products w wᵀ of the runs: thousands of problems at once. float64.

Symbols: R runs, K training domains, N problems (losses, folds, replicates, in one axis), S starts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from mixopt.arrays import Floats, Indices
from mixopt.laws.batched_fit import HUBER, Rows, fit_rows

# A start: how far below the lowest loss (k > 0) or above the highest (k < 0) the floor c lies, in ranges of the
# loss. t then follows by linear least squares of log|L − c|.
_STARTS = (0.05, 0.3, 1.5, 10.0)
# Prior precision of t_j − mean t, in variances of the loss: far too weak to move what the runs tell (a standard
# deviation of 30 where a law's error is a tenth of the losses' spread), enough to settle one that never varies.
_RIDGE = 1e-5
_ITERATIONS = 40
_LONGEST_STEP = 3.0
_TOLERANCE = 3e-5
_LARGEST_EXPONENT = 50.0
_REWEIGHTINGS = 6


@dataclass(frozen=True, eq=False)
class MixingLaw:
    """Laws of N losses (or of any leading shape)."""

    floor: Floats  # (…) c, nats/token
    slope: Floats  # (…, K) t, with log|k| in it
    sign: Floats  # (…) of k: 1, or −1
    cost: Floats  # (…) sum of squared residuals, weighted, with the ridge's part

    def reducible(self, weights: Floats) -> Floats:
        """k·exp(t·w) (…, P) of mixtures: (P, K), or (…, P, K) for each law's own."""
        exponent = np.swapaxes(weights @ np.swapaxes(self.slope[..., None, :], -1, -2), -1, -2)[..., 0, :]
        return self.sign[..., None] * np.exp(np.minimum(exponent, _LARGEST_EXPONENT))

    def predict(self, weights: Floats) -> Floats:
        """(…, P) losses of mixtures: (P, K), or (…, P, K) for each law's own."""
        return self.floor[..., None] + self.reducible(weights)

    def reshape(self, *shape: int) -> MixingLaw:
        """The same laws with other leading axes."""
        slope = self.slope.reshape(*shape, self.slope.shape[-1])
        return MixingLaw(self.floor.reshape(shape), slope, self.sign.reshape(shape), self.cost.reshape(shape))

    def take(self, rows: Indices) -> MixingLaw:
        """Some of N laws."""
        return MixingLaw(*(getattr(self, field.name)[rows] for field in fields(self)))

    def factor(self) -> tuple[Floats, Floats]:
        """k (…) and t (…, K) with Σ_j t_j = 0, which makes the two identifiable."""
        mean = self.slope.mean(axis=-1)
        return self.sign * np.exp(mean), self.slope - mean[..., None]


def fit_mixing_law(
    weights: Floats,
    losses: Floats,
    *,
    precision: Floats | None = None,
    negative: bool = False,
    robust: bool = False,
    start: MixingLaw | None = None,
) -> MixingLaw:
    """Fit every loss.

    Args:
        weights: (R, K) mixtures.
        losses: (N, R) nats/token.
        precision: (N, R) relative precisions of the losses, 0 for a run that is left out; None for 1.
        negative: k < 0 is tried too, and kept where it fits better.
        robust: Huber's loss, at 1.345 robust standard deviations of the residuals, in place of least squares.
        start: N laws near the answer, in place of the four starts that are found from the losses: for replicates.

    Returns:
        N laws: of each loss, the best of its starts.
    """
    precision = np.ones_like(losses) if precision is None else precision
    curves = _Curves.of(weights, np.ones(len(losses)))
    if start is not None:
        law = _fit(replace(curves, sign=start.sign), losses, precision, start.slope[None])
    else:
        law = _from_starts(curves, losses, precision)
        if negative:
            law = _better(law, _from_starts(replace(curves, sign=-curves.sign), losses, precision))
    for _ in range(_REWEIGHTINGS if robust else 0):
        off = np.abs(losses - law.predict(weights))
        reweighted = precision * np.minimum(1.0, HUBER * _scale(off, precision) / (off + 1e-300))
        before = law
        law = _fit(replace(curves, sign=law.sign), losses, reweighted, law.slope[None])
        if np.abs(law.floor - before.floor).max() < 1e-6:
            break
    return law


@dataclass(frozen=True, eq=False)
class _Curves:
    """k·exp(t·w) over the same R runs, k of N signs; see `mixopt.laws.batched_fit.Curves`."""

    weights: Floats  # (R, K)
    outer: Floats  # (R, K²) w wᵀ of each run
    sign: Floats  # (N,)

    @classmethod
    def of(cls, weights: Floats, sign: Floats) -> _Curves:
        return cls(weights, (weights[:, :, None] * weights[:, None, :]).reshape(len(weights), -1), sign)

    def some(self, rows: Indices) -> _Curves:
        return replace(self, sign=self.sign[rows])

    def curve(self, theta: Floats) -> Floats:
        return self.sign[:, None] * np.exp(np.minimum(theta @ self.weights.T, _LARGEST_EXPONENT))

    def jacobian(self, theta: Floats, curve: Floats) -> _Jacobian:
        return _Jacobian(self, curve)

    def second_moments(self, share: Floats) -> Floats:
        """(N, K, K) Σ_r share_r w_r w_rᵀ."""
        size = self.weights.shape[1]
        return (share @ self.outer).reshape(-1, size, size)


@dataclass(frozen=True, eq=False)
class _Jacobian:
    """The laws' values times w, never written out."""

    curves: _Curves
    values: Floats

    def pull(self, values: Floats) -> Floats:
        return (values * self.values) @ self.curves.weights

    def square(self, weight: Floats) -> Floats:
        return self.curves.second_moments(weight * self.values**2)


def _scale(off: Floats, precision: Floats) -> Floats:
    """(N, 1) robust standard deviations: the median absolute residual of the runs that count, normal-consistent."""
    median = np.nanmedian(np.where(precision > 0, off, np.nan), axis=1, keepdims=True)
    return np.maximum(1.4826 * median, 1e-9)


def _ridge(losses: Floats, precision: Floats) -> Floats:
    """(N,) prior precision of t_j − mean t."""
    total = precision.sum(axis=1)
    mean = (precision * losses).sum(axis=1) / total
    return _RIDGE * (precision * (losses - mean[:, None]) ** 2).sum(axis=1) / total + 1e-12


def _from_starts(curves: _Curves, losses: Floats, precision: Floats) -> MixingLaw:
    return _fit(curves, losses, precision, np.stack([_start(curves, losses, precision, far) for far in _STARTS]))


def _better(one: MixingLaw, other: MixingLaw) -> MixingLaw:
    """Of each loss the law that costs less."""
    count = len(one.cost)
    both = MixingLaw(
        *(np.concatenate([getattr(one, field.name), getattr(other, field.name)]) for field in fields(MixingLaw))
    )
    return both.take(np.arange(count) + count * (other.cost < one.cost))


def _start(curves: _Curves, losses: Floats, precision: Floats, far: float) -> Floats:
    """(N, K) t by least squares of log|L − c|, each run weighted by (L − c)², as errors are of L."""
    sign = curves.sign[:, None]
    signed = np.where(precision > 0, sign * losses, np.nan)
    lowest, highest = np.nanmin(signed, axis=1, keepdims=True), np.nanmax(signed, axis=1, keepdims=True)
    floor = lowest - far * (highest - lowest) - 1e-6
    rest = np.maximum(sign * losses - np.where(sign > 0, np.maximum(floor, 0.0), floor), 1e-9)
    share = precision * rest**2
    matrix, size = curves.second_moments(share), curves.weights.shape[1]
    matrix += _ridge(losses, precision)[:, None, None] * (np.eye(size) - 1 / size)
    matrix += 1e-9 * np.trace(matrix, axis1=1, axis2=2)[:, None, None] * np.eye(size)
    return np.linalg.solve(matrix, ((share * np.log(rest)) @ curves.weights)[..., None])[..., 0]


def _fit(curves: _Curves, losses: Floats, precision: Floats, starts: Floats) -> MixingLaw:
    """The best of starts (S, N, K), by least squares."""
    size, ridge = curves.weights.shape[1], _ridge(losses, precision)
    rows = Rows(
        y=losses,
        precision=precision / ridge[:, None],  # in units in which all have one prior
        centre=np.zeros(size),
        root=np.eye(size) - 1 / size,
        low=np.full(size, -np.inf),
        high=np.full(size, np.inf),
        floor_from_zero=True,
        longest=_LONGEST_STEP,
        tolerance=_TOLERANCE,
    )
    fit = fit_rows(curves, rows, starts, _ITERATIONS)
    return MixingLaw(fit.floor, fit.theta, curves.sign, fit.cost * ridge)
