"""The joint law in the page: what it says of every run, fitted and left out, and its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixopt.report.html.drawing import INK, MAIN, MUTED, OPTIMUM, blank, figure, plain, short_ids
from mixopt.report.html.section import Section
from mixopt.report.html.table import Table, number, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixopt.report.html.drawing import Figure
    from mixopt.report.html.gather import Gathered


def joint_section(study: Gathered) -> Section | None:
    """The law over all runs; None for an answer without one."""
    details = (study.recommendation or {}).get("details") or {}
    law = details.get("joint") or {}
    if "cells" not in law:
        return None
    units = details.get("units", "objective")
    noise = law["noise"]
    return Section(
        "joint",
        "The joint law",
        f"One law for all runs of all scales: {law['law']}. Noise of a run: {100 * noise['relative']:.2g} % of the "
        f"objective ({noise['source']}).",
        figures=[_fitted(study, law, units)],
        tables=[_forms(law), _parameters(law)],
        runs=tuple(run for cell in law["cells"] for run in cell["runs"]),
    )


def _fitted(study: Gathered, law: Mapping[str, Any], units: str) -> Figure:
    """How far the law is from each measurement, in per cent: as fitted, and with the run left out of the fit."""
    cells = law["cells"]
    roles = {run.run_id: run.roles[0] for run in study.runs}
    about = [
        [short_ids(cell["runs"]), plain(roles.get(cell["runs"][0], "")), cell["runs"][0], cell["measured"]]
        for cell in cells
    ]
    drawing = blank(360, legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"})
    for key, label, color, mark in (
        ("left_out", "left out of the fit", OPTIMUM, "circle-open"),
        ("fitted", "fitted", MAIN, "circle"),
    ):
        drawing.add_scatter(
            x=[cell["measured"] for cell in cells], y=[100 * (cell[key] / cell["measured"] - 1) for cell in cells],
            mode="markers", name=label, marker={"color": color, "size": 8, "symbol": mark}, customdata=about,
            meta="runs",
            hovertemplate="%{customdata[1]}<br>measured %{x:.5g}, " + label + " %{y:+.2f} %<br>"
            "runs %{customdata[0]}<extra></extra>",
        )  # fmt: skip
    noise = 100 * law["noise"]["relative"]
    for height in (-noise, noise):
        drawing.add_hline(y=height, line={"color": MUTED, "dash": "dot", "width": 1})
    drawing.add_hline(y=0, line={"color": INK, "width": 1})
    drawing.update_xaxes(title=plain(f"measured ({units})"))
    drawing.update_yaxes(title="law above measured, %")
    note = "A point a mixture and size, mean over seeds. Dotted: the noise of one run. A click leads to the run."
    return figure("joint", "The law against every run", note, drawing)


def _forms(law: Mapping[str, Any]) -> Table:
    """The forms that were tried: cross-validation, on all runs and on the largest scale alone."""
    columns = {
        "form": "",
        "error": "cross-validated, relative",
        "Spearman": "rank correlation of predicted and measured runs that were left out",
    }
    tried = law["cross_validation"]
    rows = [
        [
            word(name, "strong" if name == law["form"] else ""),
            number(part["error"], "{:.4f}"),
            number(part["spearman"], "{:.3f}"),
        ]
        for name, part in tried.items()
    ]
    largest = [part.get("largest_scale") for part in tried.values()]
    if any(largest):
        columns["error at the largest scale"] = "predicted from the smaller ones"
        for row, part in zip(rows, largest, strict=True):
            row.append(number((part or {}).get("error"), "{:.4f}"))
    return Table("joint-forms", "Forms, by cross-validation", columns, rows)


def _parameters(law: Mapping[str, Any]) -> Table:
    """One row a domain; the transfers of the form per domain are columns."""
    found = law["parameters"]
    parts = found["domains"] if law["form"] == "additive" else found
    rows = []
    for domain, part in parts.items():
        flat = {key: value for key, value in part.items() if key != "transfer"}
        flat |= {f"from {source}": value for source, value in part.get("transfer", {}).items()}
        rows.append((domain, flat))
    columns = {"domain": "", **{name: _meaning(name) for name in rows[0][1]}}
    cells = [[word(domain), *(number(value) for value in flat.values())] for domain, flat in rows]
    return Table("joint-parameters", "Parameters", columns, cells)


def _meaning(name: str) -> str:
    return "how much a token of that domain helps this one" if name.startswith("from ") else "parameter of the law"
