"""What AutoScale found out: an optimum at each scale, and how they go on to the target by either predictor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from mixopt.display.colours import Look, looks_in_order
from mixopt.display.figure import Axis, Figure, Line, Panel, Points, Rule
from mixopt.display.table import NOTHING, Cell, Column, Table, interval, named, number, percent, runs_cell, table, word
from mixopt.methods.base import Estimate, Evidence, Noise, Recommendation, record
from mixopt.methods.joint.evidence import JointLaw
from mixopt.units import format_count


@record
class ScaleOptimum:
    """DDO's answer at a scale; of an optimum found elsewhere, only tokens, weights and pinned domains are known."""

    tokens: int  # of the base run
    weights: dict[str, float]  # the optimum
    intervals: dict[str, tuple[float, float]]  # 95 %, by domain
    pinned: tuple[str, ...]  # domains at a bound
    predicted: float | None = None  # objective of the optimum, by the scale's own laws
    base_objective: float | None = None  # of the base run
    noise: Noise | None = None  # of a run
    runs: tuple[str, ...] = ()  # ids


@record
class Advised:
    """The target's mixture by one predictor."""

    weights: dict[str, float]  # by domain
    intervals: dict[str, tuple[float, float]]  # 95 %, by domain
    predicted: Estimate | None  # its objective; None where no law predicts one


@record
class Why:
    """Why a predictor advises."""

    reason: str  # for a reader
    measure: str  # what `errors` are
    errors: dict[str, float]  # of each predictor, relative


@record
class PathLine:
    """A domain's weight along the path from the smallest scale to the target."""

    weights: tuple[float, ...]  # (P,)
    low: tuple[float, ...] | None = None  # (P,) lower ends of 95 % intervals; None where there are none
    high: tuple[float, ...] | None = None  # (P,) upper ends


@record
class Path:
    """The advising predictor's mixtures along the way."""

    tokens: tuple[float, ...]  # (P,)
    domains: dict[str, PathLine]  # by name


@record
class GuessEvidence:
    """A mixture predicted for the scale held out."""

    weights: dict[str, float]  # by domain
    distance: float  # total variation to the optimum found there
    predicted: float | None  # its objective by that scale's own laws; None without runs
    excess: float | None  # by how much that is above the optimum's, relative; None without runs


@record
class HoldOutEvidence:
    """The largest scale predicted from the others."""

    tokens: int  # of that scale
    source: tuple[int, ...]  # tokens of the others
    optimum: dict[str, float]  # found there
    predicted: float | None  # its objective; None without runs
    spread: float | None  # mean total variation of its replicates; None without runs
    guesses: dict[str, GuessEvidence]  # by name


@record
class GrowthEvidence:
    """The geometric law."""

    law: str  # in words
    steps: float | None  # from the largest scale to the target; None where nothing grows
    factors: dict[str, float]  # growth of each domain's tokens a step
    held: tuple[str, ...]  # domains that keep the largest scale's share
    residuals: tuple[dict[str, float], ...]  # of log tokens, by scale and domain
    residual_rms: float  # of those that lines go through


@record
class AutoScaleEvidence(Evidence):
    """Behind AutoScale's answer."""

    kind: Literal["autoscale"] = "autoscale"
    scales: tuple[ScaleOptimum, ...]  # smallest first
    predictors: dict[str, Advised]  # by name: `geometric`, and `joint` where there are runs
    chosen: str  # the one that advises
    choice: Why | None  # why; None of optima that were found elsewhere
    path: Path  # of the one that advises
    holdout: HoldOutEvidence | None  # None with two scales
    geometric: GrowthEvidence  # the law of the optima
    joint: JointLaw | None  # the law of all runs; None without runs


# With more domains bands cover each other; a bar at the target is left.
_MOST_BANDS = 8


def scaling_figure(answer: Recommendation, found: AutoScaleEvidence) -> Figure:
    """Two panels against total tokens: each domain's optimal tokens (log-log) and its weight.

    Lines are the chosen predictor's with their 95 % intervals, points DDO's own optima at the scales with theirs;
    the target is marked. A domain that the predictor holds at the largest scale's share has a line from there on.
    """
    path = found.path.domains
    order = sorted(path, key=lambda name: -answer.mixture.to_dict()[name])
    few = len(order) <= _MOST_BANDS
    sure = f" with 95 % intervals{'' if few else ' at the target'}" if all(line.low for line in path.values()) else ""
    words = f"lines: {found.chosen} predictor{sure}; points: the optimum found at each scale"
    return Figure(
        name="scaling",
        title="Tokens and weights by domain against scale",
        headline=f"{answer.method}\n{words}",
        panels=[_panel(answer, found, order, tokens=tokens) for tokens in (True, False)],
        note=f"{words[0].upper()}{words[1:]}, with its interval. Dashed: the target. A click in the legend hides a "
        "domain.",
        size=(5.75, 4.6),
        legend="ends",
        wide=True,
    )


