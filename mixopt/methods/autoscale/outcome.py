"""What AutoScale found, as one value, and the evidence that tables, figures and reports show of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Bools, Floats
from mixopt.methods.autoscale.evidence import (
    Advised,
    AutoScaleEvidence,
    GrowthEvidence,
    Path,
    PathLine,
    ScaleOptimum,
    Why,
)
from mixopt.methods.ddo.advice import warn_of_gains, warn_of_repetition, warn_of_runs
from mixopt.methods.intervals import weight_intervals
from mixopt.mixture import Mixture, total_variation
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.methods.autoscale.choice import Choice, HoldOut
    from mixopt.methods.autoscale.extrapolate import Growth
    from mixopt.methods.autoscale.scales import Geometric, Joint, Predictor, Scale
    from mixopt.methods.joint.forecast import Forecast
    from mixopt.solve import Bounds, Supply


# Along the path from the smallest scale to the target.
_PATH_POINTS = 16


@dataclass(frozen=True, eq=False)
class Outcome:
    """Everything behind a recommendation of AutoScale."""

    scales: Sequence[Scale]  # DDO's answers, smallest scale first
    geometric: Geometric  # the predictor on the scales' optima
    joint: Joint  # the predictor on all runs
    target: int  # tokens
    bounds_at: Callable[[float], Bounds]  # floors and caps for a training of so many tokens
    supply: Supply | None  # how much text there is; None if nobody said
    advised: Mapping[str, Mixture]  # the target's optimum by predictor
    drawn: Mapping[str, Floats]  # (B, K) replicates of it by predictor
    choice: Choice  # which predictor advises
    held: HoldOut | None  # the hold-out check; None with two scales
    baselines: Mapping[str, Mixture]  # mixtures to compare with, by name
    forecast: Forecast  # what each mixture is predicted to reach

    @property
    def mixture(self) -> Mixture:
        """The recommended one."""
        return self.advised[self.choice.name]

    @property
    def bounds(self) -> Bounds:
        """At the target."""
        return self.bounds_at(self.target)

    def intervals(self, name: str) -> dict[str, tuple[float, float]]:
        """95 % interval of each weight by a predictor."""
        return weight_intervals(self.advised[name], self.drawn[name])

    def evidence(self) -> AutoScaleEvidence:
        """Weights are shares, losses in the objective's units."""
        domains, choice = self.mixture.domains, self.choice
        return AutoScaleEvidence(
            scales=tuple(self._scale(scale) for scale in self.scales),
            predictors={
                name: Advised(
                    weights=mixture.to_dict(),
                    intervals=self.intervals(name),
                    predicted=self.forecast.predicted.get(name),
                )
                for name, mixture in self.advised.items()
            },
            chosen=choice.name,
            choice=Why(reason=choice.reason, measure=choice.measure, errors=choice.errors),
            path=self._path(),
            holdout=self.held.evidence(domains) if self.held else None,
            geometric=growth_evidence(self.geometric.growth, domains, self.target),
            joint=self.joint.fit.describe(),
        )

    def _scale(self, scale: Scale) -> ScaleOptimum:
        domains, analysis = self.mixture.domains, scale.analysis
        best, pinned = Mixture(domains, tuple(scale.weights.tolist())), scale.pinned(scale.weights)
        return ScaleOptimum(
            tokens=scale.tokens,
            weights=best.to_dict(),
            intervals=weight_intervals(best, scale.replicates.weights),
            pinned=tuple(domain for domain, at in zip(domains, pinned, strict=True) if at),
            predicted=scale.value(scale.weights),
            base_objective=analysis.base,
            noise=analysis.run_noise,
            runs=tuple(scale.runs),
        )

    def _path(self) -> Path:
        predictor: Predictor = self.joint if self.choice.name == "joint" else self.geometric
        totals = path_totals([scale.tokens for scale in self.scales], self.target)
        bounds = [self.bounds_at(total) for total in totals]
        weights = np.stack([predictor.at(total, b) for total, b in zip(totals, bounds, strict=True)])
        ends = [
            np.quantile(predictor.drawn(total, b), [0.025, 0.975], axis=0)
            for total, b in zip(totals, bounds, strict=True)
        ]
        return path_of(self.mixture.domains, totals, weights, np.stack(ends, axis=1))


