"""Newton's method for many robust power-law fits at once: the engine of `mixopt.laws.ado_fit`.

Huber's loss with δ = 0.001 is nearly Σ|r|: few points lie on its quadratic part. The curvature is therefore blended
from the exact one (fast, near the minimum) and that of a quadratic that lies above the loss and touches it (Huber
and Ronchetti 2009, section 7.8; safe, far from it), more of the latter after each step that failed.

Symbols: N problems, T points each, θ = (log β, log ε, α), s = β·n^−α / L the reducible share of the loss. float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixopt.laws.law_bounds import LawBounds

# A problem is done when this many steps in a row were taken and each gained less than the tolerance.
_QUIET, _TOLERANCE = 2, 1e-10
_MAX_DAMPING = 1e7


@dataclass(frozen=True, eq=False)
class Curves:
    """N loss curves.

    Attributes:
        x: (N, T) log(n / reference).
        y: (N, T) log loss.
        weight: (N, T).
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    weight: NDArray[np.float64]

    def some(self, rows: NDArray[np.intp]) -> Curves:
        """Some of the curves, with repeats."""
        return Curves(self.x[rows], self.y[rows], self.weight[rows])

    def averaged(self, points: int) -> Curves:
        """Means over runs of neighbouring points, `points` of them at most."""
        size = self.x.shape[1]
        if size <= points:
            return self
        edges = np.linspace(0, size, points + 1).round().astype(np.intp)[:-1]
        weight = np.add.reduceat(self.weight, edges, axis=1)
        with np.errstate(invalid="ignore"):
            x, y = (np.add.reduceat(self.weight * v, edges, axis=1) / weight for v in (self.x, self.y))
        return Curves(np.where(weight > 0, x, 0.0), np.where(weight > 0, y, 0.0), weight)

    def residuals(self, theta: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """log L − log L̂ and the reducible share s, both (N, T), for θ (N, 3)."""
        log_beta, log_eps, alpha = (theta[:, i, None] for i in range(3))
        d = log_beta - log_eps - alpha * self.x
        small = np.exp(-np.abs(d))
        share = np.where(d >= 0, 1.0, small) / (1.0 + small)
        return self.y - log_eps - np.maximum(d, 0.0) - np.log1p(small), share

    def loss(self, residuals: NDArray[np.float64], huber: float) -> NDArray[np.float64]:
        """(N,) weighted Huber losses."""
        size = np.abs(residuals)
        inner = np.minimum(size, huber)
        return np.einsum("nt,nt->n", self.weight, inner * (size - 0.5 * inner))


def newton(
    curves: Curves, bounds: LawBounds, theta: NDArray[np.float64], huber: float, iterations: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Minimise N objectives in step; those that have converged drop out.

    Returns:
        Parameters (N, 3) and objectives (N,).
    """
    theta = theta.copy()
    count = theta.shape[0]
    residual, share = curves.residuals(theta)
    cost = curves.loss(residual, huber) + bounds.cost(theta)
    results, costs = theta.copy(), cost.copy()
    active = np.arange(count)
    damping, safety, quiet = np.full(count, 1e-2), np.ones(count), np.zeros(count, dtype=np.intp)
    for _ in range(iterations):
        gradient, hessian, scale = _derivatives(curves, residual, share, huber, safety)
        step = _step(gradient, hessian, scale, damping, *bounds.slopes(theta))
        trial = bounds.land(theta, step)
        trial_residual, trial_share = curves.residuals(trial)
        trial_cost = curves.loss(trial_residual, huber) + bounds.cost(trial)
        better = trial_cost < cost
        still = better & (cost - trial_cost < _TOLERANCE + 1e-9 * cost)
        quiet = np.where(still, quiet + 1, np.where(better, 0, quiet))
        damping = np.where(better, np.maximum(damping / 6, 1e-8), damping * 5)
        safety = np.where(better, safety / 2, np.minimum(2 * safety + 0.1, 1.0))
        column = better[:, None]
        theta, cost = np.where(column, trial, theta), np.where(better, trial_cost, cost)
        residual, share = np.where(column, trial_residual, residual), np.where(column, trial_share, share)
        going = (quiet < _QUIET) & (damping < _MAX_DAMPING)
        results[active], costs[active] = theta, cost
        if not going.any():
            break
        if not going.all():
            rows = np.flatnonzero(going)
            active, curves, bounds = active[rows], curves.some(rows), bounds.some(rows, going.size)
            theta, cost, residual, share = theta[rows], cost[rows], residual[rows], share[rows]
            damping, safety, quiet = damping[rows], safety[rows], quiet[rows]
    return results, costs


def _derivatives(
    curves: Curves,
    residual: NDArray[np.float64],
    share: NDArray[np.float64],
    huber: float,
    safety: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Gradient (N, 3) of the Huber sums, blended Hessian (N, 3, 3), and the scale (N, 3) of each parameter.

    log L̂ has the gradient (s, 1 − s, −x·s), and the Hessian s(1 − s)·v vᵀ with v = (1, −1, −x).
    """
    x, weight = curves.x, curves.weight
    size = np.abs(residual)
    inside = size <= huber
    pull = weight * np.clip(residual, -huber, huber)
    above = np.where(inside, 1.0, huber / np.maximum(size, huber))
    blend = safety[:, None]
    curvature = weight * (blend * above + (1 - blend) * inside)
    bend = pull * share * (1 - share) * (1 - blend)

    def total(*factors: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.einsum(",".join(["nt"] * len(factors)) + "->n", *factors)

    ps = pull * share
    gradient = np.stack([-total(ps), total(ps) - total(pull), total(ps, x)], axis=1)
    cs = curvature * share
    css, csx = cs * share, cs * x
    c, s, ss, sx, ssx, ssxx = (
        total(curvature),
        total(cs),
        total(css),
        total(csx),
        total(css, x),
        total(csx, share, x),
    )
    b, bx, bxx = total(bend), total(bend, x), total(bend, x, x)
    hessian = np.empty((x.shape[0], 3, 3))
    hessian[:, 0, 0], hessian[:, 1, 1], hessian[:, 2, 2] = ss, c - 2 * s + ss, ssxx
    scale = np.sqrt(np.maximum(np.einsum("nii->ni", hessian), 1e-300))
    scale = np.maximum(scale, 1e-6 * scale.max(axis=1, keepdims=True))
    hessian[:, 0, 1] = hessian[:, 1, 0] = s - ss + b
    hessian[:, 0, 2] = hessian[:, 2, 0] = bx - ssx
    hessian[:, 1, 2] = hessian[:, 2, 1] = ssx - sx - bx
    hessian[:, 0, 0] -= b
    hessian[:, 1, 1] -= b
    hessian[:, 2, 2] -= bxx
    return gradient, hessian, scale


def _step(
    gradient: NDArray[np.float64],
    hessian: NDArray[np.float64],
    scale: NDArray[np.float64],
    damping: NDArray[np.float64],
    left: NDArray[np.float64],
    right: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The damped Newton step (N, 3); where the Hessian is not positive, by the sizes of its eigenvalues: downhill.

    A parameter on a bound whose one-sided slopes enclose 0 stays there in this step.
    """
    to_left, to_right = gradient + left, gradient + right
    slope = np.where(to_left > 0, to_left, np.where(to_right < 0, to_right, 0.0))
    held = (slope == 0) & (left != right)
    free = ~held
    scaled = np.where(free[:, :, None] & free[:, None, :], hessian / scale[:, :, None] / scale[:, None, :], 0.0)
    scaled = scaled + np.eye(3) * (held + damping[:, None] + 1e-12)[:, :, None]
    pull = slope / scale
    step = np.empty_like(pull)
    positive = _is_positive(scaled)
    step[positive] = -np.linalg.solve(scaled[positive], pull[positive][..., None])[..., 0]
    rest = ~positive
    if rest.any():
        values, vectors = np.linalg.eigh(scaled[rest])
        sizes = np.abs(values) + damping[rest, None]
        step[rest] = -np.einsum("nij,nj,nkj,nk->ni", vectors, 1 / sizes, vectors, pull[rest])
    return np.where(held, 0.0, step / scale)


def _is_positive(matrices: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether symmetric matrices (N, 3, 3) are positive definite, by their leading minors."""
    a, b, c = matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 0, 2]
    d, e, f = matrices[:, 1, 1], matrices[:, 1, 2], matrices[:, 2, 2]
    second = a * d - b * b
    third = f * second - a * e * e + 2 * b * c * e - d * c * c
    return (a > 0) & (second > 0) & (third > 0)
