"""Exponential mixing laws as regressors: what `loglinear` and `mixing-law` share.

Symbols as in `mixopt.methods.swarm.regressors.base`; t (V, K) are a law's slopes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Bools, Floats, Indices
from mixopt.laws.mixing import MixingLaw, fit_mixing_law
from mixopt.methods.swarm.regressors.base import Fitted, Regressor, Replicates

if TYPE_CHECKING:
    import cvxpy as cp


class ExponentialRegressor(Regressor):
    """L_v = c_v + k_v exp(Σ_j t_vj w_j).

    Attributes:
        negative: k_v < 0 is tried too.
        robust: Huber's loss in place of least squares.
    """

    negative = False
    robust = False

    def least_runs(self, domains: int) -> int:
        """A slope a domain and the floor, and one run more to see that they err."""
        return domains + 2

    def fit(self, weights: Floats, losses: Floats, *, seed: int) -> ExponentialFit:
        """Fit all losses at once; nothing is random."""
        self.check(weights, losses)
        law = fit_mixing_law(weights, losses.T, negative=self.negative, robust=self.robust)
        return ExponentialFit(weights, losses, law, self.robust)

    def left_out(self, weights: Floats, losses: Floats, folds: Bools, *, seed: int) -> Floats:
        """(G, R, V) predictions by laws that have not seen a fold, all folds and losses in one batch."""
        for held in folds:
            self.check(weights[~held], losses[~held])
        count, size = len(folds), losses.shape[1]
        seen = np.repeat((~folds).astype(np.float64), size, axis=0)
        law = fit_mixing_law(
            weights, np.tile(losses.T, (count, 1)), precision=seen, negative=self.negative, robust=self.robust
        )
        return np.swapaxes(law.predict(weights).reshape(count, size, -1), 1, 2)


@dataclass(frozen=True, eq=False)
class ExponentialFit(Fitted):
    """Laws of V losses, with the runs that they are of."""

    weights: Floats  # (R, K)
    losses: Floats  # (R, V)
    law: MixingLaw  # V laws
    robust: bool  # fitted with Huber's loss

    def predict(self, weights: Floats) -> Floats:
        """(…, V) losses of mixtures (…, K)."""
        return self.law.floor + self._reducible(weights)

    def _reducible(self, weights: Floats) -> Floats:
        flat = weights.reshape(-1, weights.shape[-1])
        return self.law.reducible(flat).T.reshape(*weights.shape[:-1], -1)

    def jacobian(self, weights: Floats) -> Floats:
        """(…, V, K): the reducible loss times its slopes."""
        return self._reducible(weights)[..., None] * self.law.slope

    def convex(self, weights: cp.Variable, losses: Indices) -> cp.Expression | None:
        """c + exp(t·w), convex where k > 0."""
        import cvxpy as cp

        if (self.law.sign[losses] < 0).any():
            return None
        return self.law.floor[losses] + cp.exp(self.law.slope[losses] @ weights)

    def sd(self, weights: Floats) -> Floats:
        """(…, V) standard errors of the fitted losses, to first order (Seber and Wild 1989, section 5.1)."""
        flat = weights.reshape(-1, weights.shape[-1])
        variance = self._laplace.leverage(flat, self.law.reducible(flat)) * self._laplace.variance[:, None]
        return np.sqrt(variance).T.reshape(*weights.shape[:-1], -1)

    def replicates(self, count: int, seed: int) -> ExponentialReplicates:
        """Refits to the fitted losses with resampled errors (Davison and Hinkley 1997, section 6.2.3).

        Errors are residuals, enlarged by what the fit took out of each; a run's errors of all its losses stay
        together, as they come from one training.
        """
        rng = np.random.default_rng(seed)
        fitted = self.law.predict(self.weights)
        leverage = self._laplace.leverage(self.weights, self.law.reducible(self.weights))
        errors = (self.losses.T - fitted) / np.sqrt(np.maximum(1 - leverage, 0.05))
        errors -= errors.mean(axis=1, keepdims=True)
        runs, size = self.losses.shape
        drawn = rng.integers(runs, size=(count, runs))
        y = (fitted + np.swapaxes(errors[:, drawn], 0, 1)).reshape(count * size, runs)
        start = self.law.take(np.tile(np.arange(size), count))
        law = fit_mixing_law(self.weights, y, robust=self.robust, start=start)
        return ExponentialReplicates(law.reshape(count, size))

    def describe(self) -> dict[str, Any]:
        """The law, and by loss its floor c, factor k, slopes t (which sum to 0) and residual standard deviation."""
        factor, slope = self.law.factor()
        return {
            "law": "loss = c + k exp(sum_j t_j w_j), in nats/token",
            "floor": self.law.floor.tolist(),
            "factor": factor.tolist(),
            "slope": slope.tolist(),
            "residual_sd": np.sqrt(self._laplace.variance).tolist(),
        }

    @cached_property
    def _laplace(self) -> _Laplace:
        return _Laplace.of(self.weights, self.losses, self.law)


@dataclass(frozen=True, eq=False)
class _Laplace:
    """Curvature of V least squares problems at their minimum."""

    inverse: Floats  # (V, K, K) inverse Gauss-Newton matrix of t, the floor following along
    mean: Floats  # (V, K) mean over the runs of the derivatives by t; 0 where the floor is at its bound
    variance: Floats  # (V,) of the residuals
    runs: int  # R

    @classmethod
    def of(cls, weights: Floats, losses: Floats, law: MixingLaw) -> _Laplace:
        runs, domains = weights.shape
        by_slope = law.reducible(weights)[..., None] * weights  # (V, R, K)
        mean = by_slope.mean(axis=1) * (law.floor > 0)[:, None]
        centred = by_slope - mean[:, None]
        matrix = np.swapaxes(centred, 1, 2) @ centred
        trace = np.trace(matrix, axis1=1, axis2=2)[:, None, None]
        # Directions that no run moves are as uncertain as the fit's ridge leaves them.
        inverse = np.linalg.inv(matrix + (1e-9 * trace + 1e-12) * np.eye(domains))
        rest = losses.T - law.predict(weights)
        variance = (rest**2).sum(axis=1) / max(runs - domains - 1, 1)
        return cls(inverse, mean, variance, runs)

    def leverage(self, weights: Floats, reducible: Floats) -> Floats:
        """(V, P) variances of fitted losses, in variances of the residuals, of (P, K) mixtures."""
        by_slope = reducible[..., None] * weights - self.mean[:, None]
        return np.einsum("vpk,vkl,vpl->vp", by_slope, self.inverse, by_slope, optimize=True) + 1 / self.runs


@dataclass(frozen=True, eq=False)
class ExponentialReplicates(Replicates):
    """Laws (B, V)."""

    law: MixingLaw

    def __len__(self) -> int:
        return len(self.law.floor)

    def predict(self, weights: Floats) -> Floats:
        """(B, P, V) losses of (P, K) or (B, P, K) mixtures."""
        own = weights if weights.ndim == 2 else weights[:, None]
        return np.swapaxes(self.law.predict(own), 1, 2)

    def jacobian(self, weights: Floats) -> Floats:
        """(B, P, V, K)."""
        own = weights if weights.ndim == 2 else weights[:, None]
        return np.swapaxes(self.law.reducible(own), 1, 2)[..., None] * self.law.slope[:, None]


class LogLinear(ExponentialRegressor):
    """exp(c_v) + exp(t_v·w) (Olmix 2026), least squares from four starts (published: Huber's loss, 300 starts)."""

    name = "loglinear"
    title = "log-linear law"


class MixingLawRegressor(ExponentialRegressor):
    """c_v + k_v exp(t_v·w) (Ye et al. 2024, M4): k_v < 0, a loss that flattens as it rises, too; by Huber's loss."""

    name = "mixing-law"
    title = "Data Mixing Laws' exponential law"
    negative = True
    robust = True
