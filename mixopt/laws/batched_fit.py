"""Maximum-a-posteriori fits of y = floor + amplitude · g(θ), many problems at once; robust if wanted.

Floor and amplitude are linear and solved in closed form inside (variable projection, Golub and Pereyra 1973, with
Kaufman's 1975 Jacobian). θ is found by damped Gauss-Newton inside a box; Huber's loss is minimised by reweighting:
its weights make a quadratic that lies above it and touches it (Huber and Ronchetti 2009, section 7.8), so a step
that lowers one lowers the other. Converged problems drop out. float64.

The curves of `mixopt.laws.power`, `mixing` and `joint` are fitted here.

Symbols: N problems, R observations each, p parameters θ, S starts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Protocol, Self

import numpy as np

from mixopt.arrays import Bools, Floats, Indices

# 95 % as efficient as least squares under normal errors (Huber and Ronchetti 2009, section 4.5).
HUBER = 1.345
_ITERATIONS = 200
_REWEIGHTINGS = 12


class Jacobian(Protocol):
    """Derivatives J (n, R, p) of n curves, which need not be written out."""

    def pull(self, values: Floats) -> Floats:
        """(n, p) Σ_r v_r J_r of values (n, R)."""
        ...

    def square(self, weight: Floats) -> Floats:
        """(n, p, p) Σ_r w_r J_r J_rᵀ of weights (n, R)."""
        ...


@dataclass(frozen=True, eq=False)
class Dense:
    """A Jacobian as an array (n, R, p)."""

    values: Floats

    def pull(self, values: Floats) -> Floats:
        """See `Jacobian`."""
        return (values[:, None, :] @ self.values)[:, 0]

    def square(self, weight: Floats) -> Floats:
        """See `Jacobian`."""
        return np.swapaxes(self.values, 1, 2) @ (weight[..., None] * self.values)


class Curves(Protocol):
    """The nonlinear part g(θ) of N problems."""

    def some(self, rows: Indices) -> Self:
        """Those of some of the problems."""
        ...

    def curve(self, theta: Floats) -> Floats:
        """(n, R) for parameters (n, p)."""
        ...

    def jacobian(self, theta: Floats, curve: Floats) -> Jacobian:
        """The derivatives of `curve`, which is known."""
        ...


@dataclass(frozen=True, eq=False)
class Rows:
    """N problems."""

    y: Floats  # (N, R) observations
    precision: Floats  # (N, R) 1 / variance; 0 for an observation that is left out
    centre: Floats  # (N, p) or (p,) prior means of θ
    root: Floats  # (N, p, p) or (p, p) prior precision matrices
    low: Floats  # (N, p) or (p,) lower bounds of θ; equal to `high` for a parameter that is fixed
    high: Floats  # (N, p) or (p,)
    free_amplitude: bool = False  # the amplitude is fitted, at least 0; else it is 1
    floor_from_zero: bool = False  # the floor is at least 0; else free
    robust: bool = False  # Huber's loss in place of squares
    longest: float = 1.5  # no parameter moves further in a step
    tolerance: float = 1e-7  # a problem has converged when a step moves no parameter by as much

    def some(self, rows: Indices) -> Rows:
        """Some of the problems."""
        axes = {"y": 2, "precision": 2, "centre": 2, "root": 3, "low": 2, "high": 2}
        own = {name: getattr(self, name) for name, ndim in axes.items() if getattr(self, name).ndim == ndim}
        return replace(self, **{name: array[rows] for name, array in own.items()})

    def pull(self, theta: Floats) -> Floats:
        """(N, p) half the gradient of the prior's part of the cost."""
        off = theta - self.centre
        return off @ self.root if self.root.ndim == 2 else (self.root @ off[..., None])[..., 0]

    def prior_cost(self, theta: Floats) -> Floats:
        """(N,)."""
        return _dot(theta - self.centre, self.pull(theta))

    def cost(self, theta: Floats, residual: Floats, weight: Floats) -> Floats:
        """(N,) weighted squares and the prior's part."""
        return _dot(weight * residual, residual) + self.prior_cost(theta)


@dataclass(frozen=True, eq=False)
class RowsFit:
    """Fitted problems."""

    theta: Floats  # (N, p)
    floor: Floats  # (N,)
    amplitude: Floats  # (N,)
    cost: Floats  # (N,) squares, or Huber's loss, in variances plus the prior's part
    residual: Floats  # (N, R) y − fit
    weight: Floats  # (N, R) Huber weights, from 0 to 1


