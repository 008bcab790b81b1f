"""Newton's method for many robust fits of loss curves at once: the engine of the laws' fits; the power law for it.

Huber's loss with δ = 0.001 is nearly Σ|r|: few points lie on its quadratic part. The curvature is therefore blended
from the exact one (fast, near the minimum) and that of a quadratic that lies above the loss and touches it (Huber
and Ronchetti 2009, section 7.8; safe, far from it), more of the latter after each step that failed.

Symbols: N problems, T points each, P parameters. For the power law θ = (log β, log ε, α), and s = β·n^−α / L is the
reducible share of the loss. float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from mixopt.arrays import Bools, Floats, Indices
    from mixopt.laws.law_bounds import LawBounds

# A problem is done when this many steps in a row were taken and each gained less than the tolerance.
_QUIET, _TOLERANCE = 2, 1e-10
_MAX_DAMPING = 1e7


@dataclass(frozen=True, eq=False)
class Curves(ABC):
    """N loss curves and the law that is fitted to them."""

    x: Floats  # (N, T) log(n / reference)
    y: Floats  # (N, T) log loss
    weight: Floats  # (N, T)

    def some(self, rows: Indices) -> Self:
        """Some of the curves, with repeats."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    def averaged(self, points: int) -> Self:
        """Means over `points` runs of neighbouring points, 0 without weight; itself if it has no more points."""
        if self.x.shape[1] <= points:
            return self
        edges = np.linspace(0, self.x.shape[1], points + 1).round().astype(np.intp)[:-1]
        total = np.add.reduceat(self.weight, edges, axis=1)

        def mean(values: Floats) -> Floats:
            with np.errstate(invalid="ignore"):
                return np.where(total > 0, np.add.reduceat(self.weight * values, edges, axis=1) / total, 0.0)

        names = [field.name for field in fields(self) if field.name != "weight"]
        return replace(self, weight=total, **{name: mean(getattr(self, name)) for name in names})

    @abstractmethod
    def residuals(self, theta: Floats) -> tuple[Floats, Floats]:
        """log L − log L̂ (N, T) for θ (N, P), and of the same shape what `derivatives` wants to be told again."""

    @abstractmethod
    def derivatives(
        self, theta: Floats, residual: Floats, known: Floats, huber: float, safety: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Gradient (N, P) of the Huber sums, blended Hessian (N, P, P), and the scale (N, P) of each parameter.

        Args:
            theta: (N, P).
            residual: of `residuals` there.
            known: the other part of it.
            huber: δ.
            safety: (N,) share of the safe curvature in the blend.
        """


class PowerCurves(Curves):
    """Those of the power law."""

    def residuals(self, theta: Floats) -> tuple[Floats, Floats]:
        """log L − log L̂ and the reducible share s, both (N, T), for θ (N, 3)."""
        log_beta, log_eps, alpha = (theta[:, i, None] for i in range(3))
        d = log_beta - log_eps - alpha * self.x
        small = np.exp(-np.abs(d))
        share = np.where(d >= 0, 1.0, small) / (1.0 + small)
        return self.y - log_eps - np.maximum(d, 0.0) - np.log1p(small), share

    def derivatives(
        self,
        theta: Floats,  # noqa: ARG002  (s says it all)
        residual: Floats,
        known: Floats,
        huber: float,
        safety: Floats,
    ) -> tuple[Floats, Floats, Floats]:
        """Of log L̂ the gradient is (s, 1 − s, −x·s), the Hessian s(1 − s)·v vᵀ with v = (1, −1, −x)."""
        x, share = self.x, known
        pull, curvature = pull_and_curvature(self.weight, residual, huber, safety)
        bend = pull * share * (1 - share) * (1 - safety[:, None])

        def total(*factors: Floats) -> Floats:
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
        scale = scales(hessian)
        hessian[:, 0, 1] = hessian[:, 1, 0] = s - ss + b
        hessian[:, 0, 2] = hessian[:, 2, 0] = bx - ssx
        hessian[:, 1, 2] = hessian[:, 2, 1] = ssx - sx - bx
        hessian[:, 0, 0] -= b
        hessian[:, 1, 1] -= b
        hessian[:, 2, 2] -= bxx
        return gradient, hessian, scale


def huber_sums(weight: Floats, residuals: Floats, huber: float) -> Floats:
    """(N,) weighted sums of Huber's loss."""
    size = np.abs(residuals)
    inner = np.minimum(size, huber)
    return np.einsum("nt,nt->n", weight, inner * (size - 0.5 * inner))


def pull_and_curvature(weight: Floats, residual: Floats, huber: float, safety: Floats) -> tuple[Floats, Floats]:
    """First derivative of the weighted Huber loss by the residual, and its blended second, both (N, T)."""
    size = np.abs(residual)
    inside = size <= huber
    above = np.where(inside, 1.0, huber / np.maximum(size, huber))
    blend = safety[:, None]
    return weight * np.clip(residual, -huber, huber), weight * (blend * above + (1 - blend) * inside)


def scales(hessian: Floats) -> Floats:
    """(N, P) the size of each parameter's curvature, from Hessians (N, P, P) of the safe part."""
    scale = np.sqrt(np.maximum(np.einsum("nii->ni", hessian), 1e-300))
    return np.maximum(scale, 1e-6 * scale.max(axis=1, keepdims=True))


def newton(
    curves: Curves, bounds: LawBounds, theta: Floats, huber: float, iterations: int
) -> tuple[Floats, Floats]:
    """Minimise N objectives in step; those that have converged drop out.

    Returns:
        Parameters (N, P) and objectives (N,).
    """
    theta = theta.copy()
    count = theta.shape[0]
    residual, known = curves.residuals(theta)
    cost = huber_sums(curves.weight, residual, huber) + bounds.cost(theta)
    results, costs = theta.copy(), cost.copy()
    active = np.arange(count)
    damping, safety, quiet = np.full(count, 1e-2), np.ones(count), np.zeros(count, dtype=np.intp)
    for _ in range(iterations):
        gradient, hessian, scale = curves.derivatives(theta, residual, known, huber, safety)
        step = _step(gradient, hessian, scale, damping, *bounds.slopes(theta))
        trial = bounds.land(theta, step)
        trial_residual, trial_known = curves.residuals(trial)
        trial_cost = huber_sums(curves.weight, trial_residual, huber) + bounds.cost(trial)
        better = trial_cost < cost
        still = better & (cost - trial_cost < _TOLERANCE + 1e-9 * cost)
        quiet = np.where(still, quiet + 1, np.where(better, 0, quiet))
        damping = np.where(better, np.maximum(damping / 6, 1e-8), damping * 5)
        safety = np.where(better, safety / 2, np.minimum(2 * safety + 0.1, 1.0))
        column = better[:, None]
        theta, cost = np.where(column, trial, theta), np.where(better, trial_cost, cost)
        residual, known = np.where(column, trial_residual, residual), np.where(column, trial_known, known)
        going = (quiet < _QUIET) & (damping < _MAX_DAMPING)
        results[active], costs[active] = theta, cost
        if not going.any():
            break
        if not going.all():
            rows = np.flatnonzero(going)
            active, curves, bounds = active[rows], curves.some(rows), bounds.some(rows, going.size)
            theta, cost, residual, known = theta[rows], cost[rows], residual[rows], known[rows]
            damping, safety, quiet = damping[rows], safety[rows], quiet[rows]
    return results, costs


def _step(gradient: Floats, hessian: Floats, scale: Floats, damping: Floats, left: Floats, right: Floats) -> Floats:
    """The damped Newton step (N, P); where the Hessian is not positive, by the sizes of its eigenvalues: downhill.

    A parameter on a bound whose one-sided slopes enclose 0 stays there in this step.
    """
    to_left, to_right = gradient + left, gradient + right
    slope = np.where(to_left > 0, to_left, np.where(to_right < 0, to_right, 0.0))
    held = (slope == 0) & (left != right)
    free = ~held
    scaled = np.where(free[:, :, None] & free[:, None, :], hessian / scale[:, :, None] / scale[:, None, :], 0.0)
    scaled = scaled + np.eye(gradient.shape[1]) * (held + damping[:, None] + 1e-12)[:, :, None]
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


def _is_positive(matrices: Floats) -> Bools:
    """(N,) whether symmetric matrices (N, P, P) are positive definite, by their leading minors; P is 3 or 4."""
    a, b, c = matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 0, 2]
    d, e, f = matrices[:, 1, 1], matrices[:, 1, 2], matrices[:, 2, 2]
    second = a * d - b * b
    third = f * second - a * e * e + 2 * b * c * e - d * c * c
    positive = (a > 0) & (second > 0) & (third > 0)
    return positive if matrices.shape[1] == 3 else positive & (np.linalg.det(matrices) > 0)
