"""Minimise F(w) = Σ_j s_j (a_j + u_j w_j)^(−b_j) by bisection on the multiplier of Σw = 1, a whole batch at once.

Symbols: m domains, w the mixture; F is convex for s, a, b ≥ 0 and u > 0. Leading axes are a batch, written (…, m).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixopt.arrays import Bools, Floats, Indices
from mixopt.errors import ConfigError
from mixopt.solve.bounds import AT_BOUND, SLACK, Bounds, project


@dataclass(frozen=True, eq=False)
class PowerSum:
    """F(w) = Σ_j s_j (a_j + u_j w_j)^(−b_j), all arrays of one shape (…, m).

    Raises:
        ConfigError: a number is not finite or outside its range.
    """

    amplitude: Floats  # s ≥ 0, in units of the objective
    offset: Floats  # a ≥ 0, in the units of u·w
    scale: Floats  # u > 0, amount of data for one unit of weight
    exponent: Floats  # b ≥ 0. A domain with s·b = 0 is flat: its share changes nothing.

    def __post_init__(self) -> None:
        shape = np.broadcast_shapes(*(np.shape(getattr(self, name)) for name in _FIELDS))
        for name in _FIELDS:
            array = np.broadcast_to(np.asarray(getattr(self, name), dtype=np.float64), shape)
            if not np.isfinite(array).all() or (array < 0).any():
                raise ConfigError(f"law: every {name} must be a finite number of at least 0")
            object.__setattr__(self, name, array)
        if (self.scale <= 0).any():
            raise ConfigError("law: every scale must be above 0")

    @property
    def shape(self) -> tuple[int, ...]:
        """(…, m)."""
        return self.amplitude.shape

    @property
    def flat(self) -> Bools:
        """(…, m) the domains whose share changes nothing."""
        return self.amplitude * self.exponent == 0

    def at(self, *index: int | Indices | Bools) -> PowerSum:
        """A part of the batch, or some domains of a single problem."""
        return PowerSum(*(getattr(self, name)[index] for name in _FIELDS))

    def value(self, weights: Floats) -> Floats:
        """F(w), shape (…): infinite where a_j + u_j w_j = 0 and the domain is not flat."""
        amount = np.where(self.flat, 1.0, self.offset + self.scale * weights)
        with np.errstate(divide="ignore", over="ignore"):
            return (self.amplitude * amount**-self.exponent).sum(axis=-1)

    def slope(self, weights: Floats) -> Floats:
        """−∂F/∂w_j ≥ 0, shape (…, m): what one more unit of weight would save."""
        rate = self.amplitude * self.exponent * self.scale
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            slope = rate * (self.offset + self.scale * weights) ** (-self.exponent - 1)
        return np.where(rate == 0, 0.0, slope)

    def curvature(self, weights: Floats) -> Floats:
        """∂²F/∂w_j² ≥ 0, shape (…, m): the Hessian's diagonal; all else in it is zero."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            factor = (self.exponent + 1) * self.scale / (self.offset + self.scale * weights)
            curvature = self.slope(weights) * factor
        return np.where(self.flat, 0.0, curvature)


_FIELDS = ("amplitude", "offset", "scale", "exponent")


@dataclass(frozen=True, eq=False)
class Solution:
    """A minimiser of F over {Σw = 1, floor ≤ w ≤ cap}."""

    weights: Floats  # (…, m) the minimiser
    objective: Floats  # (…) F there
    # (…) ν ≥ 0 of Σw = 1: what one more unit of weight would save, the same in every domain that is at no bound
    multiplier: Floats
    # (…, m) ∂F/∂w_j + ν: change of F for one more unit of weight in domain j, taken from the domains at no bound. At
    # least 0 at a floor, at most 0 at a cap, 0 elsewhere.
    bound_multipliers: Floats


_HALVINGS = 90


def solve_simplex(
    law: PowerSum, bounds: Bounds, minimise: Callable[[PowerSum, Floats, Floats], Floats] | None = None
) -> Solution:
    """The mixture that minimises F(w) = Σ_j s_j (a_j + u_j w_j)^(−b_j) within bounds.

    Flat domains (s_j b_j = 0) get their floors; where every other
    domain is at its cap, what is left is shared among the flat ones as evenly above their floors as caps allow.

    Args:
        law: one problem (m,) or a batch (…, m).
        bounds: floors and caps, the same for the whole batch.
        minimise: another solver to hold against `kkt_bisection`, the default.

    Raises:
        ConfigError: a domain whose law is infinite at its cap.
    """
    floors, caps = bounds.floors, bounds.caps
    flat = law.flat
    empty = ~flat & (law.offset + law.scale * caps == 0)
    if empty.any():
        name = bounds.domains[int(np.argmax(empty.reshape(-1, len(bounds.domains)).any(axis=0)))]
        raise ConfigError(f"bounds: {name!r} has a cap of 0, where its law (offset 0) is infinite; raise the cap")
    # What the domains that do matter can take, with the flat ones at their floors.
    room = np.where(flat, floors, caps).sum(axis=-1)
    if floors.sum() >= 1 - SLACK:
        weights = np.broadcast_to(floors, law.shape).copy()
    else:
        weights = project(np.broadcast_to(floors, law.shape), np.where(flat, floors, caps), caps)
        undecided = room > 1
        if undecided.any():
            part = law.at(undecided)
            tight = np.where(part.flat, floors, caps)
            weights[undecided] = (minimise or kkt_bisection)(part, floors, tight)
    return with_multipliers(weights, law.value(weights), law.slope(weights), floors, caps)


def kkt_bisection(law: PowerSum, floors: Floats, caps: Floats) -> Floats:
    """Weights (…, m) that satisfy the Karush-Kuhn-Tucker conditions of min F.

    At no bound −∂F/∂w_j = s_j b_j u_j (a_j + u_j w_j)^(−b_j−1) equals the multiplier ν, so
    w_j(ν) = clip(((s_j b_j u_j / ν)^(1/(b_j+1)) − a_j) / u_j, floor_j, cap_j), which falls in ν: log ν is bisected
    until Σ w_j(ν) = 1. Flat domains stay at their floors.

    Args:
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


def with_multipliers(weights: Floats, objective: Floats, slope: Floats, floors: Floats, caps: Floats) -> Solution:
    """The solution at weights (…, m), where F is `objective` (…) and −∂F/∂w is `slope` (…, m)."""
    at_floor, at_cap = weights <= floors + AT_BOUND, weights >= caps - AT_BOUND
    free = ~at_floor & ~at_cap
    count = free.sum(axis=-1)
    inside = np.where(free, slope, 0.0).sum(axis=-1) / np.maximum(count, 1)
    # With every domain at a bound, any ν between the slopes at floors and those at caps will do: the middle one.
    least = np.where(at_floor & ~at_cap, slope, -np.inf).max(axis=-1)
    most = np.where(at_cap & ~at_floor, slope, np.inf).min(axis=-1)
    with np.errstate(invalid="ignore"):
        middle = np.where(np.isinf(least), most, np.where(np.isinf(most), least, 0.5 * (least + most)))
    nu = np.where(count > 0, inside, np.where(np.isfinite(middle), middle, 0.0))
    return Solution(
        weights=weights,
        objective=objective,
        multiplier=nu,
        bound_multipliers=np.where(free, 0.0, nu[..., None] - slope),
    )
