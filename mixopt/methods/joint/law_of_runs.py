"""A law over all runs of all scales: what any tokens would give, the best mixture of any length, and how sure.

Symbols: K training domains, V evaluation domains, B replicates.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

import numpy as np

from mixopt.arrays import Floats
from mixopt.errors import ConfigError
from mixopt.laws.joint import Additive, Law, evaluate
from mixopt.methods.base import Noise
from mixopt.methods.joint.evidence import CellEvidence, Checked, DomainLaw, JointLaw
from mixopt.methods.joint.fit import FORMS, FormFit, FormName, cross_validate, score
from mixopt.methods.joint.runs import Cells, counted
from mixopt.solve import Bounds, PowerSum, Solution, TransferLaws, solve_simplex, solve_transfer

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.objective import Objective

_BLOCK = 32


@dataclass(frozen=True, eq=False)
class JointFit:
    """The law of `mixopt.laws.joint` that suits a history."""

    fit: FormFit  # the chosen form, fitted
    cross_validation: dict[str, Checked]  # by form that was tried, see `mixopt.methods.joint.fit.cross_validate`
    seed: int  # of replicates

    @classmethod
    def of(
        cls,
        history: History,
        objective: Objective,
        *,
        form: Literal["auto"] | FormName = "auto",
        noise: float = 0.003,
        seed: int = 0,
    ) -> JointFit:
        """Fit every run of a history, of all scales; runs of one seed may share a shift, which is taken out.

        Args:
            form: `additive`, `per_domain`, or `auto`: the one with the smaller error on runs left out.
            noise: standard deviation of a run, relative, assumed where seeds are not repeated; also the least.

        Raises:
            ConfigError: an unknown form or objective, or runs that cannot carry a law.
        """
        if form != "auto" and form not in FORMS:
            raise ConfigError(f"form: expected auto, {', '.join(FORMS)}, found {form!r}")
        counted(objective, history)
        cells = Cells.of(history)
        fits = {name: FormFit.of(name, cells, objective, noise) for name in (FORMS if form == "auto" else (form,))}
        checked = {name: cross_validate(fit) for name, fit in fits.items()}
        best = min(fits, key=lambda name: score(checked[name]))
        return cls(fits[best], checked, seed)

    @property
    def form(self) -> FormName:
        """The form chosen."""
        return "additive" if isinstance(self.fit.form, Additive) else "per_domain"

    @property
    def words(self) -> str:
        """How well the form predicts, for people: `1.4 % on runs left out (additive: 2.7 %)`."""
        parts = []
        for name, found in (
            ("runs left out", self.cross_validation),
            (
                "the largest scale from the others",
                {form: checked.largest_scale for form, checked in self.cross_validation.items()},
            ),
        ):
            errors = {form: 100 * checked.error for form, checked in found.items() if checked and checked.error}
            others = [f" ({form}: {error:.2g} %)" for form, error in errors.items() if form != self.form]
            if self.form in errors:
                parts.append(f"{errors[self.form]:.2g} % on {name}{''.join(others)}")
        return ", ".join(parts) or "0 % on runs left out"

    @property
    def checked(self) -> Checked:
        """Cross-validation of the form chosen."""
        return self.cross_validation[self.form]

    def predict(self, tokens_by_domain: Floats) -> Floats:
        """The objective (…), in its units, of training on (…, K) tokens."""
        return _predict(self.fit, self.fit.law, tokens_by_domain)[0]

    def losses(self, tokens_by_domain: Floats) -> Floats:
        """(…, V) losses, nats/token, of training on (…, K) tokens.

        Raises:
            ConfigError: the form is `additive`, which has no losses.
        """
        if self.form == "additive":
            raise ConfigError("joint law: the additive form is of the objective; losses need form=per_domain")
        flat = tokens_by_domain.reshape(-1, tokens_by_domain.shape[-1])
        losses = evaluate(self.fit.form, self.fit.law, flat)[0]
        return losses.reshape(*tokens_by_domain.shape[:-1], -1)

    def solve(self, total_tokens: float, bounds: Bounds) -> Solution:
        """The best mixture for `total_tokens` within bounds, with the prices of the bounds."""
        return _solve(self.fit, self.fit.law, total_tokens, bounds, 0)

    def optimum(self, total_tokens: float, bounds: Bounds) -> tuple[Floats, float]:
        """Weights (K,) of the best mixture for `total_tokens`, and its predicted objective."""
        weights = self.solve(total_tokens, bounds).weights
        return weights, float(self.predict(weights * total_tokens))

    def replicates(self, count: int) -> JointReplicates:
        """B laws of resampled runs; the same for the same seed."""
        return JointReplicates(self.fit, self.fit.resampled(count, np.random.default_rng(self.seed)))

    def under(self, objective: Objective) -> JointFit:
        """The same runs and form under another objective; laws by domain are not fitted again.

        The cross-validation stays that of this objective.
        """
        counted(objective, self.fit.cells.runs)
        if self.form == "additive":
            noise = float(np.sqrt(self.fit.noise.covariance[0, 0]))
            fit = FormFit.of("additive", self.fit.cells, objective, noise)
        else:
            fit = self.fit.under(objective)
        return JointFit(fit, self.cross_validation, self.seed)

    def misfit(self, total_tokens: float, *, differences: bool = False) -> float:
        """Relative standard error of predictions for `total_tokens`, from runs that the law had not seen.

        Within the lengths measured it is the cross-validation's. Beyond them it is also the error with which the
        largest scale was predicted from the others, in proportion to how much further (in logarithms) this one is;
        without two scales nothing measures that.

        Args:
            total_tokens: training tokens.
            differences: of differences between mixtures of one length, which share what a law gets wrong in length.
        """
        error, ahead = self.checked.error, self.checked.largest_scale
        if ahead is None:
            return error
        further = max(0.0, float(np.log(total_tokens / ahead.tokens))) / ahead.reach
        return max(error, further * (ahead.error_of_differences if differences else ahead.error))

    def describe(self) -> JointLaw:
        """The law, its parameters, its noise and its errors, measured against fitted by run."""
        fit = self.fit
        runs = fit.cells.runs
        fitted = _predict(fit, fit.law, fit.cells.tokens)[0]
        floor, parameters = _parameters(fit)
        return JointLaw(
            form=self.form,
            law={
                "additive": "objective = c + sum_k A_k (a_k + n_k)^-b_k",
                "per_domain": "loss_v = floor_v + amplitude_v (sum_k transfer_vk n_k)^-exponent_v, in nats/token",
            }[self.form],
            unit_tokens=dict(zip(runs.domains, fit.form.unit.tolist(), strict=True)),
            parameters=parameters,
            floor=floor,
            noise=self.run_noise,
            cross_validation=self.cross_validation,
            cells=tuple(
                CellEvidence(
                    runs=tuple(runs.runs[row] for row in np.flatnonzero(fit.cells.index == cell)),
                    tokens=dict(zip(runs.domains, fit.cells.tokens[cell].tolist(), strict=True)),
                    measured=float(fit.measured[cell]),
                    fitted=float(fitted[cell]),
                    left_out=self.checked.predicted[cell],
                )
                for cell in range(len(fit.cells))
            ),
        )

    @property
    def run_noise(self) -> Noise:
        """Of one run."""
        return Noise(self.noise, float(self.fit.noise.freedom), self.fit.noise.source)

    @property
    def noise(self) -> float:
        """Standard deviation of one run's objective, relative to it."""
        draws = self.fit.noise.draw(2000, 1, np.random.default_rng(0))[:, 0]
        values = self.fit.aggregate(self.fit.y.mean(axis=0) + draws)
        return float(values.std() / np.abs(values.mean()))


