"""Least shares: the exact projection, and the published clip that can miss them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def project_to_floor(weights: NDArray[np.float64], floor: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest point with every w_k ≥ floor_k and sum 1: what is missing is taken evenly from the others.

    The sort-based projection onto a simplex (Duchi et al. 2008, Figure 1), shifted by the floors: the case of
    `mixopt.solve.projection.project` without caps, for one point, in a few microseconds.

    Args:
        weights: (K,).
        floor: (K,), sum at most 1.
    """
    if (weights >= floor).all():
        return weights / weights.sum()
    above = weights - floor
    falling = np.sort(above)[::-1]
    excess = falling.cumsum() - (1 - floor.sum())
    count = np.flatnonzero(falling * np.arange(1, falling.size + 1) > excess)
    last = count[-1] if count.size else 0
    return np.maximum(above - excess[last] / (last + 1), 0.0) + floor


def published_clip(weights: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Algorithm 2 of Jiang et al. (2024), for weights that sum to 1: raise to the floor, divide by the sum.

    Its deficit, max(floor·K − Σw, 0), is 0 for such weights, so that nothing is spread evenly, and the division
    takes clipped weights below the floor again: 22 domains and all weight on one give 0.0083 at a floor of 0.01.
    """
    total = weights.sum()
    deficit = max(floor * weights.size - total, 0.0)
    raised = np.maximum(weights * ((1 - deficit) / total), floor)
    return raised / raised.sum()
