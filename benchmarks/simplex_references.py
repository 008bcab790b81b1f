"""Minimise F with cvxpy, and by projected gradients: independent checks of `mixopt.solve.solve_simplex`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.errors import ConfigError
from mixopt.solve.bounds import project

if TYPE_CHECKING:
    from mixopt.arrays import Floats
    from mixopt.solve.simplex import PowerSum

# Tighter than this, Clarabel gives up on some problems; the refinement supplies the digits that are missing.
_TOLERANCE = 1e-9
_REFINEMENTS = 30
_ENOUGH = 1e-10
_STEPS = 500
_BACKTRACKS = 60
_SUFFICIENT = 1e-4  # Armijo's constant (Nocedal and Wright 2006, section 3.1)


def convex_programme(law: PowerSum, floors: Floats, caps: Floats) -> Floats:
    """Weights (…, m) that minimise F over {Σw = 1, floor ≤ w ≤ cap}, one problem at a time.

    F is handed over in cone form, Σ k_j exp(−b_j log t_j). An interior-point method finds F to 1e-9, so weights
    only to about its root: quadratic programmes around the answer (sequential quadratic programming, also solved by
    cvxpy), two as a rule, bring the weights to 1e-9.

    Args:
        law: the problems; a flat domain needs floor = cap.
        floors: (m,) with a sum below 1.
        caps: (…, m) with a sum of at least 1.

    Raises:
        ConfigError: the solver fails.
    """
    if len(law.shape) > 1:
        rows = [convex_programme(law.at(index), floors, caps[index]) for index in range(law.shape[0])]
        return np.stack(rows)
    open_ = np.flatnonzero(caps > floors)
    part = law.at(open_)
    weights, left = floors.copy(), 1 - np.delete(floors, open_).sum()
    found = _cone_programme(part, floors[open_], caps[open_], left)
    for _ in range(_REFINEMENTS):
        before, found = found, _quadratic_step(part, floors[open_], caps[open_], found, left)
        if np.abs(found - before).max() < _ENOUGH:
            break
    else:
        raise ConfigError("solver cvxpy: it did not converge on this law; use kkt or gradient")
    weights[open_] = found
    return weights


def _cone_programme(law: PowerSum, floors: Floats, caps: Floats, total: float) -> Floats:
    """argmin F over {Σw = total, floor ≤ w ≤ cap}, to about 1e-5."""
    import cvxpy as cp

    weights = np.full(floors.size, total / floors.size)
    base = law.offset + law.scale * weights
    amount = law.amplitude * base**-law.exponent
    amount = amount / (amount * law.exponent).max()
    move = cp.Variable(floors.size)
    powers = cp.exp(cp.multiply(-law.exponent, cp.log(1 + cp.multiply(law.scale / base, move))))
    bounds = [cp.sum(move) == total - weights.sum(), move >= floors - weights, move <= caps - weights]
    _solve(cp.Problem(cp.Minimize(amount @ powers), bounds), (cp.OPTIMAL, cp.OPTIMAL_INACCURATE))
    return np.clip(weights + _values(move), floors, caps)


def _quadratic_step(law: PowerSum, floors: Floats, caps: Floats, weights: Floats, total: float) -> Floats:
    """argmin of F's second-order expansion at `weights`, over the same set."""
    import cvxpy as cp

    curvature = law.curvature(weights)
    curvature = np.maximum(curvature, 1e-10 * curvature.max())  # more than it is: shorter steps, still downhill
    slope = law.slope(weights)
    free = (weights > floors) & (weights < caps)
    # A constant added to every slope changes nothing on Σw = 1, and its absence keeps precision.
    slope = slope - np.median(slope[free] if free.any() else slope)
    # In units of z = √(h_j / h_min) (w − w0) / 1e-3 the quadratic part is ½|z|², and z is near 1 or below.
    least = curvature.min()
    unit = 1e-3 / np.sqrt(curvature / least)
    z = cp.Variable(weights.size)
    objective = 0.5 * cp.sum_squares(z) - (slope * unit / (least * 1e-6)) @ z
    balance = cp.sum(cp.multiply(unit / 1e-3, z)) == (total - weights.sum()) / 1e-3
    bounds = [z >= (floors - weights) / unit, z <= (caps - weights) / unit]
    _solve(cp.Problem(cp.Minimize(objective), [balance, *bounds]), (cp.OPTIMAL,))
    return np.clip(weights + unit * _values(z), floors, caps)


def _solve(problem: Any, accepted: tuple[str, ...]) -> None:
    import cvxpy as cp

    tolerances = {"tol_gap_abs": _TOLERANCE, "tol_gap_rel": _TOLERANCE, "tol_feas": _TOLERANCE}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Solution may be inaccurate")  # the status says so
            problem.solve(solver=cp.CLARABEL, **tolerances)
    except cp.SolverError as error:
        raise ConfigError(f"solver cvxpy: it failed on this law ({error}); use kkt or gradient") from error
    if problem.status not in accepted:
        raise ConfigError(f"solver cvxpy: it ended with status {problem.status!r}; use kkt or gradient")


def _values(variable: Any) -> Floats:
    return np.asarray(variable.value, dtype=np.float64)


def projected_gradient(law: PowerSum, floors: Floats, caps: Floats) -> Floats:
    """Weights (…, m) that minimise F over {Σw = 1, floor ≤ w ≤ cap}.

    Plain steps crawl here, as slopes differ by orders of magnitude between domains. F's Hessian is diagonal, so
    each step is scaled by it and projected in the same metric (Bertsekas 1982, "Projected Newton methods"), which
    is exact and costs no more; a backtracking line search keeps F falling.

    Args:
        law: the problem.
        floors: (m,) with a sum below 1.
        caps: (m,) with a sum of at least 1.
    """
    shape = law.shape
    floors, caps = np.broadcast_to(floors, shape), np.broadcast_to(caps, shape)
    weights = project(floors + 1 / shape[-1], floors, caps)
    for _ in range(_STEPS):
        curvature = law.curvature(weights)
        # A flat or nearly flat domain still needs a metric: far below the others, not zero.
        least = np.maximum(curvature.max(axis=-1, keepdims=True) * 1e-14, np.finfo(np.float64).tiny)
        metric = np.maximum(curvature, least)
        slope = law.slope(weights)
        # A shift of the slope that all domains share does not move the projection, and keeps precision.
        shift = np.median(slope, axis=-1, keepdims=True)
        direction = project(weights + (slope - shift) / metric, floors, caps, metric) - weights
        promised = (slope * direction).sum(axis=-1)  # ≥ 0: the fall of F to first order
        value = law.value(weights)
        step = np.ones(shape[:-1])
        for _ in range(_BACKTRACKS):
            trial = law.value(weights + step[..., None] * direction)
            # Rounding of F itself counts as a fall: near the optimum differences are below its last digit.
            falls = trial <= value - _SUFFICIENT * step * promised + 1e-15 * np.abs(value)
            if falls.all():
                break
            step = np.where(falls, step, step / 2)
        weights = np.clip(weights + step[..., None] * direction, floors, caps)
        if np.abs(direction).max() < 1e-13:
            break
    return weights