def fit_rows(curves: Curves, rows: Rows, starts: Floats, iterations: int = _ITERATIONS) -> RowsFit:
    """Fit every problem from each of its starts (S, N, p), with so many steps at most, and keep the best."""
    tries, size = starts.shape[:2]
    which = np.tile(np.arange(size), tries)
    tried, theirs = rows.some(which), curves.some(which)
    theta = _descend(theirs, tried, starts.reshape(tries * size, -1), iterations)
    fit = _solved(theirs, tried, theta)
    best = fit.cost.reshape(tries, size).argmin(axis=0) * size + np.arange(size)
    return RowsFit(*(getattr(fit, field.name)[best] for field in fields(fit)))


def effective_parameters(curves: Curves, rows: Rows, fit: RowsFit) -> Floats:
    """(N,) the linear ones, and the trace of the data's share in θ's curvature."""
    curve, weight = curves.curve(fit.theta), fit.weight * rows.precision
    free = _linear(rows, curve, weight)[2]
    data = _normal(curves, rows, fit.theta, curve, weight, fit.residual, fit.amplitude, free)[1]
    fixed = np.broadcast_to(rows.low == rows.high, fit.theta.shape)
    data = np.where(fixed[:, :, None] | fixed[:, None, :], 0.0, data)
    ridge = 1e-12 * np.trace(data, axis1=1, axis2=2)[:, None, None] * np.eye(data.shape[1])
    share = np.linalg.solve(data + rows.root + ridge, data)
    return free + float(rows.free_amplitude) + np.trace(share, axis1=1, axis2=2)


def _linear(rows: Rows, curve: Floats, weight: Floats) -> tuple[Floats, Floats, Bools]:
    """Floor (n,), amplitude (n,) and whether the floor is at no bound (n,): weighted least squares within signs."""
    total = np.maximum(weight.sum(axis=1), 1e-300)
    y_mean, g_mean = _dot(weight, rows.y) / total, _dot(weight, curve) / total
    amplitude, free = np.ones(total.size), np.ones(total.size, dtype=np.bool_)
    if rows.free_amplitude:
        rest = weight * (curve - g_mean[:, None])
        amplitude = np.maximum(_dot(rest, rows.y) / np.maximum(_dot(rest, curve), 1e-300), 0.0)
    floor = y_mean - amplitude * g_mean
    if rows.floor_from_zero:
        free = floor >= 0
        if rows.free_amplitude:
            through_zero = _dot(weight * curve, rows.y) / np.maximum(_dot(weight * curve, curve), 1e-300)
            amplitude = np.where(free, amplitude, np.maximum(through_zero, 0.0))
        floor = np.maximum(floor, 0.0)
    return floor, amplitude, free


def _huber_weight(rows: Rows, residual: Floats) -> Floats:
    off = np.abs(residual) * np.sqrt(rows.precision)
    return np.minimum(1.0, HUBER / np.maximum(off, 1e-300))


def _solved(curves: Curves, rows: Rows, theta: Floats) -> RowsFit:
    """Floor, amplitude and Huber weights at θ: a few rounds of reweighting."""
    curve, weight = curves.curve(theta), np.ones_like(rows.y)
    for _ in range(_REWEIGHTINGS if rows.robust else 0):
        floor, amplitude, _ = _linear(rows, curve, weight * rows.precision)
        before, weight = weight, _huber_weight(rows, rows.y - floor[:, None] - amplitude[:, None] * curve)
        if np.abs(weight - before).max(initial=0.0) < 1e-9:
            break
    floor, amplitude, _ = _linear(rows, curve, weight * rows.precision)
    residual = rows.y - floor[:, None] - amplitude[:, None] * curve
    # With weight w = δ/|z| beyond δ, Huber's loss is 2δ|z| − δ² = 2 w z² − δ².
    tail = weight < 1
    cost = rows.cost(theta, residual, np.where(tail, 2 * weight, 1.0) * rows.precision)
    return RowsFit(theta, floor, amplitude, cost - HUBER**2 * tail.sum(axis=1), residual, weight)


