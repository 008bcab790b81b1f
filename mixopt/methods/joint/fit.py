"""Laws of all runs with their noise, their resampling and their cross-validation, for either form.

Symbols as in `mixopt.methods.joint.runs` and `mixopt.laws.joint`: T targets of a form, B replicates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mixopt.arrays import Bools, Floats
from mixopt.errors import ConfigError
from mixopt.laws.joint import Additive, Law, PerDomain, evaluate, fit_law
from mixopt.methods.joint.evidence import Checked, LargestScale
from mixopt.methods.joint.runs import Cells, counted, least_cells
from mixopt.objective import Objective, score_noise

FormName = Literal["additive", "per_domain"]
FORMS: tuple[FormName, ...] = ("additive", "per_domain")

# Repeats that happen to agree are no licence for infinite precision.
_LEAST_NOISE = 1e-6
_ROUNDS = 8
_FOLDS = 15


@dataclass(frozen=True, eq=False)
class Noise:
    """Errors of one run."""

    covariance: Floats  # (T, T) between the form's targets
    freedom: float  # degrees of freedom behind it; 0 where it is assumed
    # `repeats`, `residuals` or `assumed`: what set the objective's noise
    source: Literal["repeats", "residuals", "assumed"]

    def draw(self, count: int, runs: int, rng: np.random.Generator) -> Floats:
        """(B, n, T) errors of n runs; an estimated covariance makes them Student's t."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        draws = rng.standard_normal((count, runs, len(values))) @ root.T
        if self.freedom:
            draws *= np.sqrt(self.freedom / rng.chisquare(self.freedom, (count, 1, 1)))
        return draws


