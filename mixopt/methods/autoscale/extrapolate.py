"""AutoScale's extrapolation: optimal compositions at small scales, carried on to any number of tokens.

Source: Kang et al. 2024 (AutoScale, v1), Theorem 1 and Algorithm 2. Where losses are sums of pure powers and no
bound binds, every optimum satisfies ∂L/∂N_i = −λ for all domains, so log N_i* is linear in log λ: with the position
t ~ −log λ of a scale,

    log N_i*(t) = level_i + rate_i · t.

Two scales determine the lines (t = −1 and 0, rate_i = log N2_i / N1_i): Algorithm 2's steps are t = 1, 2, … Three
or more overdetermine them. A target of N tokens lies where Σ_i N_i*(t) = N: at a real number of steps, where the
algorithm stops at the first whole one beyond.

Symbols: S scales, K domains; leading axes (…) are a batch, such as bootstrap replicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Bools, Floats
from mixopt.errors import ConfigError
from mixopt.solve.bounds import project

if TYPE_CHECKING:
    from mixopt.solve import Bounds

_NEWTON_STEPS = 200
_EXACT = 1e-13


@dataclass(frozen=True, eq=False)
class Growth:
    """Lines through the optima of the scales."""

    totals: Floats  # (S,) tokens of the scales, rising
    weights: Floats  # (…, S, K) the optima
    # (…, K) domains without a line: at a bound (or at 0) at the largest scale, or free at that one alone. Their amounts
    # follow the bound; they keep the share that they have at the largest scale.
    held: Bools
    # (…, S, K) the optima that lines go through: those of domains that have one, at scales where they are free
    used: Bools
    level: Floats  # (…, K) log tokens at the position of the largest scale (t = 0), fitted
    rate: Floats  # (…, K) log of the factor from one step to the next
    position: Floats  # (…, S) positions of the scales, from 1 − S to 0: a step is the mean distance of two scales

    @classmethod
    def fit(cls, totals: Floats, weights: Floats, pinned: Bools | None = None) -> Growth:
        """Least squares of log amounts over levels, rates and positions: exact with two scales.

        min Σ_si (log N_si − level_i − rate_i t_s)² is the best approximation of rank one of the centred logarithms,
        found by singular values, over the domains that are free at every scale. A domain that is at a bound at some
        smaller scales only gets a line through its other optima. Where positions do not rise with the scales (more
        noise than growth, or no such domain), the logarithms of the totals are the positions.

        Args:
            totals: (S,) tokens of the scales, rising.
            weights: (…, S, K) optimal weights at each; 0 has no logarithm and counts as a bound.
            pinned: (…, S, K) weights that are at a bound.

        Raises:
            ConfigError: fewer than two scales, or totals that do not rise.
        """
        totals = np.asarray(totals, dtype=np.float64)
        if totals.size < 2 or (np.diff(totals) <= 0).any():
            raise ConfigError(
                f"scales: expected two or more different ones, found {', '.join(f'{n:g}' for n in totals)}"
            )
        free = weights > 0
        if pinned is not None:
            free = free & ~pinned
        held = ~free[..., -1, :] | (free.sum(axis=-2) < 2)
        used = free & ~held[..., None, :]
        logs = np.log(np.where(used, weights * totals[:, None], 1.0))
        whole = used.all(axis=-2, keepdims=True)
        centred = np.where(whole, logs - logs.mean(axis=-2, keepdims=True), 0.0)
        found = np.linalg.svd(centred, full_matrices=False)[0][..., 0]
        found = found * np.sign(found[..., -1:] - found[..., :1])
        rising = (np.diff(found, axis=-1) > 0).all(axis=-1, keepdims=True) & whole.any(axis=-1)
        found = np.where(rising, found, np.log(totals))
        length = found[..., -1:] - found[..., :1]
        position = (totals.size - 1) * (found - found[..., -1:]) / length
        # A line for each domain, through the optima that it has.
        weight = used.astype(np.float64)
        count = np.maximum(weight.sum(axis=-2), 1.0)
        middle = (weight * position[..., None]).sum(axis=-2) / count
        offset = weight * (position[..., None] - middle[..., None, :])
        rate = (offset * logs).sum(axis=-2) / np.where(held, 1.0, (offset**2).sum(axis=-2))
        level = (weight * logs).sum(axis=-2) / count - rate * middle
        return cls(totals, weights, held, used, level, rate, position)

    @property
    def residuals(self) -> Floats:
        """(…, S, K) log N_i* less the line; 0 where an optimum is not used, and everywhere with two scales."""
        line = self.level[..., None, :] + self.rate[..., None, :] * self.position[..., None]
        off = np.log(np.where(self.used, self.weights * self.totals[:, None], 1.0)) - line
        return np.where(self.used, off, 0.0)

    def steps(self, total: float) -> Floats:
        """(…) position of `total` tokens: k steps of Algorithm 2 beyond the largest scale; NaN where none grows."""
        free = ~self.held
        return self._solve(free, self._rest(free) * total)

    def at(self, total: float, bounds: Bounds | None = None) -> Floats:
        """(…, K) optimal weights for `total` tokens.

        At or below the smallest scale: that scale's own optimum. Weights beyond a bound are put at it and the other
        domains share the rest by their lines, which is the optimum under the bounds (its condition is the same λ
        for all domains at no bound).

        Args:
            total: tokens.
            bounds: floors and caps; None for the simplex.
        """
        size = self.level.shape[-1]
        floors, caps = (bounds.floors, bounds.caps) if bounds else (np.zeros(size), np.ones(size))
        if total <= self.totals[0]:
            return project(self.weights[..., 0, :], floors, caps)
        fixed, weights = self.held.copy(), np.clip(self.weights[..., -1, :], floors, caps)
        for _ in range(size + 1):
            weights = np.where(fixed, weights, self._share(total, ~fixed, weights))
            over, under = (np.where(fixed, 0.0, np.maximum(off, 0.0)) for off in (weights - caps, floors - weights))
            # Whichever sum is greater tells in which direction λ will move, and so which domains stay at a bound.
            hit = np.where((over.sum(axis=-1) >= under.sum(axis=-1))[..., None], over > 0, under > 0)
            if not hit.any():
                break
            weights, fixed = np.clip(weights, floors, caps), fixed | hit
        return project(weights, floors, caps)

    def _rest(self, free: Bools, weights: Floats | None = None) -> Floats:
        """(…) what the domains that are not free leave over."""
        fixed = self.weights[..., -1, :] if weights is None else weights
        return np.maximum(1 - np.where(free, 0.0, fixed).sum(axis=-1), 0.0)

    def _share(self, total: float, free: Bools, weights: Floats) -> Floats:
        """(…, K) weights of the free domains by their lines; where no position will do, as at the largest scale."""
        rest = self._rest(free, weights)
        found = self._solve(free, rest * total)
        amounts = np.exp(self.level + self.rate * np.nan_to_num(found)[..., None]) * free
        return rest[..., None] * amounts / np.maximum(amounts.sum(axis=-1, keepdims=True), 1e-300)

    def _solve(self, free: Bools, tokens: Floats) -> Floats:
        """(…) the greatest t with Σ_free exp(level + rate · t) = tokens; NaN where there is none.

        f(t) = log of that sum is convex. Newton from the right, where the first domain alone has all the tokens,
        comes down to the greatest root without passing it.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = np.log(tokens)[..., None]
            start = np.where(free & (self.rate > 0), (wanted - self.level) / self.rate, np.inf).min(axis=-1)
        t = np.where(np.isfinite(start), start, np.nan)
        level = np.where(free, self.level, -np.inf)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for _ in range(_NEWTON_STEPS):
                terms = level + self.rate * t[..., None]
                top = terms.max(axis=-1, keepdims=True)
                parts = np.exp(terms - top)
                excess = (top + np.log(parts.sum(axis=-1, keepdims=True)) - wanted)[..., 0]
                slope = (self.rate * parts).sum(axis=-1) / parts.sum(axis=-1)
                moving = excess > _EXACT * np.maximum(1.0, np.abs(wanted[..., 0]))
                # Past the lowest point and still above: the sum never comes down so far.
                t = np.where(moving & (slope <= 0), np.nan, t)
                if not (moving & (slope > 0)).any():
                    break
                t = np.where(moving & (slope > 0), t - excess / slope, t)
        return t
