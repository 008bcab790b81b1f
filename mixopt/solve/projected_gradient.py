"""Minimise F by projected gradient descent, the paper's way, in the metric of its own curvature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixopt.solve.projection import project

if TYPE_CHECKING:
    from mixopt.arrays import Floats
    from mixopt.solve.problem import PowerSum

_STEPS = 500
_BACKTRACKS = 60
_SUFFICIENT = 1e-4  # Armijo's constant (Nocedal and Wright 2006, section 3.1)


def projected_gradient(law: PowerSum, floors: Floats, caps: Floats) -> Floats:
    """Weights (…, m) that minimise F over {Σw = 1, floor ≤ w ≤ cap}.

    Plain steps crawl here, as slopes differ by orders of magnitude between domains. F's Hessian is diagonal, so
    each step is scaled by it and projected in the same metric (Bertsekas 1982, "Projected Newton methods"), which
    is exact and costs no more; a backtracking line search keeps F falling.

    Args:
        law: the problem.
        floors: (m,) with a sum below 1.
        caps: (m,) with a sum of at least 1.
    """
    shape = law.shape
    floors, caps = np.broadcast_to(floors, shape), np.broadcast_to(caps, shape)
    weights = project(floors + 1 / shape[-1], floors, caps)
    for _ in range(_STEPS):
        curvature = law.curvature(weights)
        # A flat or nearly flat domain still needs a metric: far below the others, not zero.
        least = np.maximum(curvature.max(axis=-1, keepdims=True) * 1e-14, np.finfo(np.float64).tiny)
        metric = np.maximum(curvature, least)
        slope = law.slope(weights)
        # A shift of the slope that all domains share does not move the projection, and keeps precision.
        shift = np.median(slope, axis=-1, keepdims=True)
        direction = project(weights + (slope - shift) / metric, floors, caps, metric) - weights
        promised = (slope * direction).sum(axis=-1)  # ≥ 0: the fall of F to first order
        value = law.value(weights)
        step = np.ones(shape[:-1])
        for _ in range(_BACKTRACKS):
            trial = law.value(weights + step[..., None] * direction)
            # Rounding of F itself counts as a fall: near the optimum differences are below its last digit.
            falls = trial <= value - _SUFFICIENT * step * promised + 1e-15 * np.abs(value)
            if falls.all():
                break
            step = np.where(falls, step, step / 2)
        weights = np.clip(weights + step[..., None] * direction, floors, caps)
        if np.abs(direction).max() < 1e-13:
            break
    return weights
