"""DDO's answer in words, and the numbers behind its plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats
from mixopt.methods.ddo.evidence import Curve, DdoEvidence, Line, Points
from mixopt.mixture import Mixture, distinct
from mixopt.objective import score_noise

if TYPE_CHECKING:
    from mixopt.methods.base import Estimate
    from mixopt.methods.ddo.analysis import Analysis
    from mixopt.methods.ddo.fit import Preset, Replicates
    from mixopt.solve import Bounds, Supply

# Up to four passes over a text are about as good as fresh text (Muennighoff et al. 2023, section 6).
MANY_EPOCHS = 4.0
_CURVE_POINTS = 60


def warn(
    analysis: Analysis,
    mixture: Mixture,
    bounds: Bounds,
    baselines: Mapping[str, Mixture],
    gains: Mapping[str, Estimate],
    supply: Supply | None,
    preset: Preset,
) -> tuple[str, ...]:
    """Everything that should make a reader careful, a sentence each, the weightiest first."""
    return (
        *warn_of_gains(mixture, baselines, gains),
        *_rising(analysis),
        *_misfit(analysis),
        *warn_of_bounds(
            mixture, bounds, analysis.fitted.solution.bound_multipliers * analysis.base, analysis.objective.units
        ),
        *_extrapolation(analysis, mixture),
        *warn_of_repetition(mixture, supply),
        *_noise(analysis),
        *_unidentified(analysis, preset),
        *_few_points(analysis),
    )


def warn_of_runs(analysis: Analysis) -> tuple[str, ...]:
    """What is to be said of the runs and the laws' fit to them, whatever mixture is made of it."""
    return (*_rising(analysis), *_misfit(analysis), *_noise(analysis), *_few_points(analysis))


def warn_of_gains(mixture: Mixture, baselines: Mapping[str, Mixture], gains: Mapping[str, Estimate]) -> list[str]:
    """Baselines that the recommended mixture may well not beat."""
    known = [name for name in distinct(baselines) if name in gains]
    names = [n for n in known if (gains[n].low or 0.0) <= 0 and baselines[n].distance(mixture) > 1e-6]
    if not names:
        return []
    words = ", ".join(f"{name} ({100 * gains[name].value:+.2g} %)" for name in names)
    return [
        f"no evidence that the recommended mixture beats {words}: the predicted gain is not larger than its error "
        "bar; more seeds, longer runs or more factors would tell"
    ]


def _rising(analysis: Analysis) -> list[str]:
    """Domains whose tokens make something worse."""
    sweep = analysis.sweep
    own = sweep.layout.operator @ sweep.runs.losses  # (C, V)
    worse, hurts = [], []
    for index, domain in enumerate(sweep.design.reference.domains):
        present = analysis.lines.present[index]
        cells, x = analysis.lines.cells[index][present], analysis.lines.x[index][present]
        least, most = cells[x.argmin()], cells[x.argmax()]
        if domain in sweep.runs.eval_domains:
            column = sweep.runs.eval_domains.index(domain)
            if own[most, column] > own[least, column]:
                worse.append(domain)
        rise = analysis.effects[most] - analysis.effects[least]
        if rise > 2 * float(np.hypot(analysis.spread[most], analysis.spread[least])):
            hurts.append(f"{domain} ({100 * rise:+.2g} %)")
    warnings = []
    if worse:
        warnings.append(
            f"the loss on {', '.join(worse)} rises with the domain's own tokens: noise, an unstable learning rate, "
            "or training and validation text of different kinds"
        )
    # Runs that hold the total measure a domain against the others: there some lines rise by construction.
    if hurts and sweep.design.perturb == "add":
        warnings.append(
            f"more tokens of {', '.join(hurts)} make the objective worse; the law cannot rise, so it is fitted flat"
        )
    return warnings


def _misfit(analysis: Analysis) -> list[str]:
    lines = analysis.lines
    curve = analysis.fitted.fit.curve(lines.x.T).T
    off = np.abs(lines.y(analysis.effects) - curve) / lines.sd(analysis.spread)
    bad = [
        f"{domain} (off by {worst:.1f} standard deviations)"
        for domain, worst in zip(analysis.sweep.design.reference.domains, off.max(axis=1), strict=True)
        if worst > 3
    ]
    return [f"the law fits badly for {', '.join(bad)}: its shape of the curve is wrong, or a run is"] if bad else []


def warn_of_bounds(mixture: Mixture, bounds: Bounds, prices: Floats, units: str) -> list[str]:
    """Weights at a bound, with what another 0.01 would cost; `prices` (K,) are per unit of weight."""
    warnings = []
    cost = prices * 0.01
    at_floor, at_cap = bounds.at_floor(mixture.array), bounds.at_cap(mixture.array)
    for index, domain in enumerate(mixture.domains):
        floor, cap = bounds.floors[index], bounds.caps[index]
        if at_floor[index]:
            where = f"at its floor of {floor:.3g}" if floor > 0 else "at 0"
            warnings.append(f"{domain} is {where}: raising it by 0.01 would cost {max(cost[index], 0.0):.2g} {units}")
        elif at_cap[index]:
            warnings.append(
                f"{domain} is at its cap of {cap:.3g}: "
                f"raising it by 0.01 would save {max(-cost[index], 0.0):.2g} {units}"
            )
    return warnings


