"""Random mixtures between floors and caps, exactly distributed and without rejection.

Symbols: n mixtures, m domains, {Σw = 1, lo ≤ w ≤ hi} the set that they are drawn from.

Rejection keeps a share of draws that falls exponentially in m: with caps at one and a half times the uniform share
one even draw in two million survives at m = 20. Both samplers here cost the same whatever share of the simplex is
left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats
from mixopt.solve.bounds import project

if TYPE_CHECKING:
    from mixopt.solve import Bounds

_SWEEPS = 30
_GRID = 4097
# Below this a box is a point, for the sake of divisions by its width.
_TINY = 1e-12


def dirichlet_within(concentration: Floats, floors: Floats, caps: Floats, rng: np.random.Generator) -> Floats:
    """Draws of Dirichlet(a) conditioned on floors and caps, one a row.

    Rows that satisfy the bounds as drawn stay. The others go through a Gibbs sampler over pairs: given all else,
    two weights of a Dirichlet split their sum by Beta(a_i, a_j), which the bounds truncate; that is drawn exactly,
    by inverting its distribution function. Each sweep pairs all domains anew at random, so that weight crosses the
    whole simplex in about log₂ m sweeps, of which there are 30.

    Args:
        concentration: (n, m) a, at least 0; a domain with a = 0 gets what the bounds make it take.
        floors: (n, m) or (m,), with sums of at most 1.
        caps: (n, m) or (m,), with sums of at least 1.

    Returns:
        (n, m), each row summing to 1 within rounding and within its bounds.
    """
    shape = concentration.shape
    floors, caps = np.broadcast_to(floors, shape), np.broadcast_to(caps, shape)
    alpha = np.maximum(concentration, _TINY)
    # In logarithms: at small concentrations Gamma draws underflow, for a whole row at once.
    log_gamma = np.log(rng.gamma(alpha + 1)) + np.log(rng.random(shape)) / alpha
    weights = np.exp(log_gamma - log_gamma.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    outside = ((weights < floors) | (weights > caps)).any(axis=1)
    if outside.any():
        start = project(weights[outside], floors[outside], caps[outside])
        drawn = _gibbs(start, alpha[outside], floors[outside], caps[outside], rng)
        # Pairs keep sums to rounding, which thirty sweeps add up.
        weights[outside] = project(drawn, floors[outside], caps[outside])
    return weights


def _gibbs(weights: Floats, alpha: Floats, floors: Floats, caps: Floats, rng: np.random.Generator) -> Floats:
    """The chain after `_SWEEPS` sweeps of disjoint pairs, all rows at once; shapes (n, m)."""
    from scipy.special import betainc, betaincinv

    count, domains = weights.shape
    rows = np.arange(count)[:, None]
    weights = weights.copy()
    for _ in range(_SWEEPS):
        order = rng.permuted(np.tile(np.arange(domains), (count, 1)), axis=1)
        one, other = order[:, : domains // 2], order[:, domains // 2 : domains // 2 * 2]
        both = weights[rows, one] + weights[rows, other]
        total = np.maximum(both, _TINY)
        low = np.maximum(floors[rows, one], both - caps[rows, other]) / total
        high = np.minimum(caps[rows, one], both - floors[rows, other]) / total
        low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
        a, b = alpha[rows, one], alpha[rows, other]
        least, most = betainc(a, b, low), betainc(a, b, high)
        share = betaincinv(a, b, least + rng.random(low.shape) * (most - least))
        share = np.clip(np.where(np.isfinite(share), share, low), low, np.maximum(low, high))
        weights[rows, one] = share * both
        weights[rows, other] = both - weights[rows, one]
    return weights


def uniform_within(cube: Floats, bounds: Bounds) -> Floats:
    """The map of the unit cube onto mixtures between bounds that turns uniform points into uniform ones.

    Rosenblatt's (1952): each weight is drawn from its distribution given those before it. Where no cap binds this
    is the stick-breaking that exponential spacings come down to; with caps the conditional distributions are those
    of sums of uniform variables, tabulated once. Points that fill the cube evenly (Sobol's) thus fill the set
    evenly, and every point is used.

    Args:
        cube: (n, m − 1) points in [0, 1]; domains that the bounds fix leave as many of the last columns unused.

    Returns:
        (n, m).
    """
    room = 1 - bounds.floors.sum()
    widths = np.minimum(bounds.caps - bounds.floors, max(room, 0.0))
    free = np.flatnonzero(widths > _TINY)
    if room <= _TINY or not free.size:
        return np.broadcast_to(project(bounds.floors, bounds.floors, bounds.caps), (len(cube), widths.size)).copy()
    widths, total = widths[free], widths[free].sum()
    # Of the weights above their floors and the room left below their caps the smaller sum is drawn: near the other
    # end of its range the distribution of a sum is lost in rounding.
    mirrored = total - room < room
    drawn = _conditional(cube, widths, total - room if mirrored else room)
    weights = np.tile(bounds.floors, (len(cube), 1))
    weights[:, free] += widths - drawn if mirrored else drawn
    return project(weights, bounds.floors, bounds.caps)


def _conditional(cube: Floats, widths: Floats, total: float) -> Floats:
    """(n, m) uniform on {Σv = total, 0 ≤ v ≤ widths}, one variable after the other."""
    count, size = len(cube), len(widths)
    if total <= _TINY:
        return np.zeros((count, size))
    caps = np.minimum(widths / total, 1.0)  # in units of the total
    sums = np.linspace(0, 1, _GRID)
    roots = _distribution_roots(caps, sums)
    values = np.zeros((count, size))
    left = np.ones(count)
    for k in range(size - 1):
        # v_k given the sum `left` of v_k and those after it: P(v_k ≤ v) ∝ F(left) − F(left − v), where F is the
        # distribution of the sum of those after it.
        degree, root = size - 1 - k, roots[k + 1]
        top = np.interp(left, sums, root) ** degree
        bottom = np.interp(left - caps[k], sums, root, left=0.0) ** degree
        inside = top - cube[:, k] * (top - bottom)
        rest = np.interp(inside ** (1 / degree), root, sums)
        values[:, k] = np.clip(left - rest, 0, np.minimum(caps[k], left))
        left = left - values[:, k]
    values[:, -1] = left
    return values * total


def _distribution_roots(caps: Floats, sums: Floats) -> list[Floats]:
    """F_k(s)^(1/d) for the sum of the variables k, k + 1, …, each uniform on [0, caps], d of them.

    F is proportional to s^d up to the smallest cap, so its d-th root is linear there and interpolates well. Each F
    is scaled to 1 at its end, which cancels in conditional distributions.
    """
    size = len(caps)
    roots: list[Floats] = [np.empty(0)] * size
    roots[-1] = np.minimum(sums, caps[-1]) / caps[-1]
    for k in range(size - 2, -1, -1):
        degree, after = size - k, roots[k + 1]
        inside = after ** (degree - 1)
        density = inside - np.interp(sums - caps[k], sums, after, left=0.0) ** (degree - 1)
        area = np.concatenate([[0.0], np.cumsum(np.maximum(density[1:] + density[:-1], 0.0))])
        root = (area / area[-1]) ** (1 / degree)
        # Exact up to the smallest cap; there the trapezoids are coarse, and powers of small sums underflow.
        straight = int(np.searchsorted(sums, caps[k:].min(), side="right")) - 1
        if straight > 0:
            root[:straight] = sums[:straight] * (root[straight] / sums[straight])
        roots[k] = root
    return roots
