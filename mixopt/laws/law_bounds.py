"""Bounds of a domain's scaling law, as published twice and as this package sets them.

Parameters θ are in the order (log β, log ε, α), β being the reducible loss at `reference` samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mixopt.arrays import Floats, Indices

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
    """Bounds of (log β, log ε, α), hard or penalised.

    Attributes:
        low: (3,) or (K, 3), −inf for none.
        high: (3,) or (K, 3), inf for none.
        penalty: what a unit beyond a bound costs, in the objective's units; infinite for a hard bound.
        reference: samples at which β is measured for the bounds.
    """

    low: Floats
    high: Floats
    penalty: float = np.inf
    reference: float = 1.0

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
