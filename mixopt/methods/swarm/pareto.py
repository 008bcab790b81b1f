"""The mixtures that trade one objective for another: no other is better in both.

Symbols: K domains, P mixtures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Floats, Indices
from mixopt.methods.simplex.optimum import drawn, minimise

if TYPE_CHECKING:
    import cvxpy as cp

    from mixopt.methods.swarm.predicted_objective import Surface
    from mixopt.solve import Bounds

_POINTS = 11
_DRAWS = 2048
# Mixtures whose objectives differ by less, in shares of the front's extent, are one point of it.
_SAME = 0.01


@dataclass(frozen=True, eq=False)
class Front:
    """A Pareto front of two objectives."""

    weights: Floats  # (P, K) mixtures, from the best for the first objective to the best for the second
    values: Floats  # (P, 2) the two objectives of each, predicted
    convex: bool  # whether every point is the minimum of a convex programme, so that none is missed


@dataclass(frozen=True, eq=False)
class Sum:
    """A weighted sum of surfaces of one law each: Σ u_i F_i."""

    parts: tuple[Surface, ...]  # the surfaces
    shares: tuple[float, ...]  # u ≥ 0

    def __len__(self) -> int:
        return 1

    @property
    def kinked(self) -> bool:
        """Whether one of them is."""
        return any(part.kinked for part in self.parts)

    def smoothed(self, sharpness: float) -> Sum:
        """The sum of smooth maxima."""
        return replace(self, parts=tuple(part.smoothed(sharpness) for part in self.parts))

    def value(self, weights: Floats) -> Floats:
        """(1, P)."""
        found = [share * part.value(weights) for part, share in zip(self.parts, self.shares, strict=True)]
        return np.sum(found, axis=0)

    def slope(self, weights: Floats) -> Floats | None:
        """(1, P, K); None where a law is not smooth."""
        total: Floats = np.zeros(())
        for part, share in zip(self.parts, self.shares, strict=True):
            slope = part.slope(weights)
            if slope is None:
                return None
            total = total + share * slope
        return total

    def expression(self, weights: cp.Variable) -> Any | None:
        """In cvxpy; None where a part is not convex."""
        total: Any = 0.0
        for part, share in zip(self.parts, self.shares, strict=True):
            expression = part.expression(weights)
            if expression is None:
                return None
            total = total + share * expression
        return total


def pareto_front(one: Surface, other: Surface, bounds: Bounds, prior: Floats, seed: int = 0) -> Front:
    """The front by weighted sums: the minima of (1 − λ) F/range_F + λ G/range_G for λ from 0 to 1.

    Where both laws are convex that is all of the front, at eleven points (Boyd and Vandenberghe 2004, section
    4.7.5). Elsewhere sums miss its dents: there the mixtures that a search draws count too. Whatever another
    mixture beats in both objectives is left out.

    Args:
        other: the second's, G.
        prior: (K,) where searches centre.
    """
    ends = [minimise(surface, bounds, prior, seed) for surface in (one, other)]
    found = np.stack([end.weights for end in ends])
    corners = _values(one, other, found)
    reach = np.maximum(np.abs(corners[0] - corners[1]), 1e-12)
    for share in np.linspace(0, 1, _POINTS)[1:-1]:
        both = Sum((one, other), ((1 - share) / float(reach[0]), share / float(reach[1])))
        found = np.concatenate([found, minimise(both, bounds, prior, seed).weights[None]])
    convex = all(end.convex for end in ends)
    if not convex:
        found = np.concatenate([found, drawn(bounds, prior, _DRAWS, np.random.default_rng(seed))])
    values = _values(one, other, found)
    kept = non_dominated(values)
    kept = kept[np.argsort(values[kept, 0], kind="stable")]
    kept = _thinned(kept, values / reach)
    return Front(found[kept], values[kept], convex)


def _values(one: Surface, other: Surface, weights: Floats) -> Floats:
    """(P, 2)."""
    return np.stack([one.value(weights)[0], other.value(weights)[0]], axis=1)


def _thinned(rows: Indices, scaled: Floats) -> Indices:
    """The rows without those that differ from the one kept before by little, the last one kept in any case."""
    kept = [rows[0]]
    for row in rows[1:]:
        if np.abs(scaled[row] - scaled[kept[-1]]).max() > _SAME:
            kept.append(row)
    return np.array(kept)


def non_dominated(values: Floats) -> Indices:
    """Rows of (P, objectives) that no other row is at most equal to everywhere and below somewhere."""
    # Below in [i, j]: i is as good as j everywhere and better somewhere.
    below = (values[:, None] <= values[None]).all(axis=2) & (values[:, None] < values[None]).any(axis=2)
    return np.flatnonzero(~below.any(axis=0))
