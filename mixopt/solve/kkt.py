"""Minimise F by bisection on the multiplier of Σw = 1, for a whole batch at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mixopt.arrays import Floats
    from mixopt.solve.problem import PowerSum

_HALVINGS = 90


def kkt_bisection(law: PowerSum, floors: Floats, caps: Floats) -> Floats:
    """Weights (…, m) that satisfy the Karush-Kuhn-Tucker conditions of min F.

    At no bound −∂F/∂w_j = s_j b_j u_j (a_j + u_j w_j)^(−b_j−1) equals the multiplier ν, so
    w_j(ν) = clip(((s_j b_j u_j / ν)^(1/(b_j+1)) − a_j) / u_j, floor_j, cap_j), which falls in ν: log ν is bisected
    until Σ w_j(ν) = 1. Flat domains stay at their floors.

    Args:
        law: the problem.
        floors: (m,) with a sum below 1.
        caps: (m,) whose sum over domains that are not flat, with the floors of the flat ones, is at least 1.
    """
    rate = law.amplitude * law.exponent * law.scale
    with np.errstate(divide="ignore"):
        log_rate = np.log(rate)

    def weights(log_nu: Floats) -> Floats:
        with np.errstate(over="ignore"):
            amount = np.exp((log_rate - log_nu[..., None]) / (law.exponent + 1))
        return np.clip((amount - law.offset) / law.scale, floors, caps)

    # Below the least slope at the caps every domain is at its cap; above the greatest slope at
    # floor + (1 − Σ floors)/m none is higher than that, so the sum is at most 1.
    share = floors + (1 - floors.sum()) / floors.size
    low = _log_slope(law, log_rate, caps, empty=np.inf).min(axis=-1)
    high = np.maximum(low, _log_slope(law, log_rate, share, empty=-np.inf).max(axis=-1))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        enough = weights(middle).sum(axis=-1) >= 1
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    return weights(low)


def _log_slope(law: PowerSum, log_rate: Floats, weights: Floats, empty: float) -> Floats:
    """log(−∂F/∂w_j), with `empty` for the flat domains; in logarithms, as slopes over- and underflow."""
    amount = law.offset + law.scale * weights
    with np.errstate(divide="ignore", invalid="ignore"):
        log_slope = log_rate - (law.exponent + 1) * np.log(amount)
    return np.where(law.flat, empty, log_slope)
