"""Robust fits of L = L₀ + A·S₁^−α − C·S₂ (`mixopt.laws.annealing`) to K loss curves at once.

    min over θ = (a, e, α, c) of  Σ_t w_t · Huber_δ(log L_t − log L̂_t),   L̂ = e + a·(S₁/r)^−α − c·S₂/S₂(end)

with a the reducible loss at S₁ = r, e the floor L₀, c what the annealing takes off by the end of the run, all in
nats/token. That is the objective of the power law's fit. Given α, the law is linear in the rest: starts come from
weighted least squares at exponents of a grid, then Newton's method moves all four together. float64.

What the annealing will do cannot be told before the rate has fallen, and a little of it tells little: c is at most
a tenth of a domain's lowest loss, on which it then often lies. That is an assumption, from one small run of this
package (its curves are in the tests): with half the loss in its place, forecasts from a sixth of it were off by
half.

Symbols: K domains, N problems, T points, S starts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixopt.arrays import Floats
from mixopt.laws.ado_fit import ALPHAS, HUBER, LawFit, late_drift
from mixopt.laws.annealing import AnnealingLaws, RateSchedule
from mixopt.laws.domain_law import DomainLaws
from mixopt.laws.huber_newton import Curves, LawBounds, best_in_bands, best_of_starts, pull_and_curvature, scales

# Most that the annealing takes off, as a share of the lowest loss.
_MOST = 0.1
_LEAST = 1e-300


@dataclass(frozen=True, eq=False)
class AnnealedCurves(Curves):
    """Those of the schedule-aware law: x is log(S₁ / reference)."""

    s: Floats  # (N, T) S₂ / S₂(end)

    def residuals(self, theta: Floats) -> tuple[Floats, Floats]:
        """log L − log L̂ and L̂, both (N, T), for θ (N, 4); huge where L̂ is not positive."""
        a, e, alpha, c = (theta[:, i, None] for i in range(4))
        fitted = np.maximum(e + a * np.exp(-alpha * self.x) - c * self.s, _LEAST)
        return self.y - np.log(fitted), fitted

    def derivatives(
        self, theta: Floats, residual: Floats, known: Floats, huber: float, safety: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Of L̂ the gradient is g = (z, 1, −a·x·z, −s), z = e^(−α·x); log L̂ has the Hessian H/L̂ − g gᵀ/L̂²."""
        a, alpha = theta[:, 0, None], theta[:, 2, None]
        z = np.exp(-alpha * self.x)
        pull, curvature = pull_and_curvature(self.weight, residual, huber, safety)
        slopes = np.stack([z, np.ones_like(z), -a * self.x * z, -self.s], axis=1) / known[:, None]  # (N, 4, T)
        bend = pull * (1 - safety[:, None])
        gradient = -np.einsum("nt,nit->ni", pull, slopes)
        outer = slopes * curvature[:, None]
        safe = outer @ slopes.swapaxes(1, 2)
        hessian = safe + (slopes * bend[:, None]) @ slopes.swapaxes(1, 2)
        bent = bend * self.x * z / known
        hessian[:, 0, 2] += bent.sum(axis=1)
        hessian[:, 2, 0] += bent.sum(axis=1)
        hessian[:, 2, 2] -= (bent * a * self.x).sum(axis=1)
        return gradient, hessian, scales(safe)


def fit_annealing(
    samples: Floats,
    losses: Floats,
    weights: Floats | None = None,
    *,
    schedule: RateSchedule,
    huber: float = HUBER,
    warm: AnnealingLaws | None = None,
) -> LawFit:
    """Fit the laws of K domains, as `mixopt.laws.ado_fit.fit_laws`.

    The fit's laws are `AnnealingLaws`: A, L₀ and C are at least 0.
    """
    weights = np.ones_like(losses) if weights is None else weights
    amount, area = schedule.forward(samples), schedule.annealing(samples)
    end = float(schedule.annealing(schedule.total)) or 1.0  # a constant rate has no annealing
    y = np.log(np.where(weights > 0, losses, 1.0))
    bounds = _bounds(amount, np.where(weights > 0, losses, np.nan))
    x = np.log(amount / bounds.reference)
    many = (y.shape[0], 1)
    curves = AnnealedCurves(np.tile(x, many), y, weights, np.tile(area / end, many))
    found, objective = best_of_starts(curves, bounds, huber, _starts, ALPHAS.size, _previous(warm, bounds, end))
    a, e, alpha, c = found.T
    forward = DomainLaws(np.log(a) + alpha * np.log(bounds.reference), np.log(e), alpha)
    laws = AnnealingLaws(forward, c / end, schedule)
    return LawFit(laws, objective, alpha >= bounds.high[:, 2], late_drift(laws, samples, y, weights))


def _bounds(amount: Floats, losses: Floats) -> LawBounds:
    """Of θ: those of the power law (`LawBounds.scale_free`), with S₁ for n, and of c."""
    power = LawBounds.scale_free(amount, losses)
    linear = np.array([True, True, False])
    low, high = (np.where(linear, np.exp(bound), bound) for bound in (power.low, power.high))
    most = _MOST * np.nanmin(losses, axis=1)
    return LawBounds(
        np.column_stack([low, np.zeros_like(most)]), np.column_stack([high, most]), reference=power.reference
    )


def _previous(warm: AnnealingLaws | None, bounds: LawBounds, end: float) -> Floats | None:
    """(K, 4) parameters of earlier laws within the bounds, NaN where there is none."""
    if warm is None:
        return None
    law = warm.forward
    theta = [law.reducible(bounds.reference), np.exp(law.log_eps), law.alpha, warm.annealing * end]
    return np.clip(np.stack(theta, axis=1), bounds.low, bounds.high)


def _starts(curves: AnnealedCurves, bounds: LawBounds, huber: float, bands: int) -> Floats:
    """(K, S, 4) the best θ in each of S bands of α, the rest by least squares on relative errors."""
    domains = curves.y.shape[0]
    loss = np.exp(curves.y)[:, None]  # (K, 1, T)
    precision = curves.weight[:, None] / loss**2
    z = np.exp(-ALPHAS[:, None] * curves.x[:, None])  # (K, A, T)
    low, high = (np.broadcast_to(bound, (domains, 4))[:, None] for bound in (bounds.low, bounds.high))

    def mean(values: Floats) -> Floats:
        return (precision * values).sum(axis=-1, keepdims=True) / precision.sum(axis=-1, keepdims=True)

    def left(values: Floats) -> Floats:
        """What a constant and z do not explain."""
        centred = values - mean(values)
        return centred - (mean(spread * centred) / variance) * spread

    spread = z - mean(z)
    variance = np.maximum(mean(spread**2), 1e-300)
    area = np.broadcast_to(curves.s[:, None], z.shape)
    alone, rest = left(area), left(np.broadcast_to(loss, z.shape))
    # A drop that the points hardly show is left out of the start.
    shown = np.maximum(mean(alone**2), 1e-12)
    c = np.clip(-mean(alone * rest) / shown, low[..., 3:], high[..., 3:])
    target = loss + c * area
    a = np.clip(mean(spread * target) / variance, low[..., :1], high[..., :1])
    e = np.clip(mean(target - a * z), low[..., 1:2], high[..., 1:2])
    a = np.clip(mean(z * (target - e)) / mean(z**2), low[..., :1], high[..., :1])
    theta = np.concatenate([a, e, np.broadcast_to(ALPHAS[:, None], a.shape), c], axis=-1)  # (K, A, 4)
    return best_in_bands(curves, np.clip(theta, low, high), huber, bands)