def _extrapolation(analysis: Analysis, mixture: Mixture) -> list[str]:
    lines = analysis.lines
    amounts = mixture.array / lines.share
    low = np.where(lines.present, lines.x, np.inf).min(axis=1)
    high = np.where(lines.present, lines.x, -np.inf).max(axis=1)
    outside = [
        f"{domain} (x{x:.2g}, tested x{a:.2g} to x{b:.2g})"
        for domain, x, a, b in zip(mixture.domains, amounts, low, high, strict=True)
        if x < a * 0.97 or x > b * 1.03
    ]
    if not outside:
        return []
    return [f"the optimum lies outside the amounts that were tested, where laws extrapolate: {', '.join(outside)}"]


def warn_of_repetition(mixture: Mixture, supply: Supply | None) -> list[str]:
    """Domains that the target repeats more often than is known to help."""
    if supply is None:
        return []
    limit = MANY_EPOCHS if supply.max_epochs is None else min(supply.max_epochs, MANY_EPOCHS)
    many = [f"{d} {e:.1f}" for d, e in supply.epochs(mixture).items() if e > limit * (1 + 1e-9)]
    if not many:
        return []
    return [f"at the target the mixture repeats text more than {limit:g} times (epochs): {', '.join(many)}"]


def _noise(analysis: Analysis) -> list[str]:
    sweep, warnings = analysis.sweep, []
    if not analysis.measured:
        items = ", with that of its tasks' items" if score_noise(analysis.objective, sweep.runs) else ""
        warnings.append(
            f"the noise of a run is assumed ({100 * analysis.noise:.2g} % of the objective{items}), as no run is "
            "repeated; intervals rest on it; --seeds 3 measures it"
        )
    if sweep.missing:
        warnings.append(f"runs are missing, their laws rest on fewer points: {', '.join(sweep.missing)}")
    if sweep.partly:
        warnings.append(f"runs are missing for some seeds: {', '.join(sweep.partly)}")
    return warnings


def _unidentified(analysis: Analysis, preset: Preset) -> list[str]:
    fitted = analysis.fitted
    if not fitted.tied.any():
        return []
    domains = analysis.sweep.design.reference.domains
    names = [domain for domain, tied in zip(domains, fitted.tied, strict=True) if tied]
    words = "every domain" if len(names) == len(domains) else ", ".join(names)
    chosen = "the prior chooses" if preset.prior else "the one of greater exponent is taken"
    return [
        f"the law is not identified for {words}: two laws fit the points alike ({chosen}); the optimum moves by "
        f"{fitted.branch_distance:.3f} (total variation) between them; more --factors would tell"
    ]


def _few_points(analysis: Analysis) -> list[str]:
    lines = analysis.lines
    domains = analysis.sweep.design.reference.domains
    few = [domain for domain, count in zip(domains, lines.present.sum(axis=1), strict=True) if count < 3]
    if not few:
        return []
    return [f"two points only for {', '.join(few)}: the prior alone gives the curve between and beyond them"]


def describe(analysis: Analysis, replicates: Replicates, mixture: Mixture) -> DdoEvidence:
    """What is behind an answer: amounts in multiples of the base's, objectives in their own units."""
    sweep, lines, base = analysis.sweep, analysis.lines, analysis.base
    y, sd = lines.measured(analysis.effects), analysis.spread[lines.cells]
    best = mixture.array / lines.share
    found = sweep.design.match(sweep.runs)
    runs = [tuple(sweep.runs.runs[row] for row in np.flatnonzero(found == cell)) for cell in np.unique(found)]
    domains: dict[str, Line] = {}
    for index, domain in enumerate(mixture.domains):
        on = lines.present[index]
        points = lines.x[index][on]
        x = np.geomspace(
            min(points.min(), max(best[index], 0.05)) / 1.2, max(points.max(), best[index]) * 1.2, _CURVE_POINTS
        )
        law = analysis.fitted.fit.take(index)
        draws = replicates.fit.take(slice(None), slice(index, index + 1)).curve(x)
        ends = np.quantile(draws, [0.025, 0.975], axis=0)
        low, middle, high = (lines.unfold(index, x, curve) for curve in (ends[0], law.curve(x), ends[1]))
        domains[domain] = Line(
            law={"a": float(law.a), "b": float(law.b), "c": float(law.c)},
            points=Points(
                x=tuple(points.tolist()),
                y=tuple((y[index][on] * base).tolist()),
                sd=tuple((sd[index][on] * base).tolist()),
                runs=tuple(runs[cell] for cell in lines.cells[index][on]),
            ),
            curve=Curve.of(x, middle * base, low * base, high * base),
            recommended_x=float(best[index]),
        )
    return DdoEvidence(
        law="objective / base = (x + a)^-b + c, x in multiples of the base run's tokens of the domain",
        balanced=bool((lines.stretch != 1).any()),
        perturb=sweep.design.perturb,
        base_objective=base,
        base_tokens=sweep.design.tokens,
        optimism=replicates.optimism * base,
        domains=domains,
    )
