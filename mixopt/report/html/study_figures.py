"""Figures and tables of a study's runs: curves, every mixture that was trained, the runs by their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixopt.display.colours import MUTED, Look, looks_of
from mixopt.display.figure import Axis, Figure, Heat, Line, Menus, Panel
from mixopt.display.table import Cell, Column, Table, count, number, table, word
from mixopt.report.runs import created_cell, parts_table, status_cell, time_cell
from mixopt.units import format_count, format_seconds

if TYPE_CHECKING:
    from mixopt.report.html.gather import Gathered, Run

MOST_MIXTURES = 120
_OTHER = "other runs"


def trained_figure(study: Gathered) -> Figure | None:
    """Every distinct mixture that was trained, as a map of weights; None where there is one only."""
    domains = study.domains
    distinct: dict[tuple[float, ...], list[Run]] = {}
    for run in study.runs:
        key = tuple(round((run.parts[d].weight or 0.0) if d in run.parts else 0.0, 6) for d in domains)
        distinct.setdefault(key, []).append(run)
    shown = list(distinct.items())[:MOST_MIXTURES]
    if len(shown) < 2:
        return None
    labels = [str(some[0].roles[0]) for _, some in shown]
    cells = Heat(
        look=Look("blue"), z=[key for key, _ in shown], unit="weight", about=labels, say="{z:.4f}",
        runs=[[run.run_id for run in some] for _, some in shown],
    )  # fmt: skip
    left = len(distinct) - len(shown)
    note = f"One row a distinct mixture ({len(distinct)} in all)."
    return Figure(
        name="trained",
        title="Mixtures that were trained",
        note=note + (f" {left} more are in the table of runs." if left else ""),
        panels=[Panel(marks=[cells], x=Axis(rows=domains), y=Axis(rows=tuple(labels)))],
        size=(7.4, 1.7 + 0.18 * len(shown)),
    )


def curves_figure(study: Gathered) -> Figure | None:
    """Loss against tokens of the drawn runs; menus choose domain and split. None without any curve."""
    runs = [run for run in study.runs if study.curves.get(run.run_id) and study.curves[run.run_id].losses]
    runs.sort(key=lambda run: _kind(run) != _OTHER)  # drawn first, so that they lie below
    if not runs:
        return None
    evaluated = list(dict.fromkeys(name for run in runs for name in run.parts))
    mean = "mean of training domains"
    splits: dict[str, Any] = {}
    for split in ("validation", "train"):
        curves = [study.curves[run.run_id].losses.get(split, ([], {})) for run in runs]
        named = {domain: [losses.get(domain, []) for _, losses in curves] for domain in evaluated}
        means = [_mean(losses, study.domains) for _, losses in curves]
        if any(tokens for tokens, _ in curves):
            splits[split] = [tokens for tokens, _ in curves], {mean: means, **named}
    xs, ys = next(iter(splits.values()))
    looks = looks_of(kind for kind in map(_kind, runs) if kind != _OTHER)
    marks = [
        Line(
            name=_kind(run), look=looks.get(_kind(run), MUTED), x=x, y=y, dots=True, faint=_kind(run) == _OTHER,
            about=f"{run.roles[0]}, seed {run.row['seed']}", runs=[[run.run_id]],
            say=f"{{y:.4f}} {study.loss_units} at {{x:.4s}} tokens",
        )
        for run, x, y in zip(runs, xs, ys[mean], strict=True)
    ]  # fmt: skip
    total = sum(run.row["status"] != "failed" for run in study.runs)
    note = f"{len(runs)} of {total} runs" + (", verified and compared ones first" if total > len(runs) else "")
    return Figure(
        name="training",
        title="Loss while training",
        note=f"{note}. Points before the last are measured on fewer tokens than the final losses. A click leads to "
        "the run.",
        panels=[
            Panel(
                marks=marks,
                x=Axis(label="training tokens", zero=True, counts=True),
                y=Axis(label=f"loss, {study.loss_units}"),
            )
        ],
        legend="top",
        menus=Menus(("loss", "domain"), splits),
    )


def _kind(run: Run) -> str:
    for role in run.roles:
        if role.kind in ("verify", "compare", "target"):
            return role.name
    return "base" if any(role.kind == "base" for role in run.roles) else _OTHER


def _mean(losses: Mapping[str, list[float | None]], domains: Sequence[str]) -> list[float | None]:
    columns = [losses[domain] for domain in domains if domain in losses]
    return [
        sum(value for value in row if value is not None) / len(row) if None not in row else None
        for row in zip(*columns, strict=True)
    ]


def runs_table(study: Gathered) -> Table:
    """Every run: what it is for, what came out; a click on its id shows it by domain."""
    name, units = study.objective.name, study.objective.units
    columns = [
        Column("run", "the run's id; click for its domains", words=True),
        Column("role", "what the run is for", words=True),
        Column("status", words=True),
        Column("seed", "initialisation and data order"),
        Column("tokens", "training tokens used"),
        Column(name, f"the study's objective, {units}"),
        Column("mean loss", f"of the training domains, {study.loss_units}"),
        Column("worst loss", f"greatest validation loss of a training domain, {study.loss_units}"),
        Column("model", words=True),
        Column("time", "wall time, all attempts"),
        Column("trained on", words=True),
        Column("recorded", "UTC", words=True),
    ]
    anchors = tuple(f"run-{run.run_id}" for run in study.runs)
    rows = map(_run, study.runs)
    return table("runs", f"Runs ({len(study.runs)})", columns, rows, anchors=anchors, filter=True)


def _run(run: Run) -> list[Cell]:
    row = run.row
    worst = max(run.losses.items(), key=lambda item: item[1], default=("", None))
    return [
        Cell(text=run.run_id[:8], key=run.run_id, title=run.run_id, link=run.run_id),
        word("; ".join(dict.fromkeys(map(str, run.roles)))),
        status_cell(row),
        number(row["seed"], "{:d}"),
        count(row["tokens"]),
        number(run.objective, "{:.4f}"),
        number(run.mean_loss, "{:.4f}"),
        number(worst[1], "{:.4f}", title=worst[0]),
        word(f"{row['model']} ({format_count(row['parameters'])})"),
        time_cell(row),
        word(row["device"]),
        created_cell(row),
    ]


def run_details(study: Gathered) -> dict[str, Any]:
    """By run id what the page shows of one run: lines of words, and its table by domain."""
    details = {}
    columns: list[str] = []
    for run in study.runs:
        row = run.row
        lines = [
            ["role", "; ".join(dict.fromkeys(map(str, run.roles)))],
            ["status", row["status"] + (f": {row['error']}" if isinstance(row["error"], str) else "")],
            ["training", f"{row['tokens']:,} tokens, seed {row['seed']}, policy {row['policy']}"],
            ["model", f"{row['model']}, {row['parameters']:,} parameters"],
            ["data", row["fingerprint"]],
            ["speed", f"{format_seconds(row['seconds'])} on {row['device'] or 'nothing'}, {row['flops']:.3g} FLOPs"],
        ]
        parts = parts_table(run.run_id, run.parts, masked=row["objective"] == "masked")
        columns = [column.name for column in parts.columns]
        values = [[label.text, *(_rounded(cell.value) for cell in cells)] for label, *cells in parts.rows]
        details[run.run_id] = {"lines": lines, "domains": values}
    return {"columns": columns, "runs": details}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
