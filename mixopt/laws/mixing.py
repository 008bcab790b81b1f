"""Exponential mixing laws, fitted to many losses and replicates in one batched call.

    L = c + k·exp(Σ_j t_j w_j),  c ≥ 0        (Ye et al. 2024, "Data Mixing Laws", the form called M4)

As Σ_j w_j = 1, a factor k > 0 is a shift of every t_j: with k = 1 this is the log-linear law L = exp(c') + exp(t·w)
of Olmix (2026). So the laws differ only where k < 0, a loss that flattens as it rises.

c enters linearly and is solved in closed form inside (variable projection, Golub and Pereyra 1973, with Kaufman's
1975 Jacobian); t is found by damped Gauss-Newton. The Jacobian of a law is its value times w, so that every
Gauss-Newton matrix is one product with the outer products w wᵀ of the runs: thousands of problems at once. float64.

Symbols: R runs, K training domains, N problems (losses, folds, replicates, in one axis), S starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A start: how far below the lowest loss (k > 0) or above the highest (k < 0) the floor c lies, in ranges of the
# loss. t then follows by linear least squares of log|L − c|.
_STARTS = (0.05, 0.3, 1.5, 10.0)
# Prior precision of t_j − mean t, in variances of the loss: far too weak to move what the runs tell (a standard
# deviation of 30 where a law's error is a tenth of the losses' spread), enough to settle one that never varies.
_RIDGE = 1e-5
_ITERATIONS = 100
_LONGEST_STEP = 3.0
_TOLERANCE = 1e-9
_LARGEST_EXPONENT = 50.0
# 95 % as efficient as least squares under normal errors (Huber and Ronchetti 2009, section 4.5).
_HUBER = 1.345
_REWEIGHTINGS = 6


@dataclass(frozen=True, eq=False)
class MixingLaw:
    """Laws of N losses (or of any leading shape).

    Attributes:
        floor: (…) c, nats/token.
        slope: (…, K) t, with log|k| in it.
        sign: (…) of k: 1, or −1.
        cost: (…) sum of squared residuals, weighted, with the ridge's part.
    """

    floor: NDArray[np.float64]
    slope: NDArray[np.float64]
    sign: NDArray[np.float64]
    cost: NDArray[np.float64]

    def reducible(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """k·exp(t·w) (…, P) of mixtures: (P, K), or (…, P, K) for each law's own."""
        exponent = np.swapaxes(weights @ np.swapaxes(self.slope[..., None, :], -1, -2), -1, -2)[..., 0, :]
        return self.sign[..., None] * np.exp(np.minimum(exponent, _LARGEST_EXPONENT))

    def predict(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(…, P) losses of mixtures: (P, K), or (…, P, K) for each law's own."""
        return self.floor[..., None] + self.reducible(weights)

    def reshape(self, *shape: int) -> MixingLaw:
        """The same laws with other leading axes."""
        return MixingLaw(
            self.floor.reshape(shape),
            self.slope.reshape(*shape, self.slope.shape[-1]),
            self.sign.reshape(shape),
            self.cost.reshape(shape),
        )

    def take(self, rows: NDArray[np.intp]) -> MixingLaw:
        """Some of N laws."""
        return MixingLaw(self.floor[rows], self.slope[rows], self.sign[rows], self.cost[rows])

    def factor(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """k (…) and t (…, K) with Σ_j t_j = 0, which makes the two identifiable."""
        mean = self.slope.mean(axis=-1)
        return self.sign * np.exp(mean), self.slope - mean[..., None]


def fit_mixing_law(
    weights: NDArray[np.float64],
    losses: NDArray[np.float64],
    *,
    precision: NDArray[np.float64] | None = None,
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
    problems = _Problems.of(weights, losses, np.ones_like(losses) if precision is None else precision)
    law = _fit(problems, start, negative)
    if not robust:
        return law
    for _ in range(_REWEIGHTINGS):
        off = np.abs(losses - law.predict(weights))
        reweighted = problems.precision * np.minimum(1.0, _HUBER * _scale(off, problems.precision) / (off + 1e-300))
        before = law
        law = _descend(_Problems.of(weights, losses, reweighted), law.slope, law.sign)
        if np.abs(law.floor - before.floor).max() < 1e-6:
            break
    return law


@dataclass(frozen=True, eq=False)
class _Problems:
    """N weighted least squares problems over the same R runs.

    Attributes:
        weights: (R, K).
        outer: (R, K²) w wᵀ of each run.
        losses: (N, R).
        precision: (N, R).
        ridge: (N,) prior precision of t_j − mean t.
    """

    weights: NDArray[np.float64]
    outer: NDArray[np.float64]
    losses: NDArray[np.float64]
    precision: NDArray[np.float64]
    ridge: NDArray[np.float64]

    @classmethod
    def of(
        cls, weights: NDArray[np.float64], losses: NDArray[np.float64], precision: NDArray[np.float64]
    ) -> _Problems:
        outer = (weights[:, :, None] * weights[:, None, :]).reshape(len(weights), -1)
        total = precision.sum(axis=1)
        mean = (precision * losses).sum(axis=1) / total
        variance = (precision * (losses - mean[:, None]) ** 2).sum(axis=1) / total
        return cls(weights, outer, losses, precision, _RIDGE * variance + 1e-12)

    def some(self, rows: NDArray[np.intp]) -> _Problems:
        return _Problems(self.weights, self.outer, self.losses[rows], self.precision[rows], self.ridge[rows])

    def second_moments(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, K, K) Σ_r share_r w_r w_rᵀ."""
        size = self.weights.shape[1]
        return (share @ self.outer).reshape(-1, size, size)

    def penalty(self) -> NDArray[np.float64]:
        """(N, K, K) the ridge's matrix."""
        size = self.weights.shape[1]
        return self.ridge[:, None, None] * (np.eye(size) - 1 / size)

    def floor(self, curve: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) the best c ≥ 0."""
        return np.maximum((self.precision * (self.losses - curve)).sum(axis=1) / self.precision.sum(axis=1), 0.0)

    def curve(self, slope: NDArray[np.float64], sign: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, R) k·exp(t·w)."""
        return sign[:, None] * np.exp(np.minimum(slope @ self.weights.T, _LARGEST_EXPONENT))

    def cost(self, slope: NDArray[np.float64], residual: NDArray[np.float64]) -> NDArray[np.float64]:
        apart = slope - slope.mean(axis=1, keepdims=True)
        return (self.precision * residual**2).sum(axis=1) + self.ridge * (apart**2).sum(axis=1)


def _scale(off: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 1) robust standard deviations: the median absolute residual of the runs that count, normal-consistent."""
    median = np.nanmedian(np.where(precision > 0, off, np.nan), axis=1, keepdims=True)
    return np.maximum(1.4826 * median, 1e-9)


def _fit(problems: _Problems, start: MixingLaw | None, negative: bool) -> MixingLaw:
    if start is not None:
        return _descend(problems, start.slope, start.sign)
    count = len(problems.losses)
    signs = (1.0, -1.0) if negative else (1.0,)
    slopes = np.concatenate([_linear_start(problems, far, sign) for sign in signs for far in _STARTS])
    tries = len(signs) * len(_STARTS)
    sign = np.repeat(signs, len(_STARTS) * count)
    tried = _descend(problems.some(np.tile(np.arange(count), tries)), slopes, sign)
    best = tried.cost.reshape(tries, count).argmin(axis=0) * count + np.arange(count)
    return tried.take(best)


def _linear_start(problems: _Problems, far: float, sign: float) -> NDArray[np.float64]:
    """(N, K) t by least squares of log|L − c|, each run weighted by (L − c)², as errors are of L."""
    there = problems.precision > 0
    signed = np.where(there, sign * problems.losses, np.nan)
    lowest, spread = np.nanmin(signed, axis=1), np.nanmax(signed, axis=1) - np.nanmin(signed, axis=1)
    floor = lowest - far * spread - 1e-6
    floor = np.maximum(floor, 0.0) if sign > 0 else floor
    rest = np.maximum(sign * problems.losses - floor[:, None], 1e-9)
    share = problems.precision * rest**2
    matrix = problems.second_moments(share)
    trace = np.trace(matrix, axis1=1, axis2=2)[:, None, None]
    matrix = matrix + problems.penalty() + 1e-9 * trace * np.eye(matrix.shape[1])
    return np.linalg.solve(matrix, ((share * np.log(rest)) @ problems.weights)[..., None])[..., 0]


def _descend(problems: _Problems, slope: NDArray[np.float64], sign: NDArray[np.float64]) -> MixingLaw:
    """Levenberg-Marquardt in step for all problems; those that have converged drop out."""
    slope = slope.copy()
    count, size = slope.shape
    diagonal = np.arange(size)
    damping, active = np.full(count, 1e-3), np.arange(count)
    floors, costs = np.empty(count), np.empty(count)
    curve = problems.curve(slope, sign)
    floors[:] = problems.floor(curve)
    costs[:] = problems.cost(slope, problems.losses - floors[:, None] - curve)
    part, kept = problems, curve
    for _ in range(_ITERATIONS):
        here, curve, floor = slope[active], kept, floors[active]
        pull = part.precision * curve
        apart = here - here.mean(axis=1, keepdims=True)
        residual = part.losses - floor[:, None] - curve
        gradient = part.ridge[:, None] * apart - (pull * residual) @ part.weights
        mean = pull @ part.weights
        # A floor at 0 does not follow along.
        share = (floor > 0) / part.precision.sum(axis=1)
        hessian = part.second_moments(pull * curve) - share[:, None, None] * mean[:, :, None] * mean[:, None, :]
        hessian += part.penalty()
        scale = hessian[:, diagonal, diagonal]
        scale = np.maximum(scale, 1e-12 * scale.max(axis=1, keepdims=True) + 1e-300)
        hessian[:, diagonal, diagonal] += damping[active, None] * scale
        step = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
        trial = here + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        curve = part.curve(trial, sign[active])
        floor = part.floor(curve)
        cost = part.cost(trial, part.losses - floor[:, None] - curve)
        better = cost < costs[active]
        done = better & (costs[active] - cost <= _TOLERANCE * costs[active])
        done |= np.abs(step).max(axis=1) < _TOLERANCE
        won = active[better]
        slope[won], floors[won], costs[won] = trial[better], floor[better], cost[better]
        kept = np.where(better[:, None], curve, kept)
        damping[active] = np.where(better, np.maximum(damping[active] * 0.2, 1e-12), damping[active] * 6)
        going = np.flatnonzero(~(done | (damping[active] > 1e9)))
        if not going.size:
            break
        if going.size < active.size:
            active, part, kept = active[going], part.some(going), kept[going]
    return MixingLaw(floors, slope, sign.copy(), costs)
