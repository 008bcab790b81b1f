"""What should make a reader of AutoScale's answer careful, a sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixopt.methods.ddo.advice import warn_of_gains, warn_of_repetition, warn_of_runs
from mixopt.mixture import total_variation
from mixopt.units import format_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixopt.arrays import Bools
    from mixopt.methods.autoscale.extrapolate import Growth
    from mixopt.methods.autoscale.outcome import Outcome
    from mixopt.mixture import Mixture
    from mixopt.solve import Bounds

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
        warnings.append(
            "every domain is held, so the geometric predictor gives the largest scale's optimum unchanged"
        )
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
