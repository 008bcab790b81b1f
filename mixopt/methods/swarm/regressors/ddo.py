"""DDO's additive power law, of each loss: L_v = c_v + Σ_k A_vk (a_vk + w_k)^(−b_vk), by `mixopt.laws.joint`.

Source: Kang et al. 2024, Eq. 2, with amplitudes. It has three parameters a domain and weak priors on them, so about
as many runs as domains are enough.

Symbols as in `mixopt.methods.swarm.regressors.base`; θ (V, 3K) are logarithms of A, a and b.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Bools, Floats, Indices
from mixopt.laws.joint import Additive, Law, evaluate, fit_law
from mixopt.methods.swarm.regressors.base import Fitted, Regressor, Replicates

if TYPE_CHECKING:
    import cvxpy as cp


# (A, a, b) of the starts, the same for all domains; losses are in units of their means.
_STARTS = np.log([(0.1, 0.1, 0.3), (0.1, 1.0, 1.0), (1.0, 1.0, 1.0)])
# Noise of a run before the first residuals, and the least, in units of the loss.
_FIRST_NOISE, _LEAST_NOISE = 0.01, 1e-6
_ROUNDS = 2
# Steps from a cold start, and from the fit to a replicate; later ones move predictions by less than a replicate's
# spread, and there are thousands of problems.
_COLD, _WARM = 60, 20
_BLOCK = 20


class AdditiveRegressor(Regressor):
    """Maximum a posteriori with Huber's loss; the noise is that of the residuals."""

    name = "ddo"
    title = "DDO's additive power law"
    costly = True

    def least_runs(self, domains: int) -> int:
        """One a domain besides a base, as in DDO's own design."""
        return max(5, domains + 1)

    def fit(self, weights: Floats, losses: Floats, *, seed: int) -> AdditiveFit:
        """Fit all losses at once; nothing is random."""
        self.check(weights, losses)
        form, unit = Additive.of(weights), losses.mean(axis=0)
        y = losses / unit
        law, noise = _fit(form, y[None], np.ones((1, len(y))))
        return AdditiveFit(form, unit, y, law, noise[0])

    def left_out(self, weights: Floats, losses: Floats, folds: Bools, *, seed: int) -> Floats:
        """(G, R, V) predictions by laws that have not seen a fold, all folds and losses in one batch."""
        for held in folds:
            self.check(weights[~held], losses[~held])
        form, seen = Additive.of(weights), (~folds).astype(np.float64)
        unit = (seen @ losses / seen.sum(axis=1, keepdims=True))[:, None]
        law, _ = _fit(form, losses / unit, seen)
        return evaluate(form, law, weights) * unit


def _fit(form: Additive, y: Floats, seen: Floats) -> tuple[Law, Floats]:
    """Laws of (B, R, V) losses, and the noise (B, V) of residuals, in turn; runs not `seen` (B, R) are left out."""
    starts = np.repeat(_STARTS, form.x.shape[1], axis=1)[:, None, None]
    out = np.where(seen > 0, 0.0, np.inf)[..., None]
    law = fit_law(form, y, _FIRST_NOISE + out, starts=starts, iterations=_COLD)
    for _ in range(_ROUNDS):
        law = fit_law(form, y, _noise(law, seen)[:, None] + out, starts=law.theta[None], iterations=_COLD)
    return law, _noise(law, seen)


def _noise(law: Law, seen: Floats) -> Floats:
    """(B, V) standard deviations of the residuals, for the parameters that the runs determine."""
    freedom = np.maximum(seen.sum(axis=1)[:, None] - law.used, 1.0)
    squares = (seen[..., None] * law.weight * law.residual**2).sum(axis=1)
    return np.maximum(np.sqrt(squares / freedom), _LEAST_NOISE)


