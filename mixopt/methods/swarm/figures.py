"""A swarm's pictures and tables: its law on mixtures left out, the learning curve, the front of two objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixopt.display.colours import INK, LAW, MUTED, Look, looks_of
from mixopt.display.figure import Axis, Figure, Line, Panel, Points
from mixopt.display.table import NOTHING, Column, named, number, percent, runs_cell, table, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixopt.display.table import Table
    from mixopt.methods.base import Recommendation


def evidence_figure(recommendation: Recommendation) -> Figure:
    """What the law says of mixtures that it has not seen, and how that changes with the number of runs."""
    details = recommendation.details
    evidence: dict[str, Any] = details["evidence"]
    curve = evidence["learning_curve"]
    more = evidence.get("more_runs")
    return Figure(
        name="evidence",
        title="The law on mixtures left out",
        headline=recommendation.method,
        panels=[_left_out(recommendation), *([_learning(curve)] if len(curve) > 1 else [])],
        note=f"The law, {evidence['title']}, was checked on mixtures that it was not fitted to. A point a mixture; "
        f"a click leads to its run. {more or ''}",
        size=(4.1, 3.5),
    )


def _left_out(recommendation: Recommendation) -> Panel:
    details = recommendation.details
    swarm, evidence = details["swarm"], details["evidence"]
    measured, predicted = ([entry[key] for entry in swarm] for key in ("measured", "left_out"))
    ends = [min(*measured, *predicted), max(*measured, *predicted)]
    rank = "" if evidence["spearman"] is None else f"Spearman {evidence['spearman']:.3f}, "
    return Panel(
        marks=[
            Line(look=Look(MUTED.colour, "dash"), x=ends, y=ends, width=1.2, about="as predicted"),
            Points(look=INK, x=measured, y=predicted, about="mixture", say="measured {x:.5g}, predicted {y:.5g}",
                   runs=[entry["runs"] for entry in swarm]),
        ],
        title=f"mixtures left out: {rank}off by {evidence['rmse']:.2g}",
        x=Axis(label=f"measured {recommendation.objective} ({details['units']})"),
        y=Axis(label="predicted without it"),
    )  # fmt: skip


def _learning(curve: list[dict[str, Any]]) -> Panel:
    runs = [point["runs"] for point in curve]
    line = Line(
        look=LAW,
        x=runs,
        y=[point["rmse"] for point in curve],
        dots=True,
        about="error",
        say="{y:.4g} of {x} mixtures",
    )
    return Panel(
        marks=[line],
        title="learning curve",
        x=Axis(
            label="mixtures that the law was fitted to", scale="log", ticks={count: str(count) for count in runs}
        ),
        y=Axis(label="error on mixtures left out", zero=True),
    )


def pareto_figure(recommendation: Recommendation) -> Figure:
    """The front of two objectives, and where the answer and the baselines lie."""
    front: dict[str, Any] = recommendation.details["pareto"]
    one, other = zip(*(point["values"] for point in front["points"]), strict=True)
    looks = looks_of(front["baselines"])
    marks = [
        Points(name=name, look=looks[name], x=[values[0]], y=[values[1]], symbol="square", size=6,
               say="{x:.5g}, {y:.5g}")
        for name, values in front["baselines"].items()
    ]  # fmt: skip
    axes = [
        Axis(label=f"{name} ({units}), predicted")
        for name, units in zip(front["objectives"], front["units"], strict=True)
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


def evidence_tables(evidence: Mapping[str, Any]) -> list[Table]:
    """The laws that were tried, on mixtures left out; the chosen one's losses by domain."""
    columns = _columns(Column("law, on mixtures left out"), "objectives", "root mean square")
    refused = any(part.get("refused") for part in evidence["tried"].values())
    rows = [
        [
            word(name, "strong" if name == evidence["name"] else ""),
            *((NOTHING,) * 3 if part.get("refused") else _checked(part)),
            *([word(part.get("refused") or "", "long")] if refused else []),
        ]
        for name, part in evidence["tried"].items()
    ]
    own = "root mean square, nats/token; of a task, in its own error"
    losses = [[word(domain), *_checked(part)] for domain, part in evidence["losses"].items()]
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


def _checked(part: Mapping[str, Any]) -> list[Any]:
    share = part["rmse"] / part["mean_rmse"] if part["mean_rmse"] else None
    return [number(part["spearman"], "{:.3f}"), number(part["rmse"], "{:.3g}"), percent(share, form="{:.0f} %")]


def front_table(front: Mapping[str, Any]) -> Table:
    """One row a mixture of the front: both objectives and its weights."""
    domains = list(front["points"][0]["weights"])
    columns = [*named(front["objectives"], "predicted"), *named(domains, "weight")]
    rows = [
        [*(number(value, "{:.4g}") for value in point["values"]),
         *(number(point["weights"][domain], "{:.3f}") for domain in domains)]
        for point in front["points"]
    ]  # fmt: skip
    return table("search-front", "Two objectives: the front", columns, rows)


def swarm_table(recommendation: Recommendation) -> Table:
    """The mixtures that were trained, best first."""
    swarm: list[dict[str, Any]] = recommendation.details["swarm"]
    has_law = "left_out" in swarm[0]
    said = {"left_out": "predicted without it", "fitted": "predicted with it"} if has_law else {}
    columns = [
        Column("measured", recommendation.details["units"]),
        *(Column(key.replace("_", " "), title) for key, title in said.items()),
        *named(recommendation.mixture.domains, "weight"),
        Column("runs"),
    ]
    rows = [
        [
            number(entry["measured"]),
            *(number(entry[key]) for key in said),
            *(number(weight, "{:.3f}") for weight in entry["weights"]),
            runs_cell(entry["runs"]),
        ]
        for entry in sorted(swarm, key=lambda entry: entry["measured"])
    ]
    return table("search-swarm", f"The {len(swarm)} mixtures that were trained, best first", columns, rows,
                 for_page=True)  # fmt: skip