def path_totals(scales: Sequence[int], target: int) -> list[float]:
    """Tokens from the smallest of scales and target to the greatest, evenly in logarithms.

    It begins a millionth above the smallest scale: there the law's lines do, at it stands the scale's own optimum.
    """
    ends = [float(total) for total in (*scales, target)]
    low = min(ends) * (1 + 1e-6)
    return sorted({low, *np.geomspace(low, max(ends), _PATH_POINTS)[1:-1].tolist(), *(e for e in ends if e > low)})


def path_of(domains: Sequence[str], totals: Sequence[float], weights: Floats, ends: Floats | None) -> Path:
    """(P, K) weights along P totals, with (2, P, K) ends of their intervals."""
    low = None if ends is None else np.minimum(ends[0], weights)
    high = None if ends is None else np.maximum(ends[1], weights)

    def column(array: Floats, index: int) -> tuple[float, ...]:
        return tuple(array[:, index].tolist())

    lines = {
        domain: PathLine(
            weights=column(weights, index),
            low=None if low is None else column(low, index),
            high=None if high is None else column(high, index),
        )
        for index, domain in enumerate(domains)
    }
    return Path(tokens=tuple(totals), domains=lines)


def growth_evidence(growth: Growth, domains: Sequence[str], target: int) -> GrowthEvidence:
    """The geometric law in numbers: steps to the target, growth a step, residuals of log amounts by scale.

    An optimum that no line goes through has a residual of 0, and does not count in their root mean square.
    """
    steps = float(growth.steps(target))
    residuals = growth.residuals
    fitted = residuals[growth.used]
    return GrowthEvidence(
        law="tokens(t) = exp(level + rate * t), t = 0 at the largest scale, a step the mean distance of scales",
        steps=steps if np.isfinite(steps) else None,
        factors=dict(zip(domains, np.exp(growth.rate).tolist(), strict=True)),
        held=tuple(domain for domain, held in zip(domains, growth.held, strict=True) if held),
        residuals=tuple(dict(zip(domains, row.tolist(), strict=True)) for row in residuals),
        residual_rms=float(np.sqrt(np.mean(fitted**2))) if fitted.size else 0.0,
    )


# Measured on AutoScale's published optima: 5 % of noise in the inputs moves the weights by a total variation of
# .039 at 4 times the largest scale, .050 at 8 times, .085 at 80 times.
FAR = 8.0
# Standard deviations beyond which a scale is off the line of the others.
_OFF = 3.0


def warn(found: Outcome) -> tuple[str, ...]:
    """All of them, the weightiest first."""
    growth = found.geometric.growth
    pinned = np.stack([scale.pinned(scale.weights) for scale in found.scales])
    return (
        *_gains(found),
        *_disagreement(found),
        *warn_of_target(growth, found.target),
        *_far(found),
        *warn_of_growth(growth, found.mixture.domains, pinned),
        *_residuals(found),
        *warn_of_target_bounds(found.mixture, found.bounds),
        *warn_of_repetition(found.mixture, found.supply),
        *_runs(found),
    )


def _gains(found: Outcome) -> list[str]:
    forecast = found.forecast
    if forecast.impossible is None:
        return warn_of_gains(found.mixture, found.baselines, forecast.gains)
    units = found.scales[0].analysis.objective.units
    return [
        f"the joint law leads to {forecast.impossible:.3g} {units} at the target, which cannot be, so nothing is "
        "predicted of losses: the runs are too short or too noisy for so far a target; larger --scales or more "
        "--seeds would tell"
    ]


def _disagreement(found: Outcome) -> list[str]:
    one, other = found.intervals("geometric"), found.intervals("joint")
    apart = [d for d in one if one[d][1] < other[d][0] or other[d][1] < one[d][0]]
    if not apart:
        return []
    between = total_variation(found.advised["geometric"].array, found.advised["joint"].array)
    words = ", ".join(
        f"{d} ({found.advised['geometric'].to_dict()[d]:.3f} and {found.advised['joint'].to_dict()[d]:.3f})"
        for d in apart
    )
    return [
        f"the geometric and the joint predictor disagree by more than their intervals on {words}; the mixtures are "
        f"{between:.3f} apart (total variation): at least one law is wrong; train both at a scale that you can "
        "afford"
    ]


def warn_of_target(growth: Growth, target: int) -> list[str]:
    """What is said of a target that lies at, between or below the scales."""
    smallest, largest = format_count(growth.totals[0]), format_count(growth.totals[-1])
    asked = format_count(target)
    if target <= growth.totals[0]:
        return [
            f"the target ({asked}) is not above the smallest scale ({smallest}): the geometric predictor gives "
            "that scale's own optimum, there is nothing to extrapolate"
        ]
    if target <= growth.totals[-1]:
        return [
            f"the target ({asked}) is not above the largest scale ({largest}): weights are interpolated between "
            "the scales; DDO at the target itself costs no more than its largest scale did"
        ]
    return []


