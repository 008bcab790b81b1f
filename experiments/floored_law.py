"""A law of one's own for swarms: saturating benefits under an exponential with a floor, which nothing falls below.

    mixopt recommend --runs runs.csv --method experiments.floored_law:Floored
    mixopt bench regmix-60m --methods experiments.floored_law:Floored,loglinear,gp

    L_v(w) = φ_v + exp(c_v − Σ_k α_vk b_v(w_k)),   b_v(w) = 1 − exp(−ρ_v K w),   α ≥ 0
    φ_v = ref_v − γ_v (ref_v − min over runs)

ref is the median of the runs' losses. Every domain helps or does nothing, ever less the more there is of it, and no
loss falls below φ: laws without such a floor extrapolate to what no mixture reaches. Convex in w. With ρ and φ given,
the logarithm of L − φ is linear: non-negative least squares, each run weighted by (L − φ)², as errors are of L. ρ
and γ come from a grid, by left-out error in nats/token. `benchmarks/far_splits.py` holds it against the package's laws.

Source: the saturating-benefit model of marin-community/marin ("MARINER", 2026), without its term for repeated text; its
ρ serves all losses.

Symbols as in `mixopt.methods.swarm.regressors.base`; N problems in one axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Bools, Floats, Indices
from mixopt.methods.swarm.regressors.base import Fitted, Regressor, Replicates

if TYPE_CHECKING:
    import cvxpy as cp

# ρ in shares of the uniform weight; γ just above 1 has its floor right below the best run.
_RATES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_GAPS = (1.1, 1.3, 1.6, 2.0, 3.0, 4.5, 6.0)
_FOLDS = 5
_MIDDLE = 1.3
# Of the mean diagonal: settles domains that no run varies.
_RIDGE = 1e-3
_SWEEPS, _TOLERANCE = 500, 1e-7
_LEAST = 1e-9


@dataclass(frozen=True, eq=False)
class FlooredLaw:
    """Laws of N losses, or of any leading shape."""

    floor: Floats  # (…) φ, nats/token
    level: Floats  # (…) c
    benefit: Floats  # (…, K) α ≥ 0
    rate: Floats  # (…) ρ K

    def take(self, rows: Indices) -> FlooredLaw:
        """Some of N laws."""
        return FlooredLaw(self.floor[rows], self.level[rows], self.benefit[rows], self.rate[rows])

    def reducible(self, weights: Floats) -> Floats:
        """(…, P) losses above the floor, of (P, K) mixtures or (…, P, K) for each law's own."""
        saturated = -np.expm1(-self.rate[..., None, None] * weights)
        return np.exp(self.level[..., None] - np.einsum("...pk,...k->...p", saturated, self.benefit))

    def predict(self, weights: Floats) -> Floats:
        """(…, P) losses."""
        return self.floor[..., None] + self.reducible(weights)

    def jacobian(self, weights: Floats) -> Floats:
        """(…, P, K) derivatives of `predict` by the weights."""
        rate = self.rate[..., None, None]
        return -self.reducible(weights)[..., None] * rate * self.benefit[..., None, :] * np.exp(-rate * weights)


def non_negative(gram: Floats, right: Floats, start: Floats) -> Floats:
    """Minimisers x ≥ 0 (…, K) of ½ xᵀGx − rᵀx, by coordinate descent in all problems at once.

    Args:
        gram: (…, K, K) G, positive definite; leading axes may be broadcast.
        right: (…, K) r.
        start: (…, K) where to begin.
    """
    x = start.copy()
    for _ in range(_SWEEPS):
        before = x.copy()
        for k in range(x.shape[-1]):
            row = gram[..., k, :]
            pull = x @ row if gram.ndim == 2 else np.einsum("...k,...k->...", x, row)
            x[..., k] = np.maximum(0.0, x[..., k] + (right[..., k] - pull) / row[..., k])
        if np.abs(x - before).max() < _TOLERANCE:
            break
    return x


def _floor(losses: Floats, seen: Floats, gap: Floats) -> Floats:
    """(N,) φ of losses (N, R), by the runs that are `seen` (N, R) and the gap γ (N,)."""
    known = np.where(seen > 0, losses, np.nan)
    reference, least = np.nanmedian(known, axis=1), np.nanmin(known, axis=1)
    return np.maximum(reference - np.maximum(gap * (reference - least), _LEAST), 0.0)