@dataclass(frozen=True, eq=False)
class AdditiveFit(Fitted):
    """Laws of V losses."""

    form: Additive  # the form, over R runs
    unit: Floats  # (V,) the losses' means, in nats/token, which the laws are in multiples of
    y: Floats  # (R, V) what was fitted
    law: Law  # V laws; one replicate
    noise: Floats  # (V,) standard deviation of a run, in multiples of the unit

    def predict(self, weights: Floats) -> Floats:
        """(…, V) losses of mixtures (…, K)."""
        flat = weights.reshape(-1, weights.shape[-1])
        return (evaluate(self.form, self.law, flat)[0] * self.unit).reshape(*weights.shape[:-1], -1)

    def jacobian(self, weights: Floats) -> Floats:
        """(…, V, K): −A b (a + w)^(−b−1)."""
        amplitude, offset, exponent = self._parts
        base = offset + weights[..., None, :] / self.form.unit
        slope = -amplitude * exponent * base ** (-exponent - 1)
        return slope / self.form.unit * self.unit[:, None]

    def convex(self, weights: cp.Variable, losses: Indices) -> cp.Expression:
        """The sums of powers, as exp(−b log(a + w)), which is convex."""
        import cvxpy as cp

        amplitude, offset, exponent = (part[losses] for part in self._parts)
        shape = (len(losses), 1)
        spread = np.ones(shape) @ cp.reshape(weights / self.form.unit, (1, offset.shape[1]), order="C")
        powers = cp.exp(cp.multiply(-exponent, cp.log(offset + spread)))
        unit = self.unit[losses]
        return unit * self.law.floor[0, losses] + cp.sum(cp.multiply(unit[:, None] * amplitude, powers), axis=1)

    def sd(self, weights: Floats) -> Floats:
        """(…, V) of the fitted losses, to first order in θ and its prior."""
        flat = weights.reshape(-1, weights.shape[-1])
        by_theta = self._by_theta(flat) - self._laplace.mean[:, None]
        variance = np.einsum("vpi,vij,vpj->vp", by_theta, self._laplace.covariance, by_theta, optimize=True)
        total = np.sqrt(variance + 1 / self._laplace.precision[:, None])
        return (total.T * self.unit).reshape(*weights.shape[:-1], -1)

    def replicates(self, count: int, seed: int) -> AdditiveReplicates:
        """Refits to resampled errors and a moved prior: "randomise, then optimise" (Bardsley et al. 2014).

        Errors are residuals of whole runs, drawn with replacement; the prior's centre moves by a draw from the
        prior, which would narrow intervals otherwise.
        """
        rng = np.random.default_rng(seed)
        residual = self.law.residual[0]
        freedom = np.maximum(len(residual) - self.law.used[0], 1.0)
        errors = (residual - residual.mean(axis=0)) * np.sqrt(len(residual) / freedom)
        spread = np.sqrt(np.diagonal(self.form.prior_covariance[0]))
        parts = []
        for start in range(0, count, _BLOCK):
            size = min(_BLOCK, count - start)
            y = self.y - residual + errors[rng.integers(len(residual), size=(size, len(residual)))]
            shift = spread * rng.standard_normal((size, *self.law.theta.shape[1:]))
            parts.append(fit_law(self.form, y, self.noise, shift, self.law.theta[None], _WARM))
        theta, floor = (np.concatenate([getattr(part, name) for part in parts]) for name in ("theta", "floor"))
        return AdditiveReplicates(replace(self, law=replace(self.law, theta=theta, floor=floor)))

    def describe(self) -> dict[str, Any]:
        """By loss: the floor, and by domain amplitude (nats/token), offset (weight) and exponent."""
        amplitude, offset, exponent = self._parts
        unit = self.form.unit
        return {
            "law": "loss = c + sum_k A_k (a_k + w_k)^-b_k, in nats/token",
            "floor": (self.law.floor[0] * self.unit).tolist(),
            "amplitude": (amplitude * unit**exponent * self.unit[:, None]).tolist(),
            "offset": (offset * unit).tolist(),
            "exponent": exponent.tolist(),
            "residual_sd": (self.noise * self.unit).tolist(),
        }

    @property
    def _parts(self) -> tuple[Floats, ...]:
        """A, a and b, (V, K) each, in the units of the form."""
        return tuple(np.split(np.exp(self.law.theta[0]), 3, axis=-1))

    def _by_theta(self, weights: Floats) -> Floats:
        """(V, P, 3K) derivatives of the curves of (P, K) mixtures."""
        form, theta = replace(self.form, x=weights / self.form.unit), self.law.theta[0]
        return form.jacobian(theta, form.curve(theta)).values

    @cached_property
    def _laplace(self) -> _Laplace:
        precision = self.law.weight[0].T / self.noise[:, None] ** 2
        by_theta = self._by_theta(self.form.x * self.form.unit)
        mean = (precision[:, None] @ by_theta)[:, 0] / precision.sum(axis=1, keepdims=True)
        centred = by_theta - mean[:, None]
        root = 1 / np.diagonal(self.form.prior_covariance[0])
        curvature = np.swapaxes(centred, 1, 2) @ (precision[..., None] * centred) + np.diag(root)
        return _Laplace(mean, precision.sum(axis=1), np.linalg.inv(curvature))


@dataclass(frozen=True, eq=False)
class _Laplace:
    """Curvature of V posteriors at their mode."""

    mean: Floats  # (V, 3K) mean derivative of the runs' fits by θ: what the floor takes from them
    precision: Floats  # (V,) of the runs, summed
    covariance: Floats  # (V, 3K, 3K) of θ


@dataclass(frozen=True, eq=False)
class AdditiveReplicates(Replicates):
    """Laws (B, V)."""

    fit: AdditiveFit

    def __len__(self) -> int:
        return len(self.fit.law.floor)

    def predict(self, weights: Floats) -> Floats:
        """(B, P, V) losses of (P, K) or (B, P, K) mixtures."""
        amplitude, base, exponent = self._terms(weights)
        return (self.fit.law.floor[:, None] + (amplitude * base**-exponent).sum(axis=-1)) * self.fit.unit

    def jacobian(self, weights: Floats) -> Floats:
        """(B, P, V, K)."""
        amplitude, base, exponent = self._terms(weights)
        slope = -amplitude * exponent * base ** (-exponent - 1)
        return slope / self.fit.form.unit * self.fit.unit[:, None]

    def _terms(self, weights: Floats) -> tuple[Floats, ...]:
        """A (B, 1, V, K), a + w (B, P, V, K) and b (B, 1, V, K)."""
        amplitude, offset, exponent = np.split(np.exp(self.fit.law.theta)[:, None], 3, axis=-1)
        return amplitude, offset + weights[..., None, :] / self.fit.form.unit, exponent