def _far(found: Outcome) -> list[str]:
    ratio = found.target / found.scales[-1].tokens
    if ratio <= FAR:
        return []
    name = found.choice.name
    there = float(total_variation(found.drawn[name], found.mixture.array).mean())
    here = float(total_variation(found.scales[-1].replicates.weights, found.scales[-1].weights).mean())
    return [
        f"the target is {ratio:.3g} times the largest scale: the noise of the runs moves the mixture by "
        f"{there:.3f} there (total variation; {here:.3f} at {found.scales[-1].name}), and no interval holds the "
        "law's own error"
    ]


def warn_of_growth(growth: Growth, domains: Sequence[str], pinned: Bools) -> list[str]:
    """Domains that the geometric law cannot carry on: pinned (S, K), absent, shrinking."""
    names = [format_count(total) for total in growth.totals]
    out = pinned | (growth.weights <= 0)
    held, partly, shrinking = [], [], []
    for index, domain in enumerate(domains):
        where = ", ".join(name for name, here in zip(names, out[:, index], strict=True) if here)
        last = growth.weights[-1, index]
        if growth.held[index]:
            kind = "0" if growth.weights[:, index].max() <= 0 or last <= 0 else "at a bound"
            held.append(f"{domain} ({kind} at {where}; held at {last:.3f})")
        elif where:
            partly.append(f"{domain} ({where})")
        if growth.rate[index] < 0:
            shrinking.append(f"{domain} (x{np.exp(growth.rate[index]):.2f} a step)")
    warnings = []
    if held:
        warnings.append(
            "the geometric predictor cannot carry on domains whose optimum is at a bound or 0, which has no growth "
            f"of its own; they keep the share that they have at the largest scale: {', '.join(held)}"
        )
    if partly:
        warnings.append(f"optima at a bound are left out of the geometric law's lines: {', '.join(partly)}")
    if shrinking:
        warnings.append(
            f"the optimal tokens shrink from scale to scale for {', '.join(shrinking)}, which the geometric law's "
            "theorem rules out: noise, or the law does not hold"
        )
    if growth.held.all():
        warnings.append("every domain is held, so the geometric predictor gives the largest scale's optimum unchanged")
    return warnings


def _residuals(found: Outcome) -> list[str]:
    """Scales that lie off the lines by more than their noise."""
    if len(found.scales) < 3:
        return []
    growth, domains = found.geometric.growth, found.mixture.domains
    off = []
    for scale, row in zip(found.scales, growth.residuals, strict=True):
        noise = np.log(np.maximum(scale.replicates.weights, 1e-12)).std(axis=0)
        for domain, value, sd in zip(domains, row, noise, strict=True):
            if abs(value) > _OFF * max(float(sd), 1e-3):
                off.append(f"{domain} at {scale.name} ({100 * np.expm1(value):+.0f} %)")
    if not off:
        return []
    return [f"the scales' optima do not lie on the geometric law's lines within their noise: {', '.join(off)}"]


def warn_of_target_bounds(mixture: Mixture, bounds: Bounds) -> list[str]:
    """Weights that are at a bound at the target; Theorem 1 has no prices to tell with them."""
    floors = [
        f"{d} ({floor:.3f})"
        for d, at, floor in zip(mixture.domains, bounds.at_floor(mixture.array), bounds.floors, strict=True)
        if at and floor > 0
    ]
    caps = [
        f"{d} ({cap:.3f})"
        for d, at, cap in zip(mixture.domains, bounds.at_cap(mixture.array), bounds.caps, strict=True)
        if at and cap < 1
    ]
    warnings = []
    if caps:
        warnings.append(
            f"at the target there is too little text for the best weights of {', '.join(caps)}: each is at its cap "
            "on epochs, and the others share the rest; --max-epochs sets the cap"
        )
    if floors:
        warnings.append(f"at the target these are at their floor: {', '.join(floors)}; --floor sets it")
    return warnings


def _runs(found: Outcome) -> list[str]:
    """What DDO has to say of the runs at each scale; the same sentence once."""
    scales: dict[str, list[str]] = {}
    for scale in found.scales:
        for sentence in warn_of_runs(scale.analysis):
            scales.setdefault(sentence, []).append(scale.name)
    return [f"at {' and '.join(names)}: {sentence}" for sentence, names in scales.items()]