def _fit(weights: Floats, losses: Floats, seen: Floats, rate: Floats, gap: Floats) -> FlooredLaw:
    """Laws of (N, R) losses by the runs that are `seen`, with ρK and γ (N,) given."""
    floor, size = _floor(losses, seen, gap), weights.shape[1]
    rest = np.maximum(losses - floor[:, None], _LEAST)
    share = seen * rest**2
    share /= share.sum(axis=1, keepdims=True)
    saturated = -np.expm1(-rate[:, None, None] * weights)  # (N, R, K)
    centre = (share[:, None] @ saturated)[:, 0]
    off, log = saturated - centre[:, None], np.log(rest)
    mean = (share * log).sum(axis=1)
    gram = np.swapaxes(off, 1, 2) @ (share[..., None] * off)
    gram += _RIDGE * (np.trace(gram, axis1=1, axis2=2)[:, None, None] / size + _LEAST) * np.eye(size)
    right = -((share * (log - mean[:, None]))[:, None] @ off)[:, 0]
    benefit = non_negative(gram, right, np.zeros_like(right))
    return FlooredLaw(floor, mean + (benefit * centre).sum(axis=1), benefit, rate)


def fit_floored(weights: Floats, losses: Floats, seen: Floats) -> tuple[FlooredLaw, Floats]:
    """Fit every loss, with ρ and γ of the least left-out error.

    Args:
        weights: (R, K) mixtures.
        losses: (N, R) nats/token.
        seen: (N, R) 1 for a run that counts, 0 for one that is left out.

    Returns:
        N laws, and their γ (N,).
    """
    count, runs = losses.shape
    held = np.arange(runs) % _FOLDS == np.arange(_FOLDS)[:, None]
    inner, tiled = (seen * ~held[:, None]).reshape(-1, runs), np.tile(losses, (_FOLDS, 1))
    left = (seen * held[:, None]).reshape(-1, runs)

    def best(rates: Floats, gaps: Floats) -> Indices:
        """(N,) which of some ρK and γ (C, N) have the least left-out error."""
        errors = []
        for rate, gap in zip(rates, gaps, strict=True):
            law = _fit(weights, tiled, inner, np.tile(rate, _FOLDS), np.tile(gap, _FOLDS))
            errors.append((left * (law.predict(weights) - tiled) ** 2).sum(axis=1).reshape(_FOLDS, count).sum(axis=0))
        return np.argmin(errors, axis=0)

    # One after the other: the two hardly depend on each other.
    rates, gaps = (np.repeat(np.array(some)[:, None], count, axis=1) for some in (_RATES, _GAPS))
    rates = rates * weights.shape[1]
    gap = np.full(count, _MIDDLE)
    rate = rates[best(rates, np.tile(gap, (len(rates), 1))), 0]
    gap = gaps[best(np.tile(rate, (len(gaps), 1)), gaps), 0]
    return _fit(weights, losses, seen, rate, gap), gap


class Floored(Regressor):
    """Non-negative least squares of log(L − φ)."""

    name = "floored"
    title = "floored exponential law"

    def least_runs(self, domains: int) -> int:
        """As many as benefits and a level, and one more to see that they err."""
        return domains + 2

    def fit(self, weights: Floats, losses: Floats, *, seed: int) -> FlooredFit:
        """Fit all losses at once; nothing is random."""
        self.check(weights, losses)
        law, gap = fit_floored(weights, losses.T, np.ones_like(losses.T))
        return FlooredFit(weights, losses, law, gap)

    def left_out(self, weights: Floats, losses: Floats, folds: Bools, *, seed: int) -> Floats:
        """(G, R, V) predictions by laws that have not seen a fold, all folds and losses in one batch."""
        for held in folds:
            self.check(weights[~held], losses[~held])
        count, size = len(folds), losses.shape[1]
        seen = np.repeat((~folds).astype(np.float64), size, axis=0)
        law, _ = fit_floored(weights, np.tile(losses.T, (count, 1)), seen)
        return np.swapaxes(law.predict(weights).reshape(count, size, -1), 1, 2)


