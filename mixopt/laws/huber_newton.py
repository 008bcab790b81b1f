"""Newton's method for many robust fits of loss curves at once: the engine of the laws' fits; the power law for it.

Huber's loss with δ = 0.001 is nearly Σ|r|: few points lie on its quadratic part. The curvature is therefore blended
from the exact one (fast, near the minimum) and that of a quadratic that lies above the loss and touches it (Huber
and Ronchetti 2009, section 7.8; safe, far from it), more of the latter after each step that failed.

Symbols: N problems, T points each, P parameters. For the power law θ = (log β, log ε, α), and s = β·n^−α / L is the
reducible share of the loss. float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Self, TypeVar

import numpy as np

from mixopt.arrays import Bools, Floats, Indices

# Jiang et al. 2024, appendix A.1: 0 < α < 0.8, log β < 6.5, log ε > 0.5; 0.001 for "0 <" is the published code's.
_LOW = (-np.inf, 0.5, 1e-3)
_HIGH = (6.5, np.inf, 0.8)

# Scale-free bounds. Exponents of published loss curves are 0.05 to 0.6; a fit at 1.5 is a transient, no law.
_ALPHA = (1e-3, 1.5)
# Least reducible loss and least floor, as shares of the lowest loss: "nothing left to learn", "no floor in sight".
_LEAST_REDUCIBLE = 1e-4
_LEAST_FLOOR = 0.05


@dataclass(frozen=True, eq=False)
class LawBounds:
    """Bounds of θ = (log β, log ε, α), β the reducible loss at `reference` samples; hard or penalised."""

    low: Floats  # (3,) or (K, 3), −inf for none
    high: Floats  # (3,) or (K, 3), inf for none
    penalty: float = np.inf  # what a unit beyond a bound costs, in the objective's units; infinite for a hard bound
    reference: float = 1.0  # samples at which β is measured for the bounds

    @classmethod
    def paper(cls) -> LawBounds:
        """The paper's bounds, enforced (appendix A.1). They suit its units: samples of 1,024 tokens."""
        return cls(np.array(_LOW), np.array(_HIGH))

    @classmethod
    def official(cls) -> LawBounds:
        """The published code's: the same bounds as penalties of slope 1, against a sum over all the points."""
        return cls(np.array(_LOW), np.array(_HIGH), penalty=1.0)

    @classmethod
    def scale_free(cls, samples: Floats, losses: Floats) -> LawBounds:
        """Bounds that follow the data: their unit is the last n and each domain's lowest loss.

        Args:
            samples: (T,) n of the points.
            losses: (K, T) losses, NaN where there is none; every domain has one.
        """
        lowest = np.log(np.nanmin(losses, axis=1))
        highest = np.log(np.nanmax(losses, axis=1))
        narrow, wide = np.full_like(lowest, _ALPHA[0]), np.full_like(lowest, _ALPHA[1])
        low = np.stack([lowest + np.log(_LEAST_REDUCIBLE), lowest + np.log(_LEAST_FLOOR), narrow], axis=1)
        return cls(low, np.stack([highest, highest, wide], axis=1), reference=float(samples[-1]))

    def cost(self, theta: Floats) -> Floats:
        """Penalty of θ (…, 3), shape (…); 0 inside and for hard bounds."""
        if np.isinf(self.penalty):
            return np.zeros(theta.shape[:-1])
        return self.penalty * np.maximum(np.maximum(theta - self.high, self.low - theta), 0).sum(axis=-1)

    def slopes(self, theta: Floats) -> tuple[Floats, Floats]:
        """Derivatives of the penalty to the left and to the right of θ (…, 3), which differ on a bound."""
        left = np.where(theta > self.high, self.penalty, np.where(theta <= self.low, -self.penalty, 0.0))
        right = np.where(theta >= self.high, self.penalty, np.where(theta < self.low, -self.penalty, 0.0))
        return left, right

    def land(self, theta: Floats, step: Floats) -> Floats:
        """θ + step, except that a coordinate that crosses a bound stops on it: the penalty has its kinks there."""
        goal = theta + step
        for bound in (self.low, self.high):
            with np.errstate(invalid="ignore"):
                crossed = (theta - bound) * (goal - bound) < 0
            goal = np.where(crossed, bound, goal)
        return np.clip(goal, self.low, self.high) if np.isinf(self.penalty) else goal

    def some(self, rows: Indices, domains: int) -> LawBounds:
        """The bounds of the domains `rows` out of `domains`."""
        low, high = (np.broadcast_to(b, (domains, b.shape[-1]))[rows] for b in (self.low, self.high))
        return LawBounds(low, high, self.penalty, self.reference)


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
        self, theta: Floats, residual: Floats, known: Floats, huber: float, safety: Floats
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


