"""Minimise laws with transfer over the bounded simplex by a primal-dual interior-point method, a batch in step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mixopt.arrays import Bools, Floats
from mixopt.errors import ConfigError
from mixopt.solve.bounds import SLACK, Bounds
from mixopt.solve.simplex import Solution, with_multipliers

Aggregate = Literal["sum", "sum_exp", "max"]


@dataclass(frozen=True, eq=False)
class TransferLaws:
    """F(w): Σ_v u_v l_v(w), Σ_v u_v exp(l_v(w)), or the greatest l_v(w) where u_v > 0.

    l_v(w) = e_v + s_v (Σ_k t_vk w_k)^(−a_v).

    Raises:
        ConfigError: a number is not finite or outside its range, or no law counts.
    """

    floor: Floats  # (…, V) e
    amplitude: Floats  # (…, V) s ≥ 0
    exponent: Floats  # (…, V) a ≥ 0
    transfer: Floats  # (…, V, m) t ≥ 0, in any units of amount for one unit of weight
    share: Floats  # (V,) u ≥ 0
    aggregate: Aggregate  # which of the three

    def __post_init__(self) -> None:
        if not np.isfinite(self.floor).all():
            raise ConfigError("law: every floor must be a finite number")
        for name in ("amplitude", "exponent", "transfer", "share"):
            array = getattr(self, name)
            if not np.isfinite(array).all() or (array < 0).any():
                raise ConfigError(f"law: every {name} must be a finite number of at least 0")
        if not self.share.any():
            raise ConfigError("law: no share is above 0, so nothing is minimised")

    @property
    def shape(self) -> tuple[int, ...]:
        """(…, m)."""
        return (*self.transfer.shape[:-2], self.transfer.shape[-1])

    def laws(self, weights: Floats) -> Floats:
        """(…, V) l_v(w); infinite where a law that is not flat has no amount."""
        amount = (self.transfer @ weights[..., None])[..., 0]
        amount = np.where(self.amplitude * self.exponent == 0, 1.0, amount)
        with np.errstate(divide="ignore"):
            return self.floor + self.amplitude * amount**-self.exponent

    def value(self, weights: Floats) -> Floats:
        """F(w), shape (…); infinite where exp(l) is beyond floating point, above 709 nats/token."""
        laws = self.laws(weights)
        if self.aggregate == "max":
            return laws[..., self.share > 0].max(axis=-1)
        with np.errstate(over="ignore"):
            return ((np.exp(laws) if self.aggregate == "sum_exp" else laws) * self.share).sum(axis=-1)

    def derivatives(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """l (…, V), and its first and second derivatives by the amount Σ_k t_vk w_k, (…, V) each."""
        flat = self.amplitude * self.exponent == 0
        amount = np.where(flat, 1.0, (self.transfer @ weights[..., None])[..., 0])
        power = self.amplitude * amount**-self.exponent
        first = -self.exponent * power / amount
        return self.floor + power, first, -(self.exponent + 1) * first / amount

    def slope(self, weights: Floats, duals: Floats) -> Floats:
        """−∂F/∂w ≥ 0, shape (…, m); `duals` (…, V) of the maximum, not used by sums."""
        slope = -self.goal_gradient(weights, duals)
        return slope * self.value(weights)[..., None] if self.aggregate == "sum_exp" else slope

    def goal_gradient(self, weights: Floats, duals: Floats) -> Floats:
        """∂G/∂w, shape (…, m), of the goal G that the solver minimises in place of F.

        G is F for `sum`, Σ_v dual_v l_v for `max`, and log F for `sum_exp`: convex as well and least at the same
        mixture, but in nats, where F falls by a factor e^100 on the way from a poor mixture to the best.
        """
        law, first, _ = self.derivatives(weights)
        return ((self.counts(law, duals) * first)[..., None, :] @ self.transfer)[..., 0, :]

    def goal_hessian(self, weights: Floats, duals: Floats) -> Floats:
        """∂²G/∂w², shape (…, m, m)."""
        law, first, second = self.derivatives(weights)
        counts = self.counts(law, duals)[..., None]
        hessian = np.swapaxes(self.transfer, -1, -2) @ (counts * second[..., None] * self.transfer)
        if self.aggregate != "sum_exp":
            return hessian
        # Of log Σ_v u_v exp(l_v) also the covariance of the laws' slopes, each law counted as its share of F.
        slopes = first[..., None] * self.transfer
        apart = slopes - (counts * slopes).sum(axis=-2, keepdims=True)
        return hessian + np.swapaxes(apart, -1, -2) @ (counts * apart)

    def counts(self, law: Floats, duals: Floats) -> Floats:
        """(…, V) ∂G/∂l: how much each law counts in the goal."""
        if self.aggregate == "max":
            return duals
        if self.aggregate == "sum":
            return np.broadcast_to(self.share, law.shape)
        part = self.share * np.exp(law - law.max(axis=-1, keepdims=True))
        return part / part.sum(axis=-1, keepdims=True)

    def flattened(self) -> TransferLaws:
        """The same with one leading axis, (B, …), and with the laws that count only."""
        *batch, laws, domains = self.transfer.shape
        counted = self.share > 0

        def rows(array: Floats) -> Floats:
            return np.broadcast_to(array, (*batch, laws)).reshape(-1, laws)[:, counted]

        return TransferLaws(
            rows(self.floor),
            rows(self.amplitude),
            rows(self.exponent),
            self.transfer.reshape(-1, laws, domains)[:, counted],
            self.share[counted],
            self.aggregate,
        )


_STEPS = 150
_BACKTRACKS = 40
_CENTRING = 0.1
_TO_THE_BOUNDARY = 0.995
_SUFFICIENT = 0.01
# Of the normalised problem: mean complementarity product, and residual of the other conditions.
_GAP = 1e-13
_RESIDUAL = 1e-9
_ROUNDING = 4 * np.finfo(np.float64).eps


def solve_transfer(law: TransferLaws, bounds: Bounds) -> Solution:
    """The mixture that minimises F within bounds, by a primal-dual interior-point method.

    Where F does not depend on how some of the weight is shared, any of the best mixtures may come out.

    Args:
        bounds: floors and caps, the same for the whole batch.

    Raises:
        ConfigError: a law, or for `sum_exp` its exponential, is infinite wherever bounds allow.
    """
    floors, caps = bounds.floors, bounds.caps
    shape = law.shape
    law = law.flattened()
    duals = np.broadcast_to(law.share / law.share.sum(), law.floor.shape)
    room, left = (caps - floors).sum(), 1 - floors.sum()
    start = floors + (caps - floors) * min(1.0, max(0.0, left) / max(room, SLACK))
    weights = np.broadcast_to(start, law.shape)
    if not np.isfinite(law.laws(weights)).all():
        raise ConfigError(
            "bounds: some law has no amount of any domain below the caps, where it is infinite; raise a cap"
        )
    if SLACK < left < room - SLACK:  # else there is one mixture only
        weights, duals = interior_point(law, floors, caps, start)
    objective = law.value(weights)
    if not np.isfinite(objective).all():
        raise ConfigError(
            "law: exp(loss) of the best mixture is too great for a number; it must be below 709 nats/token"
        )
    solution = with_multipliers(weights, objective, law.slope(weights, duals), floors, caps)
    batch = shape[:-1]
    return Solution(
        weights=solution.weights.reshape(shape),
        objective=solution.objective.reshape(batch),
        multiplier=solution.multiplier.reshape(batch),
        bound_multipliers=solution.bound_multipliers.reshape(shape),
    )


def interior_point(law: TransferLaws, floors: Floats, caps: Floats, start: Floats) -> tuple[Floats, Floats]:
    """argmin F over {Σw = 1, floor ≤ w ≤ cap}.

    Newton's method on the perturbed optimality conditions, with a line search on their residual (Boyd and
    Vandenberghe 2004, section 11.7). The greatest of several laws is minimised as min t with l_v(w) ≤ t, a sum of
    exponentials by its logarithm. What is minimised is divided by the spread of its slopes, so that tolerances mean
    the same for every problem.

    Args:
        law: B problems; shape (B, m). Every law counts.
        floors: (m,) with a sum below 1.
        caps: (m,) with a sum above 1; a domain with cap = floor is left there.
        start: (m,) weights strictly between floors and caps wherever they differ, with a sum of 1.

    Returns:
        Weights (B, m), and the duals (B, V) of the maximum: how much each law counts in it, with a sum of 1; for
        sums, the shares.
    """
    problem = _Conditions.of(law, floors, caps, start)
    point = problem.start(start)
    for _ in range(_STEPS):
        gap = problem.gap(point)
        residual = problem.residual(point, 0 * gap)
        # What is left without the complementarity products, which the gap measures.
        others = np.abs(residual[:, : problem.size]).max(axis=1)
        running = ~((gap < problem.enough(point)) & (others < _RESIDUAL))
        if not running.any():
            break
        target = _CENTRING * gap
        move = problem.newton(point, target)
        step = np.where(running, problem.longest(point, move), 0.0)
        norm = np.linalg.norm(problem.residual(point, target), axis=1)
        for _ in range(_BACKTRACKS):
            trial = point + step[:, None] * move
            fine = problem.inside(trial)
            fine &= np.linalg.norm(problem.residual(trial, target), axis=1) <= (1 - _SUFFICIENT * step) * norm + 1e-15
            if fine.all():
                break
            step = np.where(fine, step, step / 2)
        # A step that rounding alone keeps from being taken ends the search there.
        point = point + np.where(step < 1e-11, 0.0, step)[:, None] * move
    return problem.weights(point), problem.duals(point)


@dataclass(frozen=True, eq=False)
class _Conditions:
    """Optimality conditions of B problems in the point (w, t, ν, z_low, z_high, λ), one row (B, …) each.

    `t` and λ are there for the maximum only: P is the number of laws, and 0 for sums. Domains that cannot move have
    no multipliers that matter; their rows are the identity.
    """

    law: TransferLaws
    floors: Floats
    caps: Floats
    open: Bools
    scale: Floats
    peaks: int

    @classmethod
    def of(cls, law: TransferLaws, floors: Floats, caps: Floats, start: Floats) -> _Conditions:
        here, even = np.broadcast_to(start, law.shape), np.full_like(law.floor, 1 / law.share.size)
        values, first, _ = law.derivatives(here)
        slopes = (law.counts(values, even) * first)[..., None] * law.transfer[..., caps > floors]
        # Law by law: near an optimum the slopes of different laws cancel.
        spread = np.ptp(slopes, axis=2).sum(axis=1)
        least = 1e-9 * np.abs(slopes).max(axis=(1, 2)) + 1e-300
        peaks = law.share.size if law.aggregate == "max" else 0
        return cls(law, floors, caps, caps > floors, 1 / np.maximum(spread, least), peaks)

    @property
    def size(self) -> int:
        """Rows of the conditions other than complementarity: w, Σw = 1, and Σλ = 1."""
        return self.floors.size + 1 + bool(self.peaks)

    def start(self, weights: Floats) -> Floats:
        count, m, p = self.law.shape[0], self.floors.size, self.peaks
        w = np.broadcast_to(weights, (count, m))
        parts = [w]
        law = self.law.laws(w)[:, : self.peaks] * self.scale[:, None]
        if p:
            parts.append(law.max(axis=1, keepdims=True) + 1.0)
        low, high = (np.where(self.open, gap, 1.0) for gap in (weights - self.floors, self.caps - weights))
        parts.append(np.zeros((count, 1)))
        parts += [np.broadcast_to(0.1 / m / side, (count, m)) for side in (low, high)]
        if p:
            slack = parts[1] - law
            parts.append((1 / slack) / (1 / slack).sum(axis=1, keepdims=True))
        return np.concatenate(parts, axis=1)

    def split(self, point: Floats) -> tuple[Floats, ...]:
        """w (B, m), t (B, 0 or 1), ν (B, 1), z_low, z_high (B, m), λ (B, P)."""
        m, p = self.floors.size, self.peaks
        ends = np.cumsum([m, bool(p), 1, m, m])
        return tuple(np.split(point, ends, axis=1))

    def weights(self, point: Floats) -> Floats:
        """(B, m), on the bounds that are tight, which the path itself only comes near to."""
        w, _, _, z_low, z_high, _ = self.split(point)
        low, high, _ = self._slacks(point)
        at_floor, at_cap = self.open & (z_low > low), self.open & (z_high > high)
        tight = np.where(at_floor, self.floors, np.where(at_cap, self.caps, w))
        free = self.open & ~at_floor & ~at_cap
        count = free.sum(axis=1, keepdims=True)
        tight = tight + free * (1 - tight.sum(axis=1, keepdims=True)) / np.maximum(count, 1)
        return np.clip(np.where(count > 0, tight, w), self.floors, self.caps)

    def duals(self, point: Floats) -> Floats:
        """(B, V)."""
        if not self.peaks:
            return np.broadcast_to(self.law.share, self.law.floor.shape)
        lam = np.maximum(self.split(point)[5], 0.0)
        return lam / lam.sum(axis=1, keepdims=True)

    def _slacks(self, point: Floats) -> tuple[Floats, Floats, Floats]:
        """Distances to floors and caps (B, m; 1 where they meet) and of laws below t (B, P), normalised."""
        w, t = self.split(point)[:2]
        low, high = (np.where(self.open, side, 1.0) for side in (w - self.floors, self.caps - w))
        law = self.law.laws(w)[:, : self.peaks] * self.scale[:, None]
        return low, high, (t - law if self.peaks else law)

    def gap(self, point: Floats) -> Floats:
        """(B,) mean complementarity product."""
        _, _, _, z_low, z_high, lam = self.split(point)
        low, high, slack = self._slacks(point)
        total = ((z_low * low + z_high * high) * self.open).sum(axis=1) + (lam * slack).sum(axis=1)
        return total / (2 * self.open.sum() + self.peaks)

    def enough(self, point: Floats) -> Floats:
        """(B,) the gap to end at: slopes at the optimum may be far below those at the start, the scale.

        Not below where a domain's distance to its bound would be lost in the rounding of its weight.
        """
        _, _, nu, z_low, z_high, _ = self.split(point)
        steepest = np.maximum(z_low * self.floors, z_high * self.caps).max(axis=1)
        return np.maximum(_GAP * np.clip(np.abs(nu[:, 0]), 1e-6, 1.0), _ROUNDING * steepest)

    def inside(self, point: Floats) -> Bools:
        """(B,) every weight is between its bounds, and every law in the maximum is below t."""
        return np.asarray((np.concatenate(self._slacks(point), axis=1) > 0).all(axis=1))

    def longest(self, point: Floats, move: Floats) -> Floats:
        """(B,) the step, at most 1, that keeps what must be positive so."""
        _, _, _, *multipliers = self.split(point)
        dw, _, _, *changes = self.split(move)
        low, high, _ = self._slacks(point)
        values = np.concatenate([low, high, *multipliers], axis=1)
        falls = -np.concatenate([dw, -dw, *changes], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.where(falls > 0, values / falls, np.inf)
        return np.minimum(1.0, _TO_THE_BOUNDARY * ends.min(axis=1))

    def residual(self, point: Floats, target: Floats) -> Floats:
        """(B, …) stationarity in w, Σw − 1, 1 − Σλ, and complementarity products less `target` (B,)."""
        w, _, nu, z_low, z_high, lam = self.split(point)
        low, high, slack = self._slacks(point)
        gradient = self.law.goal_gradient(w, lam) * self.scale[:, None]
        parts = [np.where(self.open, gradient - z_low + z_high + nu, 0.0), w.sum(axis=1, keepdims=True) - 1]
        if self.peaks:
            parts.append(1 - lam.sum(axis=1, keepdims=True))
        parts += [np.where(self.open, z * side - target[:, None], 0.0) for z, side in ((z_low, low), (z_high, high))]
        return np.concatenate([*parts, lam * slack - target[:, None]], axis=1)

    def newton(self, point: Floats, target: Floats) -> Floats:
        """Newton's step towards complementarity products of `target`; multipliers are eliminated first."""
        w, _, nu, z_low, z_high, lam = self.split(point)
        low, high, slack = self._slacks(point)
        count, m, p = w.shape[0], self.floors.size, self.peaks
        mu, scale = target[:, None], self.scale[:, None]
        hessian = self.law.goal_hessian(w, lam) * scale[..., None]
        size = m + bool(p) + 1
        matrix, right = np.zeros((count, size, size)), np.zeros((count, size))
        barrier = -mu / low + mu / high + nu
        # All empty for sums: (B, P, m), (B, P).
        slopes = (self.law.derivatives(w)[1] * scale)[:, :p, None] * self.law.transfer[:, :p]
        ratio = lam / slack
        gradient = self.law.goal_gradient(w, lam) * scale
        if p:
            hessian = hessian + np.swapaxes(slopes, 1, 2) @ (ratio[..., None] * slopes)
            gradient = ((mu / slack)[:, None, :] @ slopes)[:, 0]
            across = -(ratio[:, None, :] @ slopes)[:, 0]
            matrix[:, m, :m] = matrix[:, :m, m] = np.where(self.open, across, 0.0)
            matrix[:, m, m] = ratio.sum(axis=1)
            right[:, m] = (mu / slack).sum(axis=1) - 1
        diagonal = np.arange(m)
        hessian[:, diagonal, diagonal] += z_low / low + z_high / high
        both = self.open[:, None] & self.open
        matrix[:, :m, :m] = np.where(both, hessian, np.where(np.eye(m, dtype=np.bool_), 1.0, 0.0))
        matrix[:, -1, :m] = matrix[:, :m, -1] = self.open
        right[:, :m] = np.where(self.open, -(gradient + barrier), 0.0)
        right[:, -1] = 1 - w.sum(axis=1)
        step = np.linalg.solve(matrix, right[..., None])[..., 0]
        dw, dt = step[:, :m], step[:, m : m + bool(p)]
        parts = [dw, dt, step[:, -1:], mu / low - z_low - z_low * dw / low, mu / high - z_high + z_high * dw / high]
        parts.append(mu / slack - lam - ratio * (dt - (slopes @ dw[..., None])[..., 0]))
        return np.concatenate(parts, axis=1)