@dataclass(frozen=True, eq=False)
class FlooredFit(Fitted):
    """Laws of V losses, with the runs that they are of."""

    weights: Floats  # (R, K)
    losses: Floats  # (R, V)
    law: FlooredLaw  # V laws
    gap: Floats  # (V,) γ

    def predict(self, weights: Floats) -> Floats:
        """(…, V) losses of mixtures (…, K)."""
        return self.law.predict(weights.reshape(-1, weights.shape[-1])).T.reshape(*weights.shape[:-1], -1)

    def jacobian(self, weights: Floats) -> Floats:
        """(…, V, K)."""
        found = self.law.jacobian(weights.reshape(-1, weights.shape[-1]))
        return np.swapaxes(found, 0, 1).reshape(*weights.shape[:-1], *found.shape[::2])

    def convex(self, weights: cp.Variable, losses: Indices) -> cp.Expression:
        """φ + exp(c − Σα + Σ α exp(−ρKw)): an exponential of a convex sum."""
        import cvxpy as cp

        law, parts = self.law.take(losses), []
        for rate, level, benefit in zip(law.rate, law.level, law.benefit, strict=True):
            parts.append(cp.exp(level - benefit.sum() + benefit @ cp.exp(-rate * weights)))
        return law.floor + cp.hstack(parts)

    def replicates(self, count: int, seed: int) -> FlooredReplicates:
        """Refits to resampled errors of whole runs, with ρ and γ as chosen; the floor moves with the runs.

        Residuals are enlarged for the K + 1 numbers that they were fitted with. Where the fit weighs runs by
        (L − φ)², so do all replicates, which leaves one matrix a loss.
        """
        rng = np.random.default_rng(seed)
        law, runs, size = self.law, len(self.weights), self.weights.shape[1]
        fitted = law.predict(self.weights)  # (V, R)
        used = 1 + (law.benefit > 0).sum(axis=1, keepdims=True)
        errors = (self.losses.T - fitted) * np.sqrt(runs / np.maximum(runs - used, 1))
        errors -= errors.mean(axis=1, keepdims=True)
        drawn = rng.integers(runs, size=(count, runs))
        losses = fitted[:, None] + errors[:, drawn]  # (V, B, R)
        parts = [_refit(self.weights, law.take(np.array([v])), own, float(self.gap[v])) for v, own in enumerate(losses)]
        floor, level, benefit = (np.stack(part, axis=1) for part in zip(*parts, strict=True))
        return FlooredReplicates(
            FlooredLaw(floor, level, benefit.reshape(count, -1, size), np.broadcast_to(law.rate, floor.shape))
        )

    def describe(self) -> dict[str, Any]:
        """The law, and by loss φ, c, α, ρ and the residual standard deviation."""
        runs, size = self.weights.shape
        rest = self.losses.T - self.law.predict(self.weights)
        return {
            "law": "loss = floor + exp(c - sum_k a_k (1 - exp(-r w_k))), in nats/token",
            "floor": self.law.floor.tolist(),
            "level": self.law.level.tolist(),
            "benefit": self.law.benefit.tolist(),
            "rate": self.law.rate.tolist(),
            "residual_sd": np.sqrt((rest**2).sum(axis=1) / max(runs - size - 1, 1)).tolist(),
        }


def _refit(weights: Floats, law: FlooredLaw, losses: Floats, gap: float) -> tuple[Floats, Floats, Floats]:
    """φ (B,), c (B,) and α (B, K) of (B, R) losses, with the weights of one law's own fit."""
    floor, size = _floor(losses, np.ones_like(losses), np.full(len(losses), gap)), weights.shape[1]
    share = law.reducible(weights)[0] ** 2
    share = share / share.sum()
    saturated = -np.expm1(-law.rate[0] * weights)
    centre = share @ saturated
    off = saturated - centre
    log = np.log(np.maximum(losses - floor[:, None], 0.02 * law.reducible(weights)))
    mean = log @ share
    gram = off.T @ (share[:, None] * off)
    gram += _RIDGE * (np.trace(gram) / size + _LEAST) * np.eye(size)
    right = -(share * (log - mean[:, None])) @ off
    benefit = non_negative(gram, right, np.repeat(law.benefit, len(losses), axis=0))
    return floor, mean + benefit @ centre, benefit


@dataclass(frozen=True, eq=False)
class FlooredReplicates(Replicates):
    """Laws (B, V)."""

    law: FlooredLaw

    def __len__(self) -> int:
        return len(self.law.floor)

    def predict(self, weights: Floats) -> Floats:
        """(B, P, V) losses of (P, K) or (B, P, K) mixtures."""
        return np.swapaxes(self.law.predict(_own(weights)), 1, 2)

    def jacobian(self, weights: Floats) -> Floats:
        """(B, P, V, K)."""
        return np.swapaxes(self.law.jacobian(_own(weights)), 1, 2)


def _own(weights: Floats) -> Floats:
    return weights if weights.ndim == 2 else weights[:, None]
