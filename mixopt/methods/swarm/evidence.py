"""What a one-shot search found out: its swarm, its law on mixtures left out, and the front of two objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Literal

from pydantic import JsonValue

from mixopt.display.colours import INK, LAW, MUTED, Look, looks_of
from mixopt.display.figure import Axis, Figure, Line, Panel, Points
from mixopt.display.table import NOTHING, Cell, Column, Table, named, number, percent, runs_cell, table, word
from mixopt.methods.base import Evidence, Recommendation, record


@record
class SwarmPoint:
    """A mixture that was trained."""

    runs: tuple[str, ...]  # ids
    weights: dict[str, float]  # by domain
    measured: float  # the objective, mean over seeds
    fitted: float | None = None  # by the law; None without a law
    left_out: float | None = None  # by the law without this mixture


@record
class LawScore:
    """Predictions of mixtures left out."""

    rmse: float  # root mean square error, in the units of what is predicted
    relative: float  # the same, of the measured values' mean
    mean_rmse: float  # that of predicting the mean of the others
    spearman: float | None  # rank correlation; None where predicted or measured are constant


@record
class LearningPoint:
    """The law's error with fewer mixtures."""

    runs: int  # mixtures that it was fitted to
    rmse: float  # on the others


@record
class SwarmLaw:
    """The law and how it was checked."""

    name: str  # of the regressor
    title: str  # in words
    score: LawScore  # of the objective
    losses: dict[str, LawScore]  # by evaluation domain
    learning_curve: tuple[LearningPoint, ...]  # fewest mixtures first
    more_runs: str | None  # what the curve says of more runs; None where it is too short
    tried: dict[str, LawScore | str]  # every law by name, or why it was refused
    parameters: dict[str, JsonValue]  # the law in words under `law`, and its parameters
    convex: bool  # whether the optimum is the only one
    kl: float  # pull towards the natural mixture


@record
class FrontPoint:
    """A mixture that no other beats in both objectives."""

    values: tuple[float, float]  # the two, predicted
    weights: dict[str, float]  # by domain


@record
class FrontEvidence:
    """The front of two objectives."""

    objectives: tuple[str, str]  # their names
    units: tuple[str, str]  # their units
    convex: bool  # whether none of it is missed
    points: tuple[FrontPoint, ...]  # from the best for the first objective to the best for the second
    baselines: dict[str, tuple[float, float]]  # both objectives of other mixtures, by name


@record
class Extended:
    """The earlier study that was extended by new domains."""

    study: str  # its id
    runs: tuple[str, ...]  # ids of its runs that count
    differences: tuple[str, ...]  # why they do not, in words
    shares: dict[str, float]  # of the earlier domains among themselves
    coordinates: dict[str, float] = field(default_factory=dict)  # the answer in the earlier mixture and the new domains


@record
class SwarmEvidence(Evidence):
    """Behind the answer of a one-shot search."""

    kind: Literal["swarm"] = "swarm"
    swarm: tuple[SwarmPoint, ...]  # its mixtures
    law: SwarmLaw | None = None  # None where the best measured mixture is advised
    pareto: FrontEvidence | None = None  # None where one objective was asked for
    extended: Extended | None = None  # None for a search of its own


def evidence_figure(answer: Recommendation, swarm: Sequence[SwarmPoint], law: SwarmLaw) -> Figure:
    """What the law says of mixtures that it has not seen, and how that changes with the number of runs."""
    curve = law.learning_curve
    return Figure(
        name="evidence",
        title="The law on mixtures left out",
        headline=answer.method,
        panels=[_left_out(answer, swarm, law), *([_learning(curve)] if len(curve) > 1 else [])],
        note=f"The law, {law.title}, was checked on mixtures that it was not fitted to. A point a mixture; "
        f"a click leads to its run. {law.more_runs or ''}",
        size=(4.1, 3.5),
    )


def _left_out(answer: Recommendation, swarm: Sequence[SwarmPoint], law: SwarmLaw) -> Panel:
    known = [point for point in swarm if point.left_out is not None]
    measured, predicted = [point.measured for point in known], [point.left_out or 0.0 for point in known]
    ends = [min(*measured, *predicted), max(*measured, *predicted)]
    rank = "" if law.score.spearman is None else f"Spearman {law.score.spearman:.3f}, "
    return Panel(
        marks=[
            Line(look=Look(MUTED.colour, "dash"), x=ends, y=ends, width=1.2, about="as predicted"),
            Points(look=INK, x=measured, y=predicted, about="mixture", say="measured {x:.5g}, predicted {y:.5g}",
                   runs=[point.runs for point in known]),
        ],
        title=f"mixtures left out: {rank}off by {law.score.rmse:.2g}",
        x=Axis(label=f"measured {answer.objective} ({answer.units})"),
        y=Axis(label="predicted without it"),
    )  # fmt: skip