def newton(curves: Curves, bounds: LawBounds, theta: Floats, huber: float, iterations: int) -> tuple[Floats, Floats]:
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


# Curves of at most `_COARSE` points start from every exponent, as few points make many shallow minima; longer ones
# are screened on so many means, from the best exponent of each of eight bands.
_BANDS = 8
_COARSE = 256
# Of the screened starts, the best two go on: unless the second has the first's cost, or is far above it.
_FINALISTS, _MET, _CLOSE = 2, 1e-4, 1.5
_SCREENING, _FULL = 60, 150  # iterations

_Curves = TypeVar("_Curves", bound=Curves)


def best_in_bands(curves: Curves, theta: Floats, huber: float, bands: int) -> Floats:
    """(K, S, P) of parameters (K, A, P), by ascending exponent, those of the least cost in each of S bands."""
    domains, exponents, size = theta.shape
    many = curves.some(np.arange(domains).repeat(exponents))
    cost = huber_sums(many.weight, many.residuals(theta.reshape(-1, size))[0], huber).reshape(domains, bands, -1)
    picked = cost.argmin(axis=2)[..., None, None]
    return np.take_along_axis(theta.reshape(domains, bands, -1, size), picked, axis=2)[:, :, 0]


def best_of_starts(
    curves: _Curves,
    bounds: LawBounds,
    huber: float,
    starts_of: Callable[[_Curves, LawBounds, float, int], Floats],
    exponents: int,
    warm: Floats | None,
) -> tuple[Floats, Floats]:
    """Fit K curves.

    Args:
        starts_of: given curves, bounds, δ and a number of bands of exponents S, the best start (K, S, P) in each.
        exponents: bands at most, a multiple of eight.
        warm: (K, P) a further start, NaN for none.

    Returns:
        Parameters (K, P) and objectives (K,) of the best.
    """
    domains = curves.weight.shape[0]
    coarse = curves.averaged(_COARSE)
    screening = coarse is not curves
    starts = starts_of(coarse, bounds, huber, _BANDS if screening else exponents)
    if warm is not None:
        warm = np.where(np.isfinite(warm).all(axis=1, keepdims=True), warm, starts[:, 0])
        starts = np.concatenate([starts, warm[:, None]], axis=1)
    theta, cost = _polish(coarse, bounds, huber, starts, np.ones(starts.shape[:2], dtype=bool), screening)
    if screening:
        theta, wanted = _finalists(theta, cost)
        theta, cost = _polish(curves, bounds, huber, theta, wanted, False)
    best = cost.argmin(axis=1)
    return theta[np.arange(domains), best], cost[np.arange(domains), best]


def _polish(
    curves: Curves, bounds: LawBounds, huber: float, starts: Floats, wanted: Bools, screening: bool
) -> tuple[Floats, Floats]:
    """Minimise from the starts (K, S, P) that are `wanted` (K, S); costs (K, S), infinite for the others."""
    domains = curves.weight.shape[0]
    rows = np.nonzero(wanted)[0]
    theta, cost = starts.copy(), np.full(wanted.shape, np.inf)
    iterations = _SCREENING if screening else _FULL
    theta[wanted], cost[wanted] = newton(
        curves.some(rows), bounds.some(rows, domains), starts[wanted], huber, iterations
    )
    return theta, cost


def _finalists(theta: Floats, cost: Floats) -> tuple[Floats, Bools]:
    """The best starts (K, 2, P), and which of them to polish: not one that met a better one, or is far behind."""
    order = np.argsort(cost, axis=1, kind="stable")
    cost = np.take_along_axis(cost, order, 1)
    met = np.zeros(cost.shape, dtype=bool)
    met[:, 1:] = np.diff(cost, axis=1) < _MET * cost[:, 1:]
    wanted = ~met & (cost <= _CLOSE * cost[:, :1] + 1e-6)
    picked = np.argsort(~wanted, axis=1, kind="stable")[:, :_FINALISTS]
    order = np.take_along_axis(order, picked, 1)
    return np.take_along_axis(theta, order[..., None], 1), np.take_along_axis(wanted, picked, 1)
