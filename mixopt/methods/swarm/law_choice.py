"""How laws predict mixtures that they were not fitted to, and which of them to believe.

Symbols: C mixtures, V losses, G folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Bools, Floats
from mixopt.errors import ConfigError
from mixopt.methods.swarm.evidence import LawScore

if TYPE_CHECKING:
    from mixopt.methods.swarm.regressors.base import Regressor
    from mixopt.methods.swarm.runs import Swarm
    from mixopt.objective import Objective


_FOLDS = 10


def folds_of(mixtures: int) -> Bools:
    """(G, C) which mixtures each fold leaves out: every one once, in ten folds, or alone where there are fewer."""
    size = min(mixtures, _FOLDS)
    fold_of = np.empty(mixtures, dtype=np.int64)
    fold_of[np.random.default_rng(0).permutation(mixtures)] = np.arange(mixtures) % size
    return fold_of == np.arange(size)[:, None]


def spearman(one: Floats, other: Floats) -> float | None:
    """Rank correlation; None where either is constant."""
    from scipy.stats import rankdata

    ranks = rankdata(one), rankdata(other)
    if len(one) < 3 or min(np.ptp(rank) for rank in ranks) == 0:
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def rms(errors: Floats) -> float:
    """Root mean square."""
    return float(np.sqrt((errors**2).mean()))


@dataclass(frozen=True)
class Score:
    """Predictions of mixtures left out, against what was measured."""

    rmse: float  # root mean square error, in the units of what is predicted
    relative: float  # the same, of the measured values' mean
    mean_rmse: float  # root mean square error of predicting the mean of the mixtures that a fold keeps
    spearman: float | None  # rank correlation of predicted and measured; None where one of them is constant
    doubt: float  # standard error of mean_rmse² − rmse², from the mixtures' paired differences

    @classmethod
    def of(cls, predicted: Floats, measured: Floats, folds: Bools) -> Score:
        """Compare (C,) predictions, each by a fit that has not seen its fold of (G, C), with (C,) measurements."""
        means = np.array([measured[~fold].mean() for fold in folds])[folds.argmax(axis=0)]
        gains = (means - measured) ** 2 - (predicted - measured) ** 2
        return cls(
            rmse=rms(predicted - measured),
            relative=rms(predicted - measured) / max(float(np.abs(measured.mean())), 1e-300),
            mean_rmse=rms(means - measured),
            spearman=spearman(predicted, measured),
            doubt=float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else np.inf,
        )

    @property
    def better_than_mean(self) -> bool:
        """Whether it says anything: better than the mean by more than a standard error, and ranked the right way.

        Of runs that are nothing but noise, one swarm in twenty passes; without the standard error it is one in five
        (Gaussian process, 12 to 32 mixtures of 4 to 7 domains).
        """
        return self.mean_rmse**2 - self.rmse**2 > self.doubt and (self.spearman or 0.0) > 0

    def evidence(self) -> LawScore:
        """As it is told."""
        return LawScore(rmse=self.rmse, relative=self.relative, mean_rmse=self.mean_rmse, spearman=self.spearman)


# Parts of the swarm that the learning curve's laws are fitted to, and how often each size is drawn.
_SHARES, _DRAWS = (0.25, 0.5, 0.75), 4
# An error that a doubling of the runs would lower by less is as good as it gets.
_HARDLY = 0.1
# A costly law is dropped after so many folds if its mean |error| is so many standard errors above the best law's.
_TRIAL, _BEHIND = 3, 2.0
# Sizes nearer than this say little of a slope.
_APART = 1.4


@dataclass(frozen=True, eq=False)
class Checked:
    """One law on mixtures that it has not seen."""

    title: str  # of the law
    left_out: Floats  # (C,) objectives predicted by fits without the mixture
    objective: Score  # how good those are
    losses: dict[str, Score]  # how good the predicted losses are that they were computed from, by evaluation domain

    @property
    def rmse(self) -> float:
        """Root mean square error of the objective, in its units."""
        return self.objective.rmse

    @property
    def spearman(self) -> float | None:
        """Rank correlation of predicted and measured objectives; None where one of them is constant."""
        return self.objective.spearman


@dataclass(frozen=True, eq=False)
class LawChoice:
    """What cross-validation says of the laws that were tried."""

    regressor: Regressor  # the chosen one
    chosen: Checked  # what it was seen to do
    tried: dict[str, Checked | str]  # all of them by name; a reason in words where one could not be fitted
    # learning curve of the chosen one: mixtures fitted to, and root mean square error on the others
    curve: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, swarm: Swarm, regressors: Sequence[Regressor], objective: Objective) -> LawChoice:
        """Cross-validate each law and choose one.

        It is the first, simplest first, whose squared error is within a standard error of the least ("one standard
        error rule", Breiman et al. 1984; here of the difference, paired by mixture).

        Raises:
            ConfigError: the objective is the same for every mixture, or no law predicts better than the mean.
        """
        values = swarm.objective(objective)
        folds = folds_of(len(swarm))
        tried: dict[str, Checked | str] = {}
        good: list[tuple[Regressor, Checked]] = []
        for regressor in regressors:
            ahead = min((found for _, found in good), key=lambda found: found.rmse, default=None)
            try:
                found = _check(swarm, regressor, objective, values, folds, ahead)
            except ConfigError as error:  # too few runs for this one
                found = str(error)
            tried[regressor.name] = found
            if isinstance(found, Checked) and found.objective.better_than_mean:
                good.append((regressor, found))
        if not good:
            raise ConfigError(_refusal(tried, objective, len(swarm)))
        least = min((found for _, found in good), key=lambda found: found.rmse)
        best = next(pair for pair in good if _no_more((pair[1].left_out - values) ** 2, (least.left_out - values) ** 2))
        return cls(*best, tried, _learning_curve(swarm, best[0], objective, values, best[1].rmse))

    @property
    def chosen_from(self) -> str:
        """How it was chosen, in words to follow its name; nothing where there was no choice."""
        return f", chosen of {len(self.tried)} laws by cross-validation" if len(self.tried) > 1 else ""

    @property
    def more_runs(self) -> str | None:
        """What the learning curve says of more runs; None where it is too short to say anything."""
        most, now = self.curve[-1]
        fewer = [point for point in self.curve if point[0] * _APART <= most]
        if not fewer:
            return None
        some, before = fewer[-1]
        # The error's power law between the two sizes, carried on by one doubling.
        slope = float(np.log(max(before, 1e-300) / max(now, 1e-300)) / np.log(most / some))
        gain = 1 - 2 ** -max(slope, 0.0)
        if gain < _HARDLY:
            return (
                f"more runs would hardly help this law: its error on mixtures left out fell from {before:.2g} to "
                f"{now:.2g} between {some} and {most}"
            )
        return (
            f"twice as many runs would lower the law's error on mixtures left out ({now:.2g}) by about "
            f"{100 * gain:.0f} %, as it fell from {before:.2g} between {some} and {most}"
        )


def _check(
    swarm: Swarm, regressor: Regressor, objective: Objective, values: Floats, folds: Bools, ahead: Checked | None
) -> Checked | str:
    """A law on every mixture, left out; why not, where a costly one is far behind the best so far."""
    domains = swarm.history.eval_domains
    trial = _TRIAL if regressor.costly and ahead is not None else len(folds)
    predicted = regressor.left_out(swarm.weights, swarm.losses, folds[:trial], seed=0)
    if ahead is not None and trial < len(folds):
        held = folds[:trial].any(axis=0)
        losses = predicted[folds[:trial].argmax(axis=0), np.arange(len(swarm))][held]
        own, best = objective.value(losses, domains, swarm.trained) - values[held], (ahead.left_out - values)[held]
        # Magnitudes: a trial's few squares have tails so heavy that their standard error hides a tenfold error.
        if not _no_more(np.abs(own), np.abs(best), _BEHIND):
            return (
                f"{regressor.name}: dropped after {trial} of {len(folds)} folds, where its error is {rms(own):.2g} "
                f"and that of the {ahead.title} {rms(best):.2g}"
            )
        rest = regressor.left_out(swarm.weights, swarm.losses, folds[trial:], seed=0)
        predicted = np.concatenate([predicted, rest])
    losses = predicted[folds.argmax(axis=0), np.arange(len(swarm))]
    left_out = objective.value(losses, domains, swarm.trained)
    by_loss = {d: Score.of(losses[:, v], swarm.losses[:, v], folds) for v, d in enumerate(domains)}
    return Checked(regressor.title, left_out, Score.of(left_out, values, folds), by_loss)


def _no_more(one: Floats, best: Floats, errors: float = 1.0) -> bool:
    """Whether the mean of (C,) is at most so many standard errors of the paired difference above the best's."""
    more = one - best
    return bool(more.mean() <= errors * more.std(ddof=1) / np.sqrt(len(more)))


def _learning_curve(
    swarm: Swarm, regressor: Regressor, objective: Objective, values: Floats, rmse: float
) -> tuple[tuple[int, float], ...]:
    """Mixtures fitted to and error on the others, for random parts of the swarm; the last is the folds'."""
    count, rng = len(swarm), np.random.default_rng(0)
    curve = []
    for share in _SHARES:
        size = round(share * count)
        if size < regressor.least_runs(swarm.weights.shape[1]) + 1:
            continue
        held = np.ones((_DRAWS, count), dtype=np.bool_)
        for row in held:
            row[rng.permutation(count)[:size]] = False
        predicted = regressor.left_out(swarm.weights, swarm.losses, held, seed=0)
        errors = objective.value(predicted, swarm.history.eval_domains, swarm.trained) - values
        curve.append((size, rms(errors[held])))
    return (*curve, (int((~folds_of(count)).sum(axis=1).min()), rmse))


def _refusal(tried: dict[str, Checked | str], objective: Objective, mixtures: int) -> str:
    """Why nothing is recommended."""
    checked = {name: part for name, part in tried.items() if isinstance(part, Checked)}
    if not checked:
        return next(part for part in tried.values() if isinstance(part, str))
    name, best = min(checked.items(), key=lambda item: item[1].rmse)
    rank = "constant" if best.spearman is None else f"Spearman {best.spearman:.2f}"
    who = name if len(tried) == 1 else f"none of {len(tried)} laws; the nearest is {name}"
    score = best.objective
    return (
        f"no law of {objective.name} predicts mixtures left out better than their mean does ({who}: error "
        f"{score.rmse:.3g} against {score.mean_rmse:.3g}, {rank}), so nothing is recommended from {mixtures} "
        "mixtures: train more or longer runs, or more seeds"
    )
