"""Robust maximum-a-posteriori fits of y = floor + amplitude · g(θ), many problems at once.

Floor and amplitude are linear and solved in closed form inside (variable projection, Golub and Pereyra 1973, with
Kaufman's 1975 Jacobian). θ is found by damped Gauss-Newton inside a box; Huber's loss is minimised by reweighting:
its weights make a quadratic that lies above it and touches it (Huber and Ronchetti 2009, section 7.8), so a step
that lowers one lowers the other. Converged problems drop out. float64.

Symbols: N problems, R observations each, p parameters θ, S starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# 95 % as efficient as least squares under normal errors (Huber and Ronchetti 2009, section 4.5).
HUBER = 1.345
_ITERATIONS = 200
_REWEIGHTINGS = 12
_LONGEST_STEP = 1.5


class Curves(Protocol):
    """The nonlinear part g(θ) of N problems over the same R observations."""

    def curve(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, R) for parameters (n, p)."""
        ...

    def jacobian(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, R, p) derivatives of `curve`."""
        ...


@dataclass(frozen=True, eq=False)
class Rows:
    """N problems.

    Attributes:
        y: (N, R) observations.
        precision: (N, R) 1 / variance; 0 for an observation that is left out.
        centre: (N, p) prior means of θ.
        root: (N, p, p) or (p, p) prior precision matrices.
        low: (N, p) or (p,) lower bounds of θ; equal to `high` for a parameter that is fixed.
        high: (N, p) or (p,).
        free_amplitude: the amplitude is fitted, at least 0; else it is 1.
        floor_from_zero: the floor is at least 0; else free.
    """

    y: NDArray[np.float64]
    precision: NDArray[np.float64]
    centre: NDArray[np.float64]
    root: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    free_amplitude: bool
    floor_from_zero: bool

    def some(self, rows: NDArray[np.intp]) -> Rows:
        """Some of the problems."""
        size = self.y.shape[0]

        def pick(array: NDArray[np.float64], axes: int) -> NDArray[np.float64]:
            return np.broadcast_to(array, (size, *array.shape[array.ndim - axes :]))[rows]

        return Rows(
            self.y[rows],
            self.precision[rows],
            pick(self.centre, 1),
            pick(self.root, 2),
            pick(self.low, 1),
            pick(self.high, 1),
            self.free_amplitude,
            self.floor_from_zero,
        )

    def pull(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, p) half the gradient of the prior's part of the cost."""
        return (self.root @ (theta - self.centre)[..., None])[..., 0]

    def prior_cost(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,)."""
        return ((theta - self.centre) * self.pull(theta)).sum(axis=1)


@dataclass(frozen=True, eq=False)
class RowsFit:
    """Fitted problems.

    Attributes:
        theta: (N, p).
        floor: (N,).
        amplitude: (N,).
        cost: (N,) Huber loss in variances plus the prior's part.
        residual: (N, R) y − fit.
        weight: (N, R) Huber weights, from 0 to 1.
        used: (N,) effective number of parameters: linear ones, and the trace of the data's share in θ's curvature.
    """

    theta: NDArray[np.float64]
    floor: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    cost: NDArray[np.float64]
    residual: NDArray[np.float64]
    weight: NDArray[np.float64]
    used: NDArray[np.float64]


def fit_rows(curves: Curves, rows: Rows, starts: NDArray[np.float64], iterations: int = _ITERATIONS) -> RowsFit:
    """Fit every problem from each of its starts (S, N, p), with so many steps at most, and keep the best."""
    tries, size = starts.shape[0], rows.y.shape[0]
    which = np.tile(np.arange(size), tries)
    low, high = (np.broadcast_to(end, (size, starts.shape[2])) for end in (rows.low, rows.high))
    theta = _descend(curves, rows, np.clip(starts, low, high).reshape(tries * size, -1), which, iterations)
    tried = rows.some(which)
    cost = _huber_cost(tried, *_solved(curves, tried, theta)[:2], theta)
    best = cost.reshape(tries, size).argmin(axis=0)
    theta = theta.reshape(tries, size, -1)[best, np.arange(size)]
    residual, weight, floor, amplitude = _solved(curves, rows, theta)
    return RowsFit(
        theta=theta,
        floor=floor,
        amplitude=amplitude,
        cost=_huber_cost(rows, residual, weight, theta),
        residual=residual,
        weight=weight,
        used=_effective(curves, rows, theta, weight * rows.precision, amplitude),
    )


def _linear(
    rows: Rows, curve: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Floor (n,), amplitude (n,) and whether the floor is at no bound (n,): weighted least squares within signs."""
    total = np.maximum(weight.sum(axis=1), 1e-300)
    y_mean, g_mean = (weight * rows.y).sum(axis=1) / total, (weight * curve).sum(axis=1) / total
    ones = np.ones(rows.y.shape[0])
    if rows.free_amplitude:
        rest = curve - g_mean[:, None]
        slope = (weight * rest * rows.y).sum(axis=1) / np.maximum((weight * rest**2).sum(axis=1), 1e-300)
        amplitude = np.maximum(slope, 0.0)
    else:
        amplitude = ones
    floor = y_mean - amplitude * g_mean
    free = np.ones(ones.size, dtype=np.bool_)
    if rows.floor_from_zero:
        free = floor >= 0
        through_zero = (weight * curve * rows.y).sum(axis=1) / np.maximum((weight * curve**2).sum(axis=1), 1e-300)
        if rows.free_amplitude:
            amplitude = np.where(free, amplitude, np.maximum(through_zero, 0.0))
        floor = np.maximum(floor, 0.0)
    return floor, amplitude, free


