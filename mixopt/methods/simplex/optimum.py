"""The mixture that minimises a surface within bounds: a convex programme where it is convex, else a search.

Symbols: B surfaces, P mixtures, K domains.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from mixopt.arrays import Floats
from mixopt.errors import ConfigError
from mixopt.methods.simplex.sampling import dirichlet_within
from mixopt.solve.bounds import project

if TYPE_CHECKING:
    import cvxpy as cp

    from mixopt.solve import Bounds

# RegMix averages the best 128 of 100,000 drawn mixtures (Liu et al. 2024, section 3.3): about one in 800.
_BEST_SHARE = 1 / 800
_DRAWS = 8192
_ROUNDS = 3
_DESCENTS = 4
_STEPS = 200
_BACKTRACKS = 30
# Smooth maxima that a descent of the greatest loss goes through, within log V / β nats of it each.
_SHARPNESS = (30.0, 300.0, 3000.0)
_SUFFICIENT = 1e-4  # Armijo's constant (Nocedal and Wright 2006, section 3.1)


class Function(Protocol):
    """B functions of the mixture, such as `mixopt.methods.swarm.predicted_objective.Surface`.

    Attributes:
        kinked: whether a maximum is in them, which `smoothed` puts a smooth one in place of.
    """

    @property
    def kinked(self) -> bool: ...  # noqa: D102 (documented above)

    def __len__(self) -> int: ...

    def smoothed(self, sharpness: float) -> Self: ...  # noqa: D102

    def value(self, weights: Floats) -> Floats:
        """(B, P) values of (P, K) or (B, P, K) mixtures."""
        ...

    def slope(self, weights: Floats) -> Floats | None:
        """(B, P, K) derivatives at (B, P, K) mixtures; None where it is not smooth."""
        ...

    def expression(self, weights: cp.Variable) -> Any | None:
        """A convex cvxpy expression of a single function; None where it is not convex."""
        ...


@dataclass(frozen=True, eq=False)
class Optimum:
    """A minimiser."""

    weights: Floats  # (K,)
    value: float  # F there
    convex: bool  # whether it is the global minimum of a convex programme


def minimise(surface: Function, bounds: Bounds, prior: Floats, seed: int = 0) -> Optimum:
    """The minimum of one surface.

    Args:
        prior: (K,) a mixture around which half of a search's first draws are made (the natural one).

    Raises:
        ConfigError: the convex solver fails.
    """
    found = _programme(surface, bounds)
    if found is not None:
        weights = _descend(surface, project(found, bounds.floors, bounds.caps)[None, None], bounds)[0, 0]
        return Optimum(weights, float(surface.value(weights[None])[0, 0]), convex=True)
    weights = search(surface, bounds, prior, np.zeros((0, prior.size)), seed)[0]
    return Optimum(weights, float(surface.value(weights[None])[0, 0]), convex=False)


def search(
    surface: Function,
    bounds: Bounds,
    prior: Floats,
    starts: Floats,
    seed: int = 0,
    draws: int = _DRAWS,
    descents: int = _DESCENTS,
    steps: int = _STEPS,
) -> Floats:
    """(B, K) minima of B surfaces, convex or not.

    Mixtures are drawn over all that bounds allow, evenly and around the prior; then, in rounds, ever nearer to the
    best so far. Smooth surfaces go on downhill from the best few, by projected gradients. Of others, which are flat
    between jumps (trees), the best draws are averaged, as RegMix does: their least value is the luck of one draw.

    Args:
        prior: (K,) where half of the first draws centre.
        starts: (S, K) mixtures to try besides, within bounds.
        seed: of the draws, which all surfaces share.
        draws: P of the first round; later rounds together draw as many.
        descents: how many of the best mixtures a smooth surface is followed downhill from; 1 where it is convex.
        steps: most steps of a descent.
    """
    rng = np.random.default_rng(seed)
    pool = np.concatenate([drawn(bounds, prior, draws, rng), project(prior, bounds.floors, bounds.caps)[None], starts])
    values = surface.value(pool)  # (B, P)
    order = np.argsort(values, axis=1, kind="stable")
    if surface.slope(np.repeat(pool[None, :1], len(surface), axis=0)) is not None:
        best = pool[order[:, :descents]]  # (B, S, K)
        found = _descend(surface, best, bounds, steps)
        ends = surface.value(found).argmin(axis=1)
        return np.take_along_axis(found, ends[:, None, None], axis=1)[:, 0]
    kept = max(4, round(draws * _BEST_SHARE))
    best = pool[order[:, :kept]]
    best_values = np.take_along_axis(values, order[:, :kept], axis=1)
    for strength in 40.0 * 4.0 ** np.arange(_ROUNDS):
        near = _around(best, strength, max(kept, draws // _ROUNDS), bounds, rng)
        both = np.concatenate([best, near], axis=1)
        both_values = np.concatenate([best_values, surface.value(near)], axis=1)
        order = np.argsort(both_values, axis=1, kind="stable")[:, :kept]
        best = np.take_along_axis(both, order[..., None], axis=1)
        best_values = np.take_along_axis(both_values, order, axis=1)
    return best.mean(axis=1)  # bounds are convex, so that a mean of mixtures keeps to them


def drawn(bounds: Bounds, prior: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Half of the mixtures evenly over all that bounds allow, half around the prior at various distances."""
    size = prior.size
    even = np.ones((count // 2, size))
    # From mixtures of a few domains to ones near the prior.
    strengths = np.geomspace(1, 100, count - count // 2)
    around = strengths[:, None] * (0.98 * prior + 0.02 / size) * np.sqrt(size)
    return dirichlet_within(np.concatenate([even, around]), bounds.floors, bounds.caps, rng)


def _around(best: Floats, strength: float, count: int, bounds: Bounds, rng: np.random.Generator) -> Floats:
    """(B, count, K) mixtures near the best (B, S, K) of each surface, projected onto the bounds."""
    size = best.shape[-1]
    centres = best[:, rng.integers(best.shape[1], size=count)]
    drawn = rng.gamma(np.maximum(strength * centres, 0.02 / size))
    drawn /= np.maximum(drawn.sum(axis=-1, keepdims=True), np.finfo(np.float64).tiny)
    return project(drawn, bounds.floors, bounds.caps)


def _programme(surface: Function, bounds: Bounds) -> Floats | None:
    """The minimum of a convex surface to about 1e-5, by cvxpy and Clarabel; None for one that is not convex."""
    import cvxpy as cp

    weights = cp.Variable(bounds.floors.size)
    expression = surface.expression(weights)
    if expression is None:
        return None
    limits = [cp.sum(weights) == 1, weights >= bounds.floors, weights <= bounds.caps]
    problem = cp.Problem(cp.Minimize(expression), limits)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Solution may be inaccurate")  # the status says so
            problem.solve(solver=cp.CLARABEL)
    except cp.SolverError as error:
        raise ConfigError(f"solver cvxpy: it failed on the fitted law ({error}); try another --method") from error
    if problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        raise ConfigError(f"solver cvxpy: it ended with status {problem.status!r}; try another --method")
    value: Any = weights.value
    return np.asarray(value, dtype=np.float64)


def _descend(surface: Function, weights: Floats, bounds: Bounds, steps: int = _STEPS) -> Floats:
    """(B, P, K) mixtures downhill from (B, P, K), all at once; F never rises."""
    if not surface.kinked:
        return _gradient_descent(surface, weights, bounds, steps)
    # A greatest loss has kinks at which descents stall: ever sharper smooth maxima lead along them.
    found = weights
    for sharpness in _SHARPNESS:
        found = _gradient_descent(surface.smoothed(sharpness), found, bounds, steps)
    better = surface.value(found) < surface.value(weights)
    return np.where(better[..., None], found, weights)


def _gradient_descent(surface: Function, weights: Floats, bounds: Bounds, steps: int) -> Floats:
    """Projected gradient descent of a smooth surface.

    Steps are Barzilai and Borwein's (1988), shortened until F falls.
    """
    floors, caps = bounds.floors, bounds.caps
    slope = surface.slope(weights)
    if slope is None:
        return weights
    value = surface.value(weights)
    step = 0.1 / np.maximum(np.abs(slope - slope.mean(axis=-1, keepdims=True)).max(axis=-1), 1e-12)
    for _ in range(steps):
        direction = project(weights - step[..., None] * slope, floors, caps) - weights
        moved, value = _backtrack(surface, weights, value, direction, -(slope * direction).sum(axis=-1))
        weights = weights + moved
        if np.abs(moved).max() < 1e-7:
            break
        new_slope = surface.slope(weights)
        if new_slope is None:
            break
        change = new_slope - slope
        curvature = (moved * change).sum(axis=-1)
        length = (moved**2).sum(axis=-1)
        step = np.where(curvature > 1e-12 * length, length / np.maximum(curvature, 1e-300), 2 * step)
        step = np.clip(step, 1e-6, 1e6)
        slope = new_slope
    return project(weights, floors, caps)


def _backtrack(
    surface: Function, weights: Floats, value: Floats, direction: Floats, promised: Floats
) -> tuple[Floats, Floats]:
    """The first of the steps 1, ½, ¼ … along a direction by which F falls, and F after it; no step where none does.

    Args:
        weights: (B, P, K) where it stands.
        value: (B, P) F there.
        direction: (B, P, K).
        promised: (B, P) the fall of F along it to first order.
    """
    share = np.ones_like(value)
    found, moved = value, np.zeros_like(weights)
    waiting = np.ones(value.shape, dtype=np.bool_)
    for _ in range(_BACKTRACKS):
        trial = surface.value(weights + share[..., None] * direction)
        falls = waiting & (trial <= value - _SUFFICIENT * share * promised)
        found = np.where(falls, trial, found)
        moved = np.where(falls[..., None], share[..., None] * direction, moved)
        waiting &= ~falls
        if not waiting.any():
            break
        share = share / 2
    return moved, found
