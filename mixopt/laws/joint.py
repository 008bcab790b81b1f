"""Two laws of loss against the tokens of all domains, fitted to all runs of all scales at once.

additive:    y = c + Σ_k A_k (a_k + n_k)^(−b_k)              (Kang et al. 2024, Eq. 2, with amplitudes)
per_domain:  L_v = ε_v + β_v m_v^(−α_v),  m_v = Σ_k κ_vk n_k,  κ_vv = 1

The first is a law of the objective: tokens of a domain lower it whatever the others hold. The second is a law of
each evaluation domain's loss in its effective tokens m_v: its own, and κ_vk of a token for each of domain k's,
the transfer. κ_vk is shrunk towards a κ_v common to the other domains, so that pairs of a kind (Python and its
documentation) stand out only where runs show it. A domain that is only evaluated has no tokens of its own; then
β_v carries the scale, and κ_vk are shrunk towards 1. Both laws fall and are convex in n, hence in the mixture.

Symbols: R runs, K training domains, V evaluation domains, T targets of a form (1, or V), B replicates.
Amounts are in units of the runs' average, so nothing depends on the unit of tokens. float64.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mixopt.arrays import Bools, Floats, Indices
from mixopt.laws.batched_fit import Dense, Rows, effective_parameters, fit_rows


@dataclass(frozen=True)
class AdditivePrior:
    """Independent log-normal priors on A, a and b, with the objective in units of its mean.

    Those of `mixopt.laws.power.Prior`, which sets A = 1; here A varies about it by a factor of 7 (95 %).
    """

    amplitude: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (1.0, 0.8)
    exponent: tuple[float, float] = (1.5, 0.5)


@dataclass(frozen=True)
class DomainPrior:
    """Log-normal priors on α and κ: (median, standard deviation of the logarithm).

    Weak: 95 % of α in 0.1 to 1.6 (learning curves of small and large language models: 0.05 to 0.6), of a domain's
    common κ in 0.005 to 1.9; a pair's κ then differs from it by up to a factor of 7. On AutoScale's published runs
    and on those of a small study, shrinking fully (one κ a domain) tripled and doubled the errors of left-out runs
    against this (1.5 % against 0.5 %, 3.0 % against 1.4 % of mean perplexity); 0.5 to 2.5 differed little.
    """

    exponent: tuple[float, float] = (0.4, 0.7)
    transfer: tuple[float, float] = (0.1, 1.5)
    transfer_pair_log_sd: float = 1.0


@dataclass(frozen=True, eq=False)
class Law:
    """Fitted laws, B replicates of T targets."""

    theta: Floats  # (B, T, p) nonlinear parameters, logarithms
    floor: Floats  # (B, T) c or ε
    amplitude: Floats  # (B, T) β; 1 for the additive form
    residual: Floats  # (B, R, T) measured less fitted
    used: Floats  # (B, T) effective number of parameters
    weight: Floats  # (B, R, T) Huber weights of the runs: 1 for all but outliers


@dataclass(frozen=True, eq=False)
class Additive:
    """y = c + Σ_k A_k (a_k + x_k)^(−b_k); θ = log of A, then a, then b; y in units of about 1.

    c is free and solved inside; A is kept above 0 by its logarithm.
    """

    x: Floats
    unit: Floats
    prior: AdditivePrior = AdditivePrior()
    free_amplitude: ClassVar[bool] = False

    @classmethod
    def of(cls, tokens: Floats, prior: AdditivePrior | None = None) -> Additive:
        """The form over runs of (R, K) tokens; a domain's unit is the geometric mean of its amounts above 0."""
        some = tokens > 0
        unit = np.exp(np.log(np.where(some, tokens, 1.0)).sum(axis=0) / np.maximum(some.sum(axis=0), 1))
        return cls(tokens / unit, unit, prior or AdditivePrior())

    @property
    def targets(self) -> int:
        """One: the objective."""
        return 1

    def _each(self, *values: float) -> Floats:
        return np.repeat(np.array(values), self.x.shape[1])

    @property
    def centre(self) -> Floats:
        """(1, 3K)."""
        prior = self.prior
        return np.log(self._each(prior.amplitude[0], prior.offset[0], prior.exponent[0]))[None]

    @property
    def prior_covariance(self) -> Floats:
        """(1, 3K, 3K)."""
        prior = self.prior
        return np.diag(self._each(prior.amplitude[1], prior.offset[1], prior.exponent[1]) ** 2)[None]

    @property
    def box(self) -> tuple[Floats, Floats]:
        """(1, 3K) each."""
        return np.log(self._each(1e-6, 1e-4, 1e-3))[None], np.log(self._each(1e3, 1e3, 20.0))[None]

    @property
    def starts(self) -> Floats:
        """(12, 1, 3K): the same A, a, b for all domains."""
        grid = [(big, a, b) for big in (0.1, 1.0) for a in (0.1, 1.0) for b in (0.3, 1.0, 2.0)]
        return np.log([self._each(*point) for point in grid])[:, None]

    def _parts(self, theta: Floats) -> tuple[Floats, ...]:
        amplitude, a, b = np.exp(theta.reshape(theta.shape[0], 3, 1, -1)).transpose(1, 0, 2, 3)
        log_shifted = np.log(a + self.x)
        return a, b, log_shifted, amplitude * np.exp(-b * log_shifted)

    def some(self, rows: Indices) -> Additive:
        """The same runs for every problem."""
        return self

    def curve(self, theta: Floats) -> Floats:
        """(n, R)."""
        return self._parts(theta)[3].sum(axis=2)

    def jacobian(self, theta: Floats, curve: Floats) -> Dense:
        """(n, R, 3K)."""
        a, b, log_shifted, part = self._parts(theta)
        return Dense(np.concatenate([part, -a * b * part * np.exp(-log_shifted), -b * log_shifted * part], axis=2))