def _huber_weight(rows: Rows, residual: NDArray[np.float64]) -> NDArray[np.float64]:
    off = np.abs(residual) * np.sqrt(rows.precision)
    return np.minimum(1.0, HUBER / np.maximum(off, 1e-300))


def _huber_cost(
    rows: Rows, residual: NDArray[np.float64], weight: NDArray[np.float64], theta: NDArray[np.float64]
) -> NDArray[np.float64]:
    squared = residual**2 * rows.precision
    # With weight w = δ/|z| beyond δ: 2δ|z| − δ² = 2 w z² − δ².
    tail = np.where(weight < 1, 2 * weight * squared - HUBER**2, squared)
    return tail.sum(axis=1) + rows.prior_cost(theta)


def _solved(
    curves: Curves, rows: Rows, theta: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Residuals, Huber weights, floor and amplitude at θ: a few rounds of reweighting."""
    curve = curves.curve(theta)
    weight = np.ones_like(rows.y)
    for _ in range(_REWEIGHTINGS):
        floor, amplitude, _ = _linear(rows, curve, weight * rows.precision)
        before, weight = weight, _huber_weight(rows, rows.y - floor[:, None] - amplitude[:, None] * curve)
        if np.abs(weight - before).max(initial=0.0) < 1e-9:
            break
    floor, amplitude, _ = _linear(rows, curve, weight * rows.precision)
    return rows.y - floor[:, None] - amplitude[:, None] * curve, weight, floor, amplitude


def _projected(
    rows: Rows,
    curve: NDArray[np.float64],
    jacobian: NDArray[np.float64],
    weight: NDArray[np.float64],
    amplitude: NDArray[np.float64],
    free: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """(n, R, p) derivatives of the fit with floor and amplitude following along (Kaufman's approximation)."""
    jacobian = amplitude[:, None, None] * jacobian
    share = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300) * free[:, None]
    jacobian = jacobian - (share[:, None, :] @ jacobian)
    if not rows.free_amplitude:
        return jacobian
    rest = curve - (share * curve).sum(axis=1, keepdims=True)
    norm = np.maximum((weight * rest**2).sum(axis=1), 1e-300)
    onto = ((weight * rest)[:, None, :] @ jacobian) / norm[:, None, None]
    return jacobian - rest[..., None] * onto


def _descend(
    curves: Curves, rows: Rows, theta: NDArray[np.float64], which: NDArray[np.intp], iterations: int
) -> NDArray[np.float64]:
    """Levenberg-Marquardt in step for all (n, p) starts, `which` problem each belongs to."""
    theta = theta.copy()
    count, size = theta.shape
    diagonal = np.arange(size)
    damping = np.full(count, 1e-3)
    weights = _solved(curves, rows.some(which), theta)[1]
    active = np.arange(count)
    for _ in range(iterations):
        if not active.size:
            break
        index = which[active]
        part, here = rows.some(index), theta[active]
        weight = weights[active] * part.precision
        curve = curves.curve(here)
        floor, amplitude, free = _linear(part, curve, weight)
        residual = part.y - floor[:, None] - amplitude[:, None] * curve
        cost = (weight * residual**2).sum(axis=1) + part.prior_cost(here)
        jacobian = _projected(part, curve, curves.jacobian(here), weight, amplitude, free)
        weighted = weight[..., None] * jacobian
        gradient = part.pull(here) - (residual[:, None, :] @ weighted)[:, 0]
        hessian = np.swapaxes(jacobian, 1, 2) @ weighted + part.root
        # A parameter at its bound that wants out stays there in this step.
        held = ((here <= part.low) & (gradient > 0)) | ((here >= part.high) & (gradient < 0))
        held |= part.low == part.high
        gradient = np.where(held, 0.0, gradient)
        hessian = np.where(held[:, :, None] | held[:, None, :], 0.0, hessian)
        scale = hessian[:, diagonal, diagonal]
        hessian[:, diagonal, diagonal] = np.where(held, 1.0, scale * (1 + damping[active, None]) + 1e-300)
        step = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
        longest = np.abs(step).max(axis=1, keepdims=True)
        step *= np.minimum(1.0, _LONGEST_STEP / np.maximum(longest, 1e-300))
        trial = np.clip(here + step, part.low, part.high)
        curve = curves.curve(trial)
        floor, amplitude, _ = _linear(part, curve, weight)
        residual = part.y - floor[:, None] - amplitude[:, None] * curve
        better = (weight * residual**2).sum(axis=1) + part.prior_cost(trial) < cost
        theta[active[better]] = trial[better]
        weights[active[better]] = _huber_weight(part, residual)[better]
        lam = damping[active]
        damping[active] = np.clip(np.where(better, lam * 0.2, lam * 6.0), 1e-12, 1e10)
        moved = np.abs(trial - here).max(axis=1)
        active = active[~((moved < 1e-7) | (damping[active] >= 1e10))]
    return theta


def _effective(
    curves: Curves,
    rows: Rows,
    theta: NDArray[np.float64],
    weight: NDArray[np.float64],
    amplitude: NDArray[np.float64],
) -> NDArray[np.float64]:
    curve = curves.curve(theta)
    free = _linear(rows, curve, weight)[2]
    jacobian = _projected(rows, curve, curves.jacobian(theta), weight, amplitude, free)
    data = np.swapaxes(jacobian, 1, 2) @ (weight[..., None] * jacobian)
    fixed = np.broadcast_to(rows.low == rows.high, theta.shape)
    data = np.where(fixed[:, :, None] | fixed[:, None, :], 0.0, data)
    ridge = 1e-12 * np.trace(data, axis1=1, axis2=2)[:, None, None] * np.eye(theta.shape[1])
    share = np.linalg.solve(data + rows.root + ridge, data)
    return free + float(rows.free_amplitude) + np.trace(share, axis1=1, axis2=2)
