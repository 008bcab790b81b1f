"""Which of AutoScale's predictors to trust: what each says of runs that it has not seen.

With three scales or more the largest is held out, and its optimum is predicted from the others. With two, each
predictor's laws are asked for runs that were left out of their fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Bools, Floats
from mixopt.laws.power import Prior, fit_power
from mixopt.methods.autoscale.evidence import GuessEvidence, HoldOutEvidence
from mixopt.methods.autoscale.extrapolate import Growth
from mixopt.methods.autoscale.scales import Geometric, Scale
from mixopt.methods.joint.law_of_runs import JointFit
from mixopt.mixture import total_variation
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.methods.ddo.searcher import DdoSettings


@dataclass(frozen=True, eq=False)
class Guess:
    """A mixture that was predicted for the scale held out."""

    weights: Floats  # (K,)
    distance: float  # total variation to the optimum that was found there
    value: float | None = None  # predicted objective there, by that scale's own laws; None without runs
    excess: float | None = None  # by how much `value` is above that of the optimum, relative; None without runs


@dataclass(frozen=True, eq=False)
class HoldOut:
    """The largest scale predicted from the others."""

    tokens: int  # of the scale held out
    source: tuple[int, ...]  # tokens of the others
    optimum: Floats  # (K,) what was found there
    value: float | None  # its predicted objective; None without runs
    # mean total variation of the optimum's replicates to it: a guess that is nearer is as good as can be told; None
    # without runs
    spread: float | None
    guesses: dict[str, Guess]  # by name: `geometric`, `joint`, `nearest scale`, `average`

    def evidence(self, domains: Sequence[str]) -> HoldOutEvidence:
        """By domain."""
        return HoldOutEvidence(
            tokens=self.tokens,
            source=self.source,
            optimum=dict(zip(domains, self.optimum.tolist(), strict=True)),
            predicted=self.value,
            spread=self.spread,
            guesses={
                name: GuessEvidence(
                    weights=dict(zip(domains, guess.weights.tolist(), strict=True)),
                    distance=guess.distance,
                    predicted=guess.value,
                    excess=guess.excess,
                )
                for name, guess in self.guesses.items()
            },
        )


def without_runs(totals: Sequence[int], optima: Floats, pinned: Bools) -> HoldOut:
    """The check on (S, K) optima alone: distances, no losses."""
    growth = Growth.fit(np.array(totals[:-1], dtype=np.float64), optima[:-1], pinned[:-1])
    found = {"geometric": growth.at(totals[-1]), **_simple(optima[:-1])}
    guesses = {name: Guess(w, float(total_variation(w, optima[-1]))) for name, w in found.items()}
    return HoldOut(totals[-1], tuple(totals[:-1]), optima[-1], None, None, guesses)


def hold_out(scales: Sequence[Scale], history: History, settings: DdoSettings) -> HoldOut:
    """Predict the largest scale's optimum from the others, and measure both with that scale's own laws."""
    *rest, last = scales
    names = {name for scale in rest for name in scale.runs} - set(last.runs)
    runs = history.select(np.array([name in names for name in history.runs]))
    joint = JointFit.of(runs, settings.objective, noise=settings.noise)
    found = {
        "geometric": Geometric(rest).at(last.tokens, last.bounds),
        "joint": joint.optimum(last.tokens, last.bounds)[0],
        **_simple(np.stack([scale.weights for scale in rest])),
    }
    best = last.value(last.weights)
    guesses = {}
    for name, weights in found.items():
        value = last.value(weights)
        guesses[name] = Guess(weights, float(total_variation(weights, last.weights)), value, value / best - 1)
    spread = float(total_variation(last.replicates.weights, last.weights).mean())
    return HoldOut(last.tokens, tuple(scale.tokens for scale in rest), last.weights, best, spread, guesses)


def _simple(optima: Floats) -> dict[str, Floats]:
    """What needs no prediction: the nearest scale's optimum, and the mean of the nearest two."""
    return {"nearest scale": optima[-1], "average": optima[-2:].mean(axis=0)}


def cross_validate(scales: Sequence[Scale]) -> float:
    """Root mean square of what DDO's laws miss of a run that was left out of their fit, relative to its objective.

    Each cell but the base is left out in turn and predicted from the rest of its line. A law without a prior is not
    determined by what is left: the default prior steps in.
    """
    off = []
    for scale in scales:
        lines, effects = scale.analysis.lines, scale.analysis.effects
        x, y, sd = lines.x, lines.y(effects), lines.sd(scale.analysis.spread)
        rows, points = np.nonzero(lines.present[:, 1:])
        points = points + 1
        left = sd[rows].copy()
        left[np.arange(rows.size), points] = np.inf
        fit = fit_power(x[rows], y[rows], left, Prior())
        missed = fit.curve(x[rows, points]) - y[rows, points]
        off.append(missed / lines.stretch[rows] / lines.measured(effects)[rows, points])
    return float(np.sqrt(np.mean(np.concatenate(off) ** 2)))


@dataclass(frozen=True)
class Choice:
    """The predictor that advises."""

    name: str  # `geometric` or `joint`
    reason: str  # why, for a reader
    measure: str  # what `errors` are
    errors: dict[str, float]  # of each predictor, relative

    @classmethod
    def of(cls, asked: str, held: HoldOut | None, errors: Mapping[str, float]) -> Choice:
        """`asked`, or with `auto` the predictor of the smaller error.

        With three scales or more that is the excess loss of its mixture at the scale held out; else the error of
        `errors` in cross-validation. The joint law is taken where neither is smaller: it uses every run.
        """
        measure = "cross-validation error of the laws"
        if held is not None:
            guesses = held.guesses
            errors = {name: guesses[name].excess or 0.0 for name in ("geometric", "joint")}
            measure = f"excess loss at {format_count(held.tokens)}, held out"
        words = " and ".join(f"{100 * error:.2g} % ({name})" for name, error in errors.items())
        if asked != "auto":
            return cls(asked, f"asked for; {measure}: {words}", measure, dict(errors))
        name = "joint" if errors["joint"] <= errors["geometric"] else "geometric"
        return cls(name, f"chosen by its {measure}: {words}", measure, dict(errors))
