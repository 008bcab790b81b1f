"""The best of several starts, for many loss curves at once: screened on few points, polished on all.

Symbols: K domains, S starts, P parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mixopt.laws.huber_newton import Curves, huber_sums, newton

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixopt.arrays import Bools, Floats
    from mixopt.laws.law_bounds import LawBounds

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
        curves: one problem a domain.
        bounds: of the parameters.
        huber: δ.
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