def _panel(answer: Recommendation, found: AutoScaleEvidence, order: Sequence[str], *, tokens: bool) -> Panel:
    totals, path, scales = np.array(found.path.tokens), found.path.domains, found.scales
    looks = looks_in_order(answer.mixture.domains)
    held = found.geometric.held if found.chosen == "geometric" else ()
    largest = max(scale.tokens for scale in scales)
    units = totals if tokens else np.ones_like(totals)
    say = "{y:.3s} tokens of it at {x:.3s}" if tokens else "weight {y:.4f} at {x:.3s} tokens"
    marks: list[Any] = [
        Rule(x=answer.tokens, look=Look("muted", "dash"), label=f"target {format_count(answer.tokens)}")
    ]
    for index, name in enumerate(order):
        weights, low, high = (np.array(part) for part in (path[name].weights, path[name].low, path[name].high))
        shown = totals >= (largest if name in held and totals[-1] > largest else 0)
        ends = {}
        if path[name].low and len(order) <= _MOST_BANDS:
            ends = {key: (end * units)[shown].tolist() for key, end in (("low", low), ("high", high))}
        marks.append(
            Line(name=name, look=looks[name], x=totals[shown].tolist(), y=(weights * units)[shown].tolist(),
                 say=say, **ends)
        )  # fmt: skip
        if path[name].low and not ends:
            # Side by side before the target, over a seventh of the axis.
            at = totals[-1] * (totals[0] / totals[-1]) ** (index / len(order) / 7)
            low, middle, high = ([float(end[-1] * units[-1])] for end in (low, weights, high))
            marks.append(Points(look=looks[name], x=[at], y=middle, low=low, high=high, about=name, say=say, size=0))
        # A little apart, so that their intervals do not hide each other.
        spread = 1.012 ** (2 * index / max(1, len(order) - 1) - 1)
        marks.append(_optima(scales, name, looks[name], spread, say, tokens=tokens))
    y = Axis(label="optimal tokens of each domain", scale="log", counts=True, limits=_amounts(totals, path, scales))
    if not tokens:
        y = Axis(label="optimal share of each domain", limits=(0.0, _highest(path, scales)))
    limits = (float(totals[0]) / 1.15, float(totals[-1]) * 1.06)
    return Panel(
        marks=marks,
        title="Tokens" if tokens else "Weights",
        x=Axis(label="training tokens", scale="log", counts=True, limits=limits),
        y=y,
    )


def _optima(scales: Sequence[ScaleOptimum], name: str, look: Look, spread: float, say: str, *, tokens: bool) -> Points:
    """DDO's optimum of a domain at each scale."""
    units = [scale.tokens if tokens else 1.0 for scale in scales]
    ends: dict[str, Any] = {}
    if all(scale.intervals for scale in scales):
        for index, key in enumerate(("low", "high")):
            ends[key] = [scale.intervals[name][index] * u for scale, u in zip(scales, units, strict=True)]
    return Points(
        look=look, x=[scale.tokens * spread for scale in scales], about=name, say=say, **ends,
        y=[scale.weights[name] * unit for scale, unit in zip(scales, units, strict=True)],
    )  # fmt: skip


def _amounts(totals: Any, path: Mapping[str, PathLine], scales: Sequence[ScaleOptimum]) -> tuple[float, float]:
    """What lines and points span; intervals must not flatten them."""
    lines = [w * t for line in path.values() for w, t in zip(line.weights, totals, strict=True)]
    found = [*lines, *(weight * scale.tokens for scale in scales for weight in scale.weights.values())]
    positive = [amount for amount in found if amount > 0]
    return min(positive) / 1.7, max(positive) * 1.7


def _highest(path: Mapping[str, PathLine], scales: Sequence[ScaleOptimum]) -> float:
    """Of the shares of lines and points, and of their intervals at the target."""
    ends = [line.high[-1] for line in path.values() if line.high]
    lines = [max(line.weights) for line in path.values()]
    return min(1.02, 1.08 * max(*lines, *(max(scale.weights.values()) for scale in scales), *ends))


def scaling_tables(answer: Recommendation, found: AutoScaleEvidence) -> list[Table]:
    """The predictors, the optima of the scales, and the hold-out check."""
    held, choice = found.holdout, found.choice
    domains = answer.mixture.domains
    tables = [*([_predictors(found, domains)] if len(found.predictors) > 1 else []), _optima_table(found, domains)]
    if found.scales[0].runs:
        tables.append(_scales(found.scales))
    if held:
        tables += [_holdout(held), _held_weights(held)]
    if not held and choice:
        rows = [[word(name), number(value)] for name, value in choice.errors.items()]
        columns = [Column("predictor"), Column(choice.measure)]
        tables.append(table("choice", "Why this predictor", columns, rows, for_page=True))
    return tables


