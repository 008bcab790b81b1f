"""What ADSO found out: how far each scale goes with the target, and what was spent on it."""

from __future__ import annotations

from typing import Literal

from mixopt.display.table import Cell, Column, Table, named, number, table, word
from mixopt.methods.base import Evidence, record
from mixopt.units import format_count


@record
class ScaleUse:
    """A scale."""

    model: str | None  # preset; None for the study's own model
    parameters: int  # of the model
    tokens: int  # of each run
    cost: float  # of a run, in target runs
    runs: int  # that were made
    correlation: float  # over mixtures, of the objective here with that at the target


@record
class AdsoEvidence(Evidence):
    """Behind ADSO's answer."""

    kind: Literal["adso"] = "adso"
    scales: tuple[ScaleUse, ...]  # cheapest first, the target last
    spent: float  # in target runs
    best_measured: float | None  # least objective measured at the target; None without a run there


def scales_table(evidence: AdsoEvidence) -> Table:
    """A row a scale, the target last."""
    scales = evidence.scales
    columns = [
        Column("scale"),
        *named(["parameters", "tokens", "cost in target runs", "runs"]),
        Column("agreement", "correlation over mixtures of the objective here with that at the target"),
    ]
    rows = [
        [
            word(f"{scale.model} (target)" if scale is scales[-1] else str(scale.model)),
            Cell(text=format_count(scale.parameters), key=float(scale.parameters)),
            Cell(text=format_count(scale.tokens), key=float(scale.tokens)),
            number(scale.cost, "{:.3g}"),
            number(scale.runs, "{:d}"),
            number(scale.correlation, "{:.3f}"),
        ]
        for scale in scales
    ]
    return table("scales", f"Scales; {evidence.spent:.3g} target runs were spent", columns, rows)
