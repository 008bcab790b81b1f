"""Exact projection onto {Σw = 1, floor ≤ w ≤ cap}, for many points at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mixopt.arrays import Floats


def project(points: Floats, floors: Floats, caps: Floats, metric: Floats | None = None) -> Floats:
    """argmin_w ½ Σ_j d_j (w_j − v_j)² over {Σw = 1, floor ≤ w ≤ cap}.

    The minimiser is w_j = clip(v_j − τ/d_j, floor_j, cap_j) for the one τ at which the sum is 1. The sum is
    piecewise linear in τ and falls, with a kink where a domain leaves its cap (τ = d(v − cap)) or reaches its floor
    (τ = d(v − floor)): the kinks are sorted, and τ is interpolated between the two on either side of sum 1.

    Args:
        points: (…, m) v.
        floors: (…, m), sum at most 1.
        caps: (…, m), sum at least 1; not below `floors`.
        metric: (…, m) d > 0; None for the Euclidean projection.

    Returns:
        (…, m), sum 1 to rounding.
    """
    d = np.ones_like(points) if metric is None else metric
    shape = np.broadcast_shapes(points.shape, floors.shape, caps.shape, d.shape)
    v, lo, hi, d = (np.broadcast_to(array, shape) for array in (points, floors, caps, d))

    kinks = np.sort(np.concatenate([d * (v - hi), d * (v - lo)], axis=-1), axis=-1)  # (…, 2m)

    def total(tau: Floats) -> Floats:
        return np.clip(v - tau[..., None] / d, lo, hi).sum(axis=-1)

    # The last kink at which the sum is still at least 1, by bisection over the sorted kinks.
    left = np.zeros(shape[:-1], dtype=np.int64)
    right = np.full(shape[:-1], kinks.shape[-1] - 1)
    for _ in range(int(np.ceil(np.log2(kinks.shape[-1]))) + 1):
        middle = (left + right + 1) // 2
        enough = total(np.take_along_axis(kinks, middle[..., None], -1)[..., 0]) >= 1
        left, right = np.where(enough, middle, left), np.where(enough, right, middle - 1)
        right = np.maximum(left, right)
    at = np.take_along_axis(kinks, left[..., None], -1)[..., 0]
    after = np.take_along_axis(kinks, np.minimum(left + 1, kinks.shape[-1] - 1)[..., None], -1)[..., 0]
    sum_at, sum_after = total(at), total(after)
    fall = sum_at - sum_after
    share = np.where(fall > 0, (sum_at - 1) / np.where(fall > 0, fall, 1.0), 0.0)
    tau = at + np.clip(share, 0.0, 1.0) * (after - at)
    return np.clip(v - tau[..., None] / d, lo, hi)