def _predictors(found: AutoScaleEvidence, domains: Sequence[str]) -> Table:
    """One row a domain: the target's weight by either predictor with its interval."""
    predictors = found.predictors
    measured = any(part.intervals for part in predictors.values())
    columns = [Column("domain")]
    for name in predictors:
        columns.append(Column(name, "the one that advises" if name == found.chosen else "weight at the target"))
        columns += [Column("95 % interval", f"{name}, from replicates of the runs")] if measured else []
    rows = []
    for domain in domains:
        row = [word(domain)]
        for name, part in predictors.items():
            row.append(number(part.weights[domain], "{:.3f}", "strong" if name == found.chosen else ""))
            row += [interval(*part.intervals.get(domain, (None, None)))] if measured else []
        rows.append(row)
    title = f"By predictor {found.chosen}" + (f": {found.choice.reason}" if found.choice else "")
    return table("predictors", title, columns, rows)


def _optima_table(found: AutoScaleEvidence, domains: Sequence[str]) -> Table:
    """One row a domain: its best weight at each scale, and how its tokens grow from one scale to the next."""
    scales, growth = found.scales, found.geometric
    measured = any(scale.intervals for scale in scales)
    columns = [Column("domain")]
    for scale in scales:
        columns.append(Column(format_count(scale.tokens), "the best weight at this scale; | at a bound"))
        columns += [Column("95 % interval")] if measured else []
    columns.append(Column("tokens, a step", "growth of the domain's tokens from a scale to the next"))
    rows = []
    for domain in domains:
        row = [word(domain)]
        for scale in scales:
            row.append(number(scale.weights[domain], "{:.3f}" + ("|" if domain in scale.pinned else " ")))
            row += [interval(*scale.intervals[domain])] if measured else []
        held = domain in growth.held
        rows.append([*row, word("held") if held else number(growth.factors[domain], "x{:.3g}")])
    whose = "DDO's own" if scales[0].runs else "as given"
    return table("optima", f"Optimum at each scale, {whose}; | at a bound", columns, rows)


def _scales(scales: Sequence[ScaleOptimum]) -> Table:
    columns = [
        Column("scale", "training tokens of the base run"),
        Column("base", "the base run's objective"),
        Column("optimum", "predicted objective of the scale's best mixture"),
        Column("noise", "of a run, relative"),
        Column("at a bound", "domains at their floor or cap", words=True),
        Column("runs"),
    ]
    rows = [
        [
            Cell(text=format_count(scale.tokens), key=float(scale.tokens)),
            number(scale.base_objective),
            number(scale.predicted),
            percent(scale.noise and scale.noise.relative, form="{:.2g} %"),
            word(", ".join(scale.pinned)),
            runs_cell(scale.runs),
        ]
        for scale in scales
    ]
    return table("scales", "DDO at each scale", columns, rows, for_page=True)


def _holdout(held: HoldOutEvidence) -> Table:
    measured = held.predicted is not None
    # Five digits of one, so that values near it have their points under one another.
    form = "" if held.predicted is None else f"{{:.{max(0, 4 - math.floor(math.log10(held.predicted)))}f}}"
    columns = [
        Column("predicted by"),
        Column("total variation", "distance to the optimum found there"),
        *([Column("objective there", "by the laws of the scale held out"), Column("above the optimum")] if measured
          else []),
    ]  # fmt: skip
    rows = [
        [
            word(name),
            number(guess.distance, "{:.4f}"),
            *([number(guess.predicted, form), percent(guess.excess, form="{:+.3f} %")] if measured else []),
        ]
        for name, guess in sorted(held.guesses.items(), key=lambda item: item[1].distance)
    ]
    near = "mean distance of its replicates: a nearer guess is as good as can be told"
    own = [word("DDO there", "quiet"), number(held.spread, "{:.4f}", title=near)]
    rows.append([*own, *([number(held.predicted, form), NOTHING] if measured else [])])
    source = ", ".join(format_count(tokens) for tokens in held.source)
    title = f"Hold-out: the optimum at {format_count(held.tokens)}, predicted from {source}"
    return table("holdout", title, columns, rows)


def _held_weights(held: HoldOutEvidence) -> Table:
    columns = [
        Column("domain"), Column("optimum", "found at the scale held out"), *named(held.guesses, "predicted"),
    ]  # fmt: skip
    rows = [
        [
            word(domain),
            number(weight, "{:.3f}", "strong"),
            *(number(guess.weights[domain], "{:.3f}") for guess in held.guesses.values()),
        ]
        for domain, weight in held.optimum.items()
    ]
    return table("held-weights", "Hold-out: weights", columns, rows, for_page=True)