@dataclass(frozen=True, eq=False)
class PerDomain:
    """L_v = ε_v + β_v (Σ_k κ_vk x_k)^(−α_v); θ = log of α_v, then κ_v1 … κ_vK; ε, β ≥ 0 are solved inside.

    `own` holds the training domain that each of the V evaluation domains is; −1 where it is none.
    """

    x: Floats
    unit: Floats
    own: Indices
    prior: DomainPrior = DomainPrior()
    free_amplitude: ClassVar[bool] = True

    @classmethod
    def of(cls, tokens: Floats, own: Indices, prior: DomainPrior | None = None) -> PerDomain:
        """The form over runs of (R, K) tokens."""
        unit = np.full(tokens.shape[1], tokens.mean())
        return cls(tokens / unit, unit, own, prior or DomainPrior())

    @property
    def targets(self) -> int:
        """V: the losses."""
        return self.own.size

    @property
    def _fixed(self) -> Bools:
        """(V, 1 + K) κ_vv."""
        size = self.x.shape[1]
        return np.hstack([np.zeros((self.targets, 1), np.bool_), self.own[:, None] == np.arange(size)])

    @property
    def centre(self) -> Floats:
        """(V, 1 + K)."""
        centre = np.full((self.targets, 1 + self.x.shape[1]), np.log(self.prior.transfer[0]))
        centre[self.own < 0] = 0.0
        centre[:, 0] = np.log(self.prior.exponent[0])
        return np.where(self._fixed, 0.0, centre)

    @property
    def prior_covariance(self) -> Floats:
        """(V, 1 + K, 1 + K)."""
        prior, size = self.prior, 1 + self.x.shape[1]
        # Without tokens of its own, a domain's common κ and β say the same: there is nothing to vary.
        common = np.where(self.own < 0, 0.0, prior.transfer[1] ** 2)
        covariance = common[:, None, None] + prior.transfer_pair_log_sd**2 * np.eye(size)
        covariance[:, 0, :] = covariance[:, :, 0] = 0.0
        covariance[:, 0, 0] = prior.exponent[1] ** 2
        fixed = self._fixed
        return np.where(fixed[:, :, None] | fixed[:, None, :], 0.0, covariance)

    @property
    def box(self) -> tuple[Floats, Floats]:
        """(V, 1 + K) each."""
        size = self.x.shape[1]
        low, high = np.log([1e-3, *[1e-6] * size]), np.log([5.0, *[20.0] * size])
        return np.where(self._fixed, 0.0, low), np.where(self._fixed, 0.0, high)

    @property
    def starts(self) -> Floats:
        """(6, V, 1 + K): slow, middling and fast laws, with little transfer and with much."""
        starts = []
        for alpha in (0.08, 0.3, 0.9):
            for log_scale in (-2.0, 0.5):
                start = self.centre + np.where(self._fixed, 0.0, log_scale)
                start[:, 0] = np.log(alpha)
                starts.append(start)
        return np.stack(starts)

    def some(self, rows: Indices) -> PerDomain:
        """The same runs for every problem."""
        return self

    def curve(self, theta: Floats) -> Floats:
        """(n, R)."""
        effective = np.exp(theta[:, 1:]) @ self.x.T
        return effective ** -np.exp(theta[:, :1])

    def jacobian(self, theta: Floats, curve: Floats) -> Dense:
        """(n, R, 1 + K)."""
        alpha, kappa = np.exp(theta[:, :1]), np.exp(theta[:, 1:])
        effective = kappa @ self.x.T
        slope = -alpha * curve
        shares = kappa[:, None, :] * self.x / effective[..., None]
        return Dense(np.concatenate([(slope * np.log(effective))[..., None], slope[..., None] * shares], axis=2))