@dataclass(frozen=True, eq=False)
class JointReplicates:
    """B laws of resampled runs."""

    fit: FormFit  # what they are resampled from
    law: Law  # the laws

    def optima(self, total_tokens: float, bounds: Bounds) -> Floats:
        """(B, K) the best mixture under each law."""
        return _solve(self.fit, self.law, total_tokens, bounds).weights

    def predict(self, tokens_by_domain: Floats) -> Floats:
        """(B, …) objective of (…, K) tokens under each law: without what the form itself gets wrong."""
        return _predict(self.fit, self.law, tokens_by_domain)

    def predict_own(self, weights: Floats, total_tokens: float) -> Floats:
        """(B,) objective of each law's own mixture (B, K)."""
        tokens = weights * total_tokens
        # In blocks, as every law is asked of every mixture of its block.
        blocks = [slice(start, start + _BLOCK) for start in range(0, len(tokens), _BLOCK)]
        laws = [Law(*(getattr(self.law, field.name)[block] for field in fields(Law))) for block in blocks]
        own = [np.diagonal(_predict(self.fit, law, tokens[block])) for law, block in zip(laws, blocks, strict=True)]
        return np.concatenate(own)


def _predict(fit: FormFit, law: Law, tokens: Floats) -> Floats:
    flat = np.atleast_2d(tokens.reshape(-1, tokens.shape[-1]))
    return fit.predict(law, flat).reshape(-1, *tokens.shape[:-1])


def _solve(fit: FormFit, law: Law, total: float, bounds: Bounds, *index: int) -> Solution:
    """The best mixtures under (some of) the laws."""
    runs = fit.cells.runs
    if bounds.domains != runs.domains:
        raise ConfigError(f"bounds: expected the domains {', '.join(runs.domains)}, found {', '.join(bounds.domains)}")
    parameters = np.exp(law.theta[index])
    scale = total / fit.form.unit
    if isinstance(fit.form, Additive):
        amplitude, offset, exponent = np.split(parameters[..., 0, :], 3, axis=-1)
        return solve_simplex(PowerSum(amplitude * fit.base, offset, scale, exponent), bounds)
    share, aggregate = counted(fit.objective, runs)
    return solve_transfer(
        TransferLaws(
            law.floor[index], law.amplitude[index], parameters[..., 0], parameters[..., 1:] * scale, share, aggregate
        ),
        bounds,
    )


def _parameters(fit: FormFit) -> tuple[float | None, dict[str, DomainLaw]]:
    """The floor that all domains share, if they do, and the parameters of each by name."""
    theta, runs = np.exp(fit.law.theta[0]), fit.cells.runs
    if isinstance(fit.form, Additive):
        amplitude, offset, exponent = theta[0].reshape(3, -1)
        return float(fit.law.floor[0, 0] * fit.base), {
            domain: DomainLaw(amplitude=size * fit.base, offset=begin, exponent=steepness)
            for domain, size, begin, steepness in zip(
                runs.domains, amplitude.tolist(), offset.tolist(), exponent.tolist(), strict=True
            )
        }
    return None, {
        domain: DomainLaw(
            floor=float(fit.law.floor[0, v]),
            amplitude=float(fit.law.amplitude[0, v]),
            exponent=float(theta[v, 0]),
            transfer=dict(zip(runs.domains, theta[v, 1:].tolist(), strict=True)),
        )
        for v, domain in enumerate(runs.eval_domains)
    }