def _learning(curve: Sequence[LearningPoint]) -> Panel:
    runs = [point.runs for point in curve]
    line = Line(
        look=LAW, x=runs, y=[point.rmse for point in curve], dots=True, about="error", say="{y:.4g} of {x} mixtures"
    )
    return Panel(
        marks=[line],
        title="learning curve",
        x=Axis(label="mixtures that the law was fitted to", scale="log", ticks={count: str(count) for count in runs}),
        y=Axis(label="error on mixtures left out", zero=True),
    )


def pareto_figure(front: FrontEvidence) -> Figure:
    """The front of two objectives, and where the answer and the baselines lie."""
    one, other = zip(*(point.values for point in front.points), strict=True)
    looks = looks_of(front.baselines)
    marks = [
        Points(name=name, look=looks[name], x=[values[0]], y=[values[1]], symbol="square", size=6,
               say="{x:.5g}, {y:.5g}")
        for name, values in front.baselines.items()
    ]  # fmt: skip
    axes = [
        Axis(label=f"{name} ({units}), predicted") for name, units in zip(front.objectives, front.units, strict=True)
    ]
    line = Line(name="front", look=LAW, x=one, y=other, dots=True, say="{x:.5g}, {y:.5g}")
    return Figure(
        name="pareto",
        title="Two objectives",
        headline="No mixture is better in both",
        note="No mixture is better in both, by the law.",
        panels=[Panel(marks=[line, *marks], x=axes[0], y=axes[1])],
        size=(5.2, 3.9),
        legend="inside",
    )


def evidence_tables(law: SwarmLaw) -> list[Table]:
    """The laws that were tried, on mixtures left out; the chosen one's losses by domain."""
    columns = _columns(Column("law, on mixtures left out"), "objectives", "root mean square")
    refused = any(isinstance(found, str) for found in law.tried.values())
    rows = [
        [
            word(name, "strong" if name == law.name else ""),
            *((NOTHING,) * 3 if isinstance(found, str) else _checked(found)),
            *([word(found if isinstance(found, str) else "", "long")] if refused else []),
        ]
        for name, found in law.tried.items()
    ]
    own = "root mean square, nats/token; of a task, in its own error"
    losses = [[word(domain), *_checked(score)] for domain, score in law.losses.items()]
    return [
        table("search-laws", "Laws, on mixtures left out",
              [*columns, *([Column("refused", words=True)] if refused else [])], rows),
        table("search-losses", "The law's losses by domain, on mixtures left out",
              _columns(Column("domain"), "losses", own), losses, for_page=True),
    ]  # fmt: skip


def _columns(first: Column, what: str, error: str) -> list[Column]:
    return [
        first,
        Column("Spearman", f"rank correlation of predicted and measured {what} of mixtures left out"),
        Column("error", f"{error}, on mixtures left out"),
        Column("of the mean's", "the same against predicting the mean of the others"),
    ]


def _checked(score: LawScore) -> list[Cell]:
    share = score.rmse / score.mean_rmse if score.mean_rmse else None
    return [number(score.spearman, "{:.3f}"), number(score.rmse, "{:.3g}"), percent(share, form="{:.0f} %")]


def front_table(front: FrontEvidence) -> Table:
    """One row a mixture of the front: both objectives and its weights."""
    domains = list(front.points[0].weights)
    columns = [*named(front.objectives, "predicted"), *named(domains, "weight")]
    rows = [
        [*(number(value, "{:.4g}") for value in point.values),
         *(number(point.weights[domain], "{:.3f}") for domain in domains)]
        for point in front.points
    ]  # fmt: skip
    return table("search-front", "Two objectives: the front", columns, rows)


def swarm_table(answer: Recommendation, evidence: SwarmEvidence) -> Table:
    """The mixtures that were trained, best first."""
    swarm, law = evidence.swarm, evidence.law
    columns = [
        Column("measured", answer.units),
        *([Column("left out", "predicted without it"), Column("fitted", "predicted with it")] if law else []),
        *named(answer.mixture.domains, "weight"),
        Column("runs"),
    ]
    rows = [
        [
            number(point.measured),
            *([number(point.left_out), number(point.fitted)] if law else []),
            *(number(weight, "{:.3f}") for weight in point.weights.values()),
            runs_cell(point.runs),
        ]
        for point in sorted(swarm, key=lambda point: point.measured)
    ]
    return table("search-swarm", f"The {len(swarm)} mixtures that were trained, best first", columns, rows,
                 for_page=True)  # fmt: skip