def fit_law(
    form: Additive | PerDomain,
    y: Floats,
    sd: Floats,
    shift: Floats | None = None,
    starts: Floats | None = None,
    iterations: int = 200,
) -> Law:
    """Robust maximum-a-posteriori fit of every target in every replicate.

    Args:
        y: (B, R, T) measurements.
        sd: (B, R, T), or anything that broadcasts to it; infinite for a run that is left out.
        shift: (B, T, p) moves the prior's centre ("randomise, then optimise", Bardsley et al. 2014).
        starts: (S, B, T, p) or (S, 1, T, p) where to start; None for the form's own starts.
        iterations: most steps from each start.
    """
    count, runs, targets = y.shape
    fixed = np.equal(*form.box)
    # A fixed parameter has no prior; 1 in its place keeps the matrix regular.
    root = np.linalg.inv(form.prior_covariance + fixed[:, :, None] * np.eye(fixed.shape[1]))
    centre = np.broadcast_to(form.centre, (count, *form.centre.shape))
    centre = centre if shift is None else centre + shift

    def flat(array: NDArray[Any], *last: int) -> Floats:
        return np.broadcast_to(array, (count, targets, *last)).reshape(count * targets, *last)

    size = fixed.shape[1]
    rows = Rows(
        y=flat(np.swapaxes(y, 1, 2), runs),
        precision=flat(np.swapaxes(np.broadcast_to(sd, y.shape), 1, 2), runs) ** -2.0,
        centre=flat(centre, size),
        root=flat(root, size, size),
        low=flat(form.box[0], size),
        high=flat(form.box[1], size),
        free_amplitude=form.free_amplitude,
        floor_from_zero=form.free_amplitude,
        robust=True,
    )
    starts = form.starts[:, None] if starts is None else starts
    fit = fit_rows(form, rows, np.stack([flat(start, size) for start in starts]), iterations)
    return Law(
        theta=fit.theta.reshape(count, targets, size),
        floor=fit.floor.reshape(count, targets),
        amplitude=fit.amplitude.reshape(count, targets),
        residual=np.swapaxes(fit.residual.reshape(count, targets, runs), 1, 2),
        used=effective_parameters(form, rows, fit).reshape(count, targets),
        weight=np.swapaxes(fit.weight.reshape(count, targets, runs), 1, 2),
    )


def evaluate(form: Additive | PerDomain, law: Law, tokens: Floats) -> Floats:
    """What the laws say of (P, K) tokens: (B, P, T)."""
    there = replace(form, x=tokens / form.unit)
    count, targets, size = law.theta.shape
    curve = there.curve(law.theta.reshape(-1, size)).reshape(count, targets, -1)
    return np.swapaxes(law.floor[..., None] + law.amplitude[..., None] * curve, 1, 2)
