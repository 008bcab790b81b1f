"""The convex problem that laws of tokens lead to, and its solution.

Symbols: m domains, w the mixture, F(w) = Σ_j s_j (a_j + u_j w_j)^(−b_j), convex for s, a, b ≥ 0 and u > 0.
Leading axes are a batch (bootstrap replicates, say), written (…, m).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from mixopt.arrays import Bools, Floats, Indices


@dataclass(frozen=True, eq=False)
class PowerSum:
    """F(w) = Σ_j s_j (a_j + u_j w_j)^(−b_j), all arrays of one shape (…, m).

    Attributes:
        amplitude: s ≥ 0, in units of the objective.
        offset: a ≥ 0, in the units of u·w.
        scale: u > 0, amount of data for one unit of weight.
        exponent: b ≥ 0. A domain with s·b = 0 is flat: its share changes nothing.

    Raises:
        ConfigError: a number is not finite or outside its range.
    """

    amplitude: Floats
    offset: Floats
    scale: Floats
    exponent: Floats

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
    """A minimiser of F over {Σw = 1, floor ≤ w ≤ cap}.

    Attributes:
        weights: (…, m) the minimiser.
        objective: (…) F there.
        multiplier: (…) ν ≥ 0 of Σw = 1: what one more unit of weight would save, the same in every domain that is
            at no bound.
        bound_multipliers: (…, m) ∂F/∂w_j + ν: change of F for one more unit of weight in domain j, taken from the
            domains at no bound. At least 0 at a floor, at most 0 at a cap, 0 elsewhere.
    """

    weights: Floats
    objective: Floats
    multiplier: Floats
    bound_multipliers: Floats