@dataclass(frozen=True, eq=False)
class FormFit:
    """One form, fitted."""

    form: Additive | PerDomain  # the form, over C cells
    cells: Cells  # the runs
    objective: Objective  # what is predicted
    base: float  # mean objective of the cells; the additive form's targets are multiples of it
    y: Floats  # (C, T) what was fitted
    measured: Floats  # (C,) the objective of each cell
    law: Law  # the law; one replicate
    noise: Noise  # errors of one run

    @classmethod
    def of(cls, name: FormName, cells: Cells, objective: Objective, assumed: float) -> FormFit:
        """Fit one form; `assumed` is the relative noise of a run where repeats give none."""
        runs, layout = cells.runs, cells.layout
        values = objective.value(runs.losses, runs.eval_domains, runs.domains)
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ConfigError(f"joint law: the objective {objective.name} must be finite and above 0 in every run")
        measured = layout.operator @ values
        base = float(measured.mean())
        form: Additive | PerDomain
        if name == "additive":
            form, observed = Additive.of(cells.tokens), values[:, None] / base
        else:
            form, observed = PerDomain.of(cells.tokens, cells.own), runs.losses
        y = layout.operator @ observed
        # Errors of a loss in nats are relative errors of its perplexity.
        relative = name == "per_domain" and counted(objective, runs)[1] == "sum_exp"
        expected = np.full(form.targets, assumed) if relative else assumed * y.mean(axis=0)
        if name == "additive":
            expected = np.hypot(expected, score_noise(objective, runs) / base)
        elif runs.standard_errors is not None:
            expected = np.hypot(expected, np.sqrt((runs.standard_errors**2).mean(axis=0)))
        law, noise = _fit_with_noise(form, cells, y, observed, expected)
        return cls(form, cells, objective, base, y, measured, law, noise)

    def under(self, objective: Objective) -> FormFit:
        """Laws of losses under another objective."""
        runs = self.cells.runs
        measured = self.cells.layout.operator @ objective.value(runs.losses, runs.eval_domains, runs.domains)
        return replace(self, objective=objective, measured=measured, base=float(measured.mean()))

    @property
    def sd(self) -> Floats:
        """(C, T) standard deviations of the cells' effects."""
        return self.cells.layout.spread[:, None] * np.sqrt(np.diag(self.noise.covariance))

    def aggregate(self, targets: Floats) -> Floats:
        """The objective (…) of targets (…, T)."""
        if isinstance(self.form, Additive):
            return targets[..., 0] * self.base
        runs = self.cells.runs
        return self.objective.value(targets, runs.eval_domains, runs.domains)

    def predict(self, law: Law, tokens: Floats) -> Floats:
        """(B, P) objective of (P, K) tokens."""
        return self.aggregate(evaluate(self.form, law, tokens))

    def left_out(self, groups: Bools) -> Floats:
        """(G, C) the objective of every cell, by laws that have not seen the cells of each of the groups (G, C)."""
        sd = np.where(groups[:, :, None], np.inf, self.sd)
        y = np.broadcast_to(self.y, sd.shape)
        warm = np.broadcast_to(self.law.theta, (len(groups), *self.law.theta.shape[1:]))
        cold = np.broadcast_to(self.form.starts[:, None], (len(self.form.starts), *warm.shape))
        law = fit_law(self.form, y, sd, starts=np.concatenate([warm[None], cold]))
        return self.predict(law, self.cells.tokens)

    def resampled(self, count: int, rng: np.random.Generator) -> Law:
        """Laws of B resampled runs: "randomise, then optimise" (Bardsley et al. 2014).

        Every run gets an error drawn from the noise, and the prior's centre moves by a draw from the prior: without
        that a prior would narrow intervals in place of widening them to what the runs leave open.
        """
        operator = self.cells.layout.operator
        errors = operator @ self.noise.draw(count, operator.shape[1], rng)
        values, vectors = np.linalg.eigh(self.form.prior_covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
        theta = self.law.theta[0]
        shift = (root @ rng.standard_normal((count, *theta.shape, 1)))[..., 0]
        start = np.broadcast_to(theta, (1, count, *theta.shape))
        return fit_law(self.form, self.y + errors, self.sd, shift, start)


def _fit_with_noise(
    form: Additive | PerDomain, cells: Cells, y: Floats, observed: Floats, assumed: Floats
) -> tuple[Law, Noise]:
    """Law and noise in turn. The noise is that of repeats, else what is assumed; the residuals' where greater."""
    layout = cells.layout
    within = layout.residual @ observed
    repeated = layout.freedom > 0
    known = np.sqrt((within**2).sum(axis=0) / layout.freedom) if repeated else assumed
    known = np.maximum(known, _LEAST_NOISE * np.abs(y.mean(axis=0)))
    sd, starts, law = known, form.starts[:, None], None
    own, freedom = known, np.ones(form.targets)
    for _ in range(_ROUNDS):
        law = fit_law(form, y[None], layout.spread[:, None] * sd, starts=starts)
        rest = law.residual[0] / layout.spread[:, None]
        freedom = np.maximum(len(cells) - law.used[0], 1.0)
        own = np.sqrt((law.weight[0] * rest**2).sum(axis=0) / freedom)
        before, sd = sd, np.maximum(known, own)
        if np.abs(np.log(sd / before)).max() < 0.02:
            break
        starts = np.concatenate([law.theta[None], form.starts[:, None]])
    assert law is not None  # there is a round at least
    correlation = _correlation(np.concatenate([law.residual[0] / layout.spread[:, None], within]))
    # Two variances that are estimates of one differ by this much (two standard errors) by chance.
    chance = 2 * np.sqrt(2 / freedom.mean() + 2 / layout.freedom) if repeated else 0.0
    source = "repeats" if repeated else "assumed"
    if ((own / known) ** 2).mean() > 1 + chance:
        source = "residuals"
    degrees = {"repeats": float(layout.freedom), "residuals": float(freedom.min()), "assumed": 0.0}[source]
    return law, Noise(correlation * sd[:, None] * sd, degrees, source)


def _correlation(errors: Floats) -> Floats:
    """(T, T) of errors (…, T) about zero; none for a target without errors."""
    norm = np.sqrt((errors**2).sum(axis=0))
    scaled = errors / np.where(norm > 0, norm, 1.0)
    correlation = scaled.T @ scaled
    np.fill_diagonal(correlation, 1.0)
    return correlation


def cross_validate(fit: FormFit) -> Checked:
    """Predictions of runs that the law has not seen.

    Cells are left out in up to 15 groups (repeats over seeds stay together), and with two scales or more the whole
    of the largest.
    """
    count = len(fit.cells)
    fold = np.random.default_rng(0).permutation(count) % min(count, _FOLDS)
    groups = fold == np.arange(fold.max() + 1)[:, None]
    predicted = fit.left_out(groups)[fold, np.arange(count)]
    largest = None
    held = fit.cells.largest_scale
    if (~held).sum() >= least_cells(fit.cells.tokens.shape[1]) and held.sum() > 2:
        ahead = fit.left_out(held[None])[0, held]
        totals = fit.cells.totals
        # A law that leads below 0 there is off by no end; a thousandfold says as much.
        ratio = np.log(np.maximum(ahead / fit.measured[held], 1e-3))
        largest = LargestScale(
            error=_error(ahead, fit.measured[held]),
            error_of_differences=float(np.sqrt(((ratio - ratio.mean()) ** 2).sum() / (ratio.size - 1))),
            tokens=float(np.median(totals[held])),
            reach=float(np.log(np.median(totals[held]) / np.median(totals[~held]))),
        )
    return Checked(
        error=_error(predicted, fit.measured),
        spearman=_spearman(predicted, fit.measured),
        predicted=tuple(predicted.tolist()),
        largest_scale=largest,
    )


def score(checked: Checked) -> float:
    """What forms are compared by: both errors together, the cross-validation's and the largest scale's."""
    ahead = checked.largest_scale
    return float(np.hypot(checked.error, ahead.error if ahead else 0.0))


def _error(predicted: Floats, measured: Floats) -> float:
    return float(np.sqrt(np.mean((predicted / measured - 1) ** 2)))


def _spearman(predicted: Floats, measured: Floats) -> float | None:
    from scipy.stats import rankdata

    one, other = rankdata(np.round(predicted, 12)), rankdata(np.round(measured, 12))
    moving = np.ptp(one) > 0 and np.ptp(other) > 0
    return float(np.corrcoef(one, other)[0, 1]) if moving else None
