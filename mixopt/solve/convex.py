"""Minimise F with cvxpy: an independent check of the two solvers of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixopt.solve.problem import PowerSum

# Tighter than this, Clarabel gives up on some problems; the refinement supplies the digits that are missing.
_TOLERANCE = 1e-9
_REFINEMENTS = 2


def convex_programme(law: PowerSum, floors: NDArray[np.float64], caps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (m,) that minimise F over {Σw = 1, floor ≤ w ≤ cap}.

    F is handed over in cone form, Σ k_j exp(−b_j log t_j). An interior-point method finds F to 1e-9, so weights
    only to about its root: two quadratic programmes around the answer (sequential quadratic programming, also
    solved by cvxpy) bring the weights to 1e-9.

    Args:
        law: one problem, shape (m,).
        floors: (m,) with a sum below 1.
        caps: (m,) with a sum of at least 1.

    Raises:
        ConfigError: the solver fails.
    """
    import cvxpy as cp

    size = floors.size
    weights = np.full(size, 1 / size)
    base = law.offset + law.scale * weights
    amount = law.amplitude * base**-law.exponent
    amount = amount / (amount * law.exponent).max()
    on = np.flatnonzero(~law.flat)
    move = cp.Variable(size)
    ratio = 1 + cp.multiply((law.scale / base)[on], move[on])
    powers = cp.exp(cp.multiply(-law.exponent[on], cp.log(ratio)))
    bounds = [cp.sum(move) == 1 - weights.sum(), move >= floors - weights, move <= caps - weights]
    _solve(cp.Problem(cp.Minimize(amount[on] @ powers), bounds))
    weights = np.clip(weights + _values(move), floors, caps)
    for _ in range(_REFINEMENTS):
        weights = _quadratic_step(law, floors, caps, weights)
    return weights


def _quadratic_step(
    law: PowerSum, floors: NDArray[np.float64], caps: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """argmin of F's second-order expansion at `weights`, over the same set."""
    import cvxpy as cp

    curvature = law.curvature(weights)
    curvature = np.maximum(curvature, 1e-14 * curvature.max())
    slope = law.slope(weights)
    free = (weights > floors) & (weights < caps)
    # A constant added to every slope changes nothing on Σw = 1, and its absence keeps precision.
    slope = slope - np.median(slope[free] if free.any() else slope)
    # In units of z = √(h_j / h_min) (w − w0) / 1e-3 the quadratic part is ½|z|², and z is near 1 or below.
    least = curvature.min()
    unit = 1e-3 / np.sqrt(curvature / least)
    z = cp.Variable(weights.size)
    objective = 0.5 * cp.sum_squares(z) - (slope * unit / (least * 1e-6)) @ z
    total = cp.sum(cp.multiply(unit / 1e-3, z)) == (1 - weights.sum()) / 1e-3
    bounds = [z >= (floors - weights) / unit, z <= (caps - weights) / unit]
    _solve(cp.Problem(cp.Minimize(objective), [total, *bounds]))
    return np.clip(weights + unit * _values(z), floors, caps)


def _solve(problem: Any) -> None:
    import cvxpy as cp

    tolerances = {"tol_gap_abs": _TOLERANCE, "tol_gap_rel": _TOLERANCE, "tol_feas": _TOLERANCE}
    try:
        problem.solve(solver=cp.CLARABEL, **tolerances)
    except cp.SolverError as error:
        raise ConfigError(f"solver cvxpy: it failed on this law ({error}); use kkt or gradient") from error
    if problem.status != cp.OPTIMAL:
        raise ConfigError(f"solver cvxpy: it ended with status {problem.status!r}; use kkt or gradient")


def _values(variable: Any) -> NDArray[np.float64]:
    return np.asarray(variable.value, dtype=np.float64)
