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

from mixopt.laws.domain_law import DomainLaws
from mixopt.laws.huber_newton import Curves, newton

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixopt.laws.law_bounds import LawBounds

HUBER = 1e-3  # appendix A.1

_ALPHAS = np.array([0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.36, 0.43, 0.5, 0.58, 0.66, 0.75, 0.8, 1.1])
# Curves of at most `_COARSE` points start from every α, as few points make many shallow minima; longer ones are
# screened on so many means, from the best α of each of eight bands.
_BANDS = 8
_COARSE = 256
# Of the screened starts, the best two go on: unless the second has the first's cost, or is far above it.
_FINALISTS, _MET, _CLOSE = 2, 1e-4, 1.5
_SCREENING, _FULL = 60, 150  # iterations


@dataclass(frozen=True, eq=False)
class LawFit:
    """Fitted laws of K domains.

    Attributes:
        laws: the laws, in samples.
        objective: (K,) value of the objective. The published code's is lower by 0.001 with its bounds: the penalty
            of its lower bound on α holds that constant.
        bound: (K,) whether α lies on its upper bound.
        drift: (K,) median of log L_t − log L̂_t over the last quarter of the points: how far the law misses the
            recent losses.
    """

    laws: DomainLaws
    objective: NDArray[np.float64]
    bound: NDArray[np.bool_]
    drift: NDArray[np.float64]


def fit_laws(
    samples: NDArray[np.float64],
    losses: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
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
        bounds: of the parameters.
        huber: δ, in log loss.
        warm: laws to start from too, of an earlier fit.
    """
    weights = np.ones_like(losses) if weights is None else weights
    x = np.log(samples / bounds.reference)
    y = np.log(np.where(weights > 0, losses, 1.0))
    curves = Curves(x[None].repeat(y.shape[0], axis=0), y, weights)
    found, objective = _best(curves, bounds, huber, _previous(warm, bounds))
    laws = DomainLaws(found[:, 0] + found[:, 2] * np.log(bounds.reference), found[:, 1], found[:, 2])
    with np.errstate(invalid="ignore"):
        late = np.where(weights > 0, y - np.log(laws.loss(samples).T), np.nan)[:, -max(3, x.size // 4) :]
        drift = np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else 0.0 for row in late])
    return LawFit(laws, objective, found[:, 2] >= np.broadcast_to(bounds.high, found.shape)[:, 2], drift)


def _previous(warm: DomainLaws | None, bounds: LawBounds) -> NDArray[np.float64] | None:
    """(K, 3) parameters of earlier laws at the bounds' reference, NaN where there is none."""
    if warm is None:
        return None
    theta = np.stack([warm.log_beta - warm.alpha * np.log(bounds.reference), warm.log_eps, warm.alpha], axis=1)
    return np.clip(theta, bounds.low, bounds.high) if np.isinf(bounds.penalty) else theta


def _best(
    curves: Curves, bounds: LawBounds, huber: float, warm: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parameters (K, 3) and objectives (K,) of the best of several starts."""
    domains = curves.y.shape[0]
    coarse = curves.averaged(_COARSE)
    screening = coarse is not curves
    starts = _closed_form_starts(coarse, bounds, huber, _BANDS if screening else _ALPHAS.size)
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
    curves: Curves,
    bounds: LawBounds,
    huber: float,
    starts: NDArray[np.float64],
    wanted: NDArray[np.bool_],
    screening: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Minimise from the starts (K, S, 3) that are `wanted` (K, S); costs (K, S), infinite for the others."""
    domains = curves.y.shape[0]
    rows = np.nonzero(wanted)[0]
    theta, cost = starts.copy(), np.full(wanted.shape, np.inf)
    iterations = _SCREENING if screening else _FULL
    theta[wanted], cost[wanted] = newton(
        curves.some(rows), bounds.some(rows, domains), starts[wanted], huber, iterations
    )
    return theta, cost


def _finalists(
    theta: NDArray[np.float64], cost: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The best starts (K, 2, 3), and which of them to polish: not one that met a better one, or is far behind."""
    order = np.argsort(cost, axis=1, kind="stable")
    cost = np.take_along_axis(cost, order, 1)
    met = np.zeros(cost.shape, dtype=bool)
    met[:, 1:] = np.diff(cost, axis=1) < _MET * cost[:, 1:]
    wanted = ~met & (cost <= _CLOSE * cost[:, :1] + 1e-6)
    picked = np.argsort(~wanted, axis=1, kind="stable")[:, :_FINALISTS]
    order = np.take_along_axis(order, picked, 1)
    return np.take_along_axis(theta, order[..., None], 1), np.take_along_axis(wanted, picked, 1)


def _closed_form_starts(curves: Curves, bounds: LawBounds, huber: float, bands: int) -> NDArray[np.float64]:
    """(K, S, 3) the best θ in each of S bands of α, with ε and β by least squares on relative errors."""
    domains, alphas = curves.y.shape[0], _ALPHAS
    loss = np.exp(curves.y)[:, None]  # (K, 1, T)
    precision = (curves.weight / np.exp(2 * curves.y))[:, None]
    power = np.exp(-alphas[:, None] * curves.x[:, None])  # (K, A, T)

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
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
    theta = np.clip(theta, low, high)
    rows = np.arange(domains).repeat(alphas.size)
    many = curves.some(rows)
    cost = many.loss(many.residuals(theta.reshape(-1, 3))[0], huber).reshape(domains, bands, -1)
    picked = cost.argmin(axis=2)[..., None, None]
    return np.take_along_axis(theta.reshape(domains, bands, -1, 3), picked, axis=2)[:, :, 0]