def _normal(
    curves: Curves,
    rows: Rows,
    theta: Floats,
    curve: Floats,
    weight: Floats,
    residual: Floats,
    amplitude: Floats,
    free: Bools,
) -> tuple[Floats, Floats]:
    """Half the gradient (n, p) and the Gauss-Newton matrix (n, p, p) of the squares.

    Floor and amplitude follow θ (Kaufman's approximation), which takes a rank each from the matrix.
    """
    jacobian, total = curves.jacobian(theta, curve), np.maximum(weight.sum(axis=1), 1e-300)
    gradient, matrix = -jacobian.pull(weight * residual), jacobian.square(weight)
    along = jacobian.pull(weight)
    matrix -= (along * (free / total)[:, None])[:, :, None] * along[:, None, :]
    if rows.free_amplitude:
        rest = weight * (curve - (free * _dot(weight, curve) / total)[:, None])
        along = jacobian.pull(rest)
        matrix -= (along / np.maximum(_dot(rest, curve), 1e-300)[:, None])[:, :, None] * along[:, None, :]
        gradient *= amplitude[:, None]
        matrix *= (amplitude**2)[:, None, None]
    return gradient, matrix


def _descend(curves: Curves, rows: Rows, theta: Floats, iterations: int) -> Floats:
    """Levenberg-Marquardt in step for all (n, p) starts."""
    theta = np.clip(theta, rows.low, rows.high)
    diagonal = np.arange(theta.shape[1])
    damping, active = np.full(len(theta), 1e-3), np.arange(len(theta))
    curve = curves.curve(theta)
    weight = (_solved(curves, rows, theta).weight if rows.robust else 1.0) * rows.precision
    for _ in range(iterations):
        here, lam = theta[active], damping[active]
        floor, amplitude, free = _linear(rows, curve, weight)
        residual = rows.y - floor[:, None] - amplitude[:, None] * curve
        cost = rows.cost(here, residual, weight)
        gradient, matrix = _normal(curves, rows, here, curve, weight, residual, amplitude, free)
        gradient += rows.pull(here)
        matrix += rows.root
        # A parameter at its bound that wants out stays there in this step.
        held = ((here <= rows.low) & (gradient > 0)) | ((here >= rows.high) & (gradient < 0))
        held |= rows.low == rows.high
        if held.any():
            gradient = np.where(held, 0.0, gradient)
            matrix = np.where(held[:, :, None] | held[:, None, :], 0.0, matrix)
        scale = matrix[:, diagonal, diagonal]
        damped = scale + lam[:, None] * np.maximum(scale, 1e-12 * scale.sum(axis=1, keepdims=True) + 1e-300)
        matrix[:, diagonal, diagonal] = np.where(held, 1.0, damped)
        step = np.clip(-_solve(matrix, gradient), -rows.longest, rows.longest)
        trial = np.clip(here + step, rows.low, rows.high)
        there = curves.curve(trial)
        floor, amplitude, _ = _linear(rows, there, weight)
        residual = rows.y - floor[:, None] - amplitude[:, None] * there
        lower = cost - rows.cost(trial, residual, weight)
        better = lower > 0
        theta[active[better]] = trial[better]
        np.copyto(curve, there, where=better[:, None])
        if rows.robust:
            np.copyto(weight, _huber_weight(rows, residual) * rows.precision, where=better[:, None])
        damping[active] = lam = np.clip(np.where(better, lam * 0.2, lam * 6.0), 1e-12, 1e10)
        moved = trial - here
        done = (_dot(moved, moved) < rows.tolerance**2) | (lam >= 1e10)
        going = np.flatnonzero(~(done | (better & (lower <= rows.tolerance**2 * cost))))
        if not going.size:
            break
        if going.size < active.size:
            active, curves, rows = active[going], curves.some(going), rows.some(going)
            curve, weight = curve[going], weight[going]
    return theta


def _dot(one: Floats, other: Floats) -> Floats:
    """(n,) of (n, R) and (n, R): three times as fast as a product's sum where R is small."""
    return np.einsum("nr,nr->n", one, other)


def _solve(matrix: Floats, vector: Floats) -> Floats:
    """(n, p) solutions of n systems; those of two unknowns by Cramer's rule, which is seven times as fast."""
    if vector.shape[1] != 2:
        return np.asarray(np.linalg.solve(matrix, vector[..., None])[..., 0], dtype=np.float64)
    (a, b), (c, d) = np.moveaxis(matrix, 0, -1)
    x, y = vector.T
    determinant = np.maximum(a * d - b * c, 1e-300)
    return np.column_stack([(d * x - b * y) / determinant, (a * y - c * x) / determinant])
