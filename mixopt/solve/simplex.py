"""One function in front of three solvers, and the multipliers of their answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mixopt.errors import ConfigError
from mixopt.solve.bounds import AT_BOUND, SLACK
from mixopt.solve.convex import convex_programme
from mixopt.solve.kkt import kkt_bisection
from mixopt.solve.problem import PowerSum, Solution
from mixopt.solve.projected_gradient import projected_gradient
from mixopt.solve.projection import project

if TYPE_CHECKING:
    from mixopt.arrays import Floats
    from mixopt.solve.bounds import Bounds

Method = Literal["kkt", "gradient", "cvxpy"]


def solve_simplex(law: PowerSum, bounds: Bounds, method: Method = "kkt") -> Solution:
    """The mixture that minimises F(w) = Σ_j s_j (a_j + u_j w_j)^(−b_j) within bounds.

    The three methods agree to 1e-6 in the weights. Flat domains (s_j b_j = 0) get their floors; where every other
    domain is at its cap, what is left is shared among the flat ones as evenly above their floors as caps allow.

    Args:
        law: one problem (m,) or a batch (…, m).
        bounds: floors and caps, the same for the whole batch.
        method: `kkt` (bisection, the fastest on a batch), `gradient` (projected), `cvxpy` (one at a time).

    Raises:
        ConfigError: an unknown method; a domain whose law is infinite at its cap; cvxpy fails.
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
            weights[undecided] = _minimise(part, floors, tight, method)
    return with_multipliers(weights, law.value(weights), law.slope(weights), floors, caps)


def _minimise(law: PowerSum, floors: Floats, caps: Floats, method: Method) -> Floats:
    """(…, m) minimisers; `caps` is (…, m)."""
    if method == "kkt":
        return kkt_bisection(law, floors, caps)
    if method == "gradient":
        return projected_gradient(law, floors, caps)
    if method == "cvxpy":
        weights = np.empty(law.shape)
        for index in np.ndindex(law.shape[:-1]):
            weights[index] = convex_programme(law.at(*index), floors, caps[index])
        return weights
    raise ConfigError(f"solver: expected kkt, gradient or cvxpy, found {method!r}")


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
