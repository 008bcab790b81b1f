"""A one-shot search in the page: its law on mixtures left out, its learning curve, the front of two objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixopt.report.html.drawing import INK, MAIN, MUTED, OPTIMUM, SERIES, blank, figure, plain, short_ids
from mixopt.report.html.section import Section
from mixopt.report.html.table import Cell, Table, number, runs_cell, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixopt.report.html.drawing import Figure
    from mixopt.report.html.gather import Gathered


def search_section(study: Gathered) -> Section | None:
    """The swarm and its law; None for an answer without a swarm."""
    details = (study.recommendation or {}).get("details") or {}
    if not details.get("swarm"):
        return None
    evidence = details.get("evidence")
    figures, tables = [], [_swarm(study, details)]
    text = f"{len(details['swarm'])} different mixtures were trained."
    if evidence:
        text += f" The law, {evidence['title']}, was checked on mixtures that it was not fitted to."
        figures = [_left_out(details), *([_learning(evidence)] if len(evidence["learning_curve"]) > 1 else [])]
        tables = [_tried(evidence), _losses(evidence), *tables]
    if "pareto" in details:
        figures.append(_front(details["pareto"]))
        tables.insert(0, _front_table(details["pareto"]))
    runs = tuple(run for entry in details["swarm"] for run in entry["runs"])
    return Section("search", "The swarm and its law", text, figures=figures, tables=tables, runs=runs)


def _left_out(details: Mapping[str, Any]) -> Figure:
    swarm, units = details["swarm"], details["units"]
    measured = [entry["measured"] for entry in swarm]
    drawing = blank(380, showlegend=False)
    ends = [min(measured), max(measured)]
    drawing.add_scatter(x=ends, y=ends, mode="lines", line={"color": MUTED, "dash": "dash"}, hoverinfo="skip")
    drawing.add_scatter(
        x=measured, y=[entry["left_out"] for entry in swarm], mode="markers", marker={"color": INK, "size": 7},
        customdata=[[short_ids(entry["runs"]), entry["runs"][0]] for entry in swarm], meta="runs",
        hovertemplate="measured %{x:.5g}, predicted %{y:.5g}<br>%{customdata[0]}<extra></extra>",
    )  # fmt: skip
    drawing.update_xaxes(title=plain(f"measured ({units})"))
    drawing.update_yaxes(title="predicted without it")
    return figure("search-left-out", "Mixtures left out", "A point a mixture. A click leads to its run.", drawing)


def _learning(evidence: Mapping[str, Any]) -> Figure:
    curve = evidence["learning_curve"]
    drawing = blank(300, showlegend=False)
    drawing.add_scatter(
        x=[point["runs"] for point in curve], y=[point["rmse"] for point in curve], mode="lines+markers",
        line={"color": MAIN, "width": 2}, hovertemplate="%{x} mixtures: %{y:.4g}<extra></extra>",
    )  # fmt: skip
    drawing.update_xaxes(type="log", title="mixtures fitted", tickvals=[point["runs"] for point in curve])
    drawing.update_yaxes(title="error on mixtures left out", rangemode="tozero")
    return figure("search-learning", "Learning curve", evidence.get("more_runs") or "", drawing)


def _front(front: Mapping[str, Any]) -> Figure:
    points = [point["values"] for point in front["points"]]
    drawing = blank(380, legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"})
    drawing.add_scatter(
        x=[one for one, _ in points], y=[other for _, other in points], mode="lines+markers", name="front",
        line={"color": MAIN, "width": 2}, hovertemplate="%{x:.5g}, %{y:.5g}<extra></extra>",
    )  # fmt: skip
    for index, (name, (one, other)) in enumerate(front["baselines"].items()):
        color = OPTIMUM if name == "recommended" else SERIES[(index + 1) % len(SERIES)]
        drawing.add_scatter(
            x=[one], y=[other], mode="markers", name=plain(name, 22), marker={"color": color, "size": 9},
            hovertemplate="%{x:.5g}, %{y:.5g}<extra></extra>",
        )  # fmt: skip
    titles = [f"{name} ({units})" for name, units in zip(front["objectives"], front["units"], strict=True)]
    drawing.update_xaxes(title=plain(titles[0]))
    drawing.update_yaxes(title=plain(titles[1]))
    return figure("search-front", "Two objectives", "No mixture is better in both, by the law.", drawing)


def _front_table(front: Mapping[str, Any]) -> Table:
    domains = list(front["points"][0]["weights"])
    columns = {**dict.fromkeys(front["objectives"], "predicted"), **dict.fromkeys(domains, "weight")}
    rows = [
        [*(number(value) for value in point["values"]),
         *(number(point["weights"][domain], "{:.3f}") for domain in domains)]
        for point in front["points"]
    ]  # fmt: skip
    return Table("search-front", "Two objectives: the front", columns, rows, frozenset())


def _tried(evidence: Mapping[str, Any]) -> Table:
    columns = {
        "law": "",
        "Spearman": "rank correlation of predicted and measured objectives of mixtures left out",
        "error": "root mean square, on mixtures left out",
        "of the mean's": "the same against predicting the mean of the others",
    }
    rows = []
    for name, part in evidence["tried"].items():
        if part.get("refused"):
            rows.append([word(name), Cell(""), Cell(""), word(part["refused"])])
            continue
        share = part["rmse"] / part["mean_rmse"]
        kind = "strong" if name == evidence["name"] else ""
        rows.append([word(name, kind), number(part["spearman"], "{:.3f}"), number(part["rmse"]),
                     number(100 * share, "{:.0f} %")])  # fmt: skip
    return Table("search-laws", "Laws, on mixtures left out", columns, rows)


def _losses(evidence: Mapping[str, Any]) -> Table:
    columns = {
        "domain": "",
        "Spearman": "rank correlation of predicted and measured losses of mixtures left out",
        "error": "root mean square, nats/token; of a task, in its own error",
        "of the mean's": "the same against predicting the mean of the others",
    }
    rows = [
        [word(domain), number(part["spearman"], "{:.3f}"), number(part["rmse"]),
         number(100 * part["rmse"] / part["mean_rmse"] if part["mean_rmse"] else None, "{:.0f} %")]
        for domain, part in evidence["losses"].items()
    ]  # fmt: skip
    return Table("search-losses", "The law's losses by domain, on mixtures left out", columns, rows)


def _swarm(study: Gathered, details: Mapping[str, Any]) -> Table:
    columns = {"measured": details["units"]}
    has_law = "left_out" in details["swarm"][0]
    if has_law:
        columns |= {"left out": "predicted without it", "fitted": "predicted with it"}
    columns |= {**dict.fromkeys(study.domains, "weight"), "runs": ""}
    rows = []
    for entry in sorted(details["swarm"], key=lambda entry: entry["measured"]):
        cells = [number(entry["measured"])]
        if has_law:
            cells += [number(entry["left_out"]), number(entry["fitted"])]
        cells += [number(weight, "{:.3f}") for weight in entry["weights"]]
        rows.append([*cells, runs_cell(entry["runs"])])
    return Table("search-swarm", "The swarm, best first", columns, rows, frozenset())
