"""Robust fits of L(n) = ε + β·n^−α to K loss curves at once (Jiang et al. 2024, Eq. 6 and appendix A.1).

    min over θ = (log β, log ε, α) of  Σ_t w_t · Huber_δ(log L_t − log(ε + β·n_t^−α)) + penalty of the bounds

The published recipe is 512 L-BFGS runs a curve. Here, for each α of a grid, ε and β have a closed form (weighted
least squares); the best start in each band of α is polished on a few hundred averaged points, and the best two of
those on all points, by a damped Newton method for all curves together. float64.

Symbols: K domains, T points, S starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Bools, Floats
from mixopt.laws.domain_law import DomainLaws
from mixopt.laws.huber_newton import PowerCurves, best_in_bands, best_of_starts

if TYPE_CHECKING:
    from mixopt.laws.annealing import Laws
    from mixopt.laws.huber_newton import LawBounds

HUBER = 1e-3  # appendix A.1

ALPHAS = np.array([0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.36, 0.43, 0.5, 0.58, 0.66, 0.75, 0.8, 1.1])


@dataclass(frozen=True, eq=False)
class LawFit:
    """Fitted laws of K domains."""

    laws: Laws  # the laws, in samples
    # (K,) value of the objective. The published code's is lower by 0.001 with its bounds: the penalty of its lower
    # bound on α holds that constant.
    objective: Floats
    bound: Bools  # (K,) whether α lies on its upper bound
    # (K,) median of log L_t − log L̂_t over the last quarter of the points: how far the law misses the recent losses
    drift: Floats


def fit_laws(
    samples: Floats,
    losses: Floats,
    weights: Floats | None = None,
    *,
    bounds: LawBounds,
    huber: float = HUBER,
    warm: DomainLaws | None = None,
) -> LawFit:
    """Fit the laws of K domains.

    Args:
        samples: (T,) n at each point, positive and increasing.
        losses: (K, T) positive losses in nats/token; of any value where the weight is 0.
        weights: (K, T) weight of each point, at least 0 and for at least three points of a domain above; None for
            1 throughout.
    """
    weights = np.ones_like(losses) if weights is None else weights
    x = np.log(samples / bounds.reference)
    y = np.log(np.where(weights > 0, losses, 1.0))
    curves = PowerCurves(x[None].repeat(y.shape[0], axis=0), y, weights)
    found, objective = best_of_starts(curves, bounds, huber, _closed_form_starts, ALPHAS.size, _previous(warm, bounds))
    laws = DomainLaws(found[:, 0] + found[:, 2] * np.log(bounds.reference), found[:, 1], found[:, 2])
    at_bound = found[:, 2] >= np.broadcast_to(bounds.high, found.shape)[:, 2]
    return LawFit(laws, objective, at_bound, late_drift(laws, samples, y, weights))


def late_drift(laws: Laws, samples: Floats, log_losses: Floats, weights: Floats) -> Floats:
    """(K,) how far laws miss the last quarter of the points, as `LawFit.drift` has it."""
    with np.errstate(invalid="ignore"):
        missed = np.where(weights > 0, log_losses - np.log(laws.loss(samples).T), np.nan)
    late = missed[:, -max(3, samples.size // 4) :]
    return np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else 0.0 for row in late])


def _previous(warm: DomainLaws | None, bounds: LawBounds) -> Floats | None:
    """(K, 3) parameters of earlier laws at the bounds' reference, NaN where there is none."""
    if warm is None:
        return None
    theta = np.stack([warm.log_beta - warm.alpha * np.log(bounds.reference), warm.log_eps, warm.alpha], axis=1)
    return np.clip(theta, bounds.low, bounds.high) if np.isinf(bounds.penalty) else theta


def _closed_form_starts(curves: PowerCurves, bounds: LawBounds, huber: float, bands: int) -> Floats:
    """(K, S, 3) the best θ in each of S bands of α, with ε and β by least squares on relative errors."""
    domains, alphas = curves.y.shape[0], ALPHAS
    loss = np.exp(curves.y)[:, None]  # (K, 1, T)
    precision = (curves.weight / np.exp(2 * curves.y))[:, None]
    power = np.exp(-alphas[:, None] * curves.x[:, None])  # (K, A, T)

    def total(values: Floats) -> Floats:
        return (precision * values).sum(axis=-1)

    ones, zz, z = total(np.ones_like(power)), total(power * power), total(power)
    zy, y = total(power * loss), total(loss * np.ones_like(power))
    determinant = np.maximum(ones * zz - z * z, 1e-12 * ones * zz)
    beta = (ones * zy - z * y) / determinant
    low, high = (np.broadcast_to(bound, (domains, 3))[:, None] for bound in (bounds.low, bounds.high))
    # A floor below 0, or a curve that rises: the nearest that a log can hold, and the other parameter follows.
    eps = (y - beta * z) / ones
    mean = y / ones
    eps = np.clip(eps, np.maximum(np.exp(low[..., 1]), 1e-2 * mean), np.exp(high[..., 1]))
    beta = np.maximum((zy - eps * z) / zz, 1e-4 * mean * ones / z)
    theta = np.stack([np.log(beta), np.log(eps), np.broadcast_to(alphas, beta.shape)], axis=-1)  # (K, A, 3)
    return best_in_bands(curves, np.clip(theta, low, high), huber, bands)
