"""What ADSO found out: how far each scale goes with the target, and what was spent on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mixopt.display.table import Cell, Column, named, number, table, word
from mixopt.methods.base import Evidence, record
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.display.table import Table


@record
class ScaleUse:
    """A scale.

    Attributes:
        model: preset; None for the study's own model.
        parameters: of the model.
        tokens: of each run.
        cost: of a run, in target runs.
        runs: that were made.
        correlation: over mixtures, of the objective here with that at the target.
    """

    model: str | None
    parameters: int
    tokens: int
    cost: float
    runs: int
    correlation: float


@record
class AdsoEvidence(Evidence):
    """Behind ADSO's answer.

    Attributes:
        scales: cheapest first, the target last.
        spent: in target runs.
        best_measured: least objective measured at the target; None without a run there.
    """

    kind: Literal["adso"] = "adso"
    scales: tuple[ScaleUse, ...]
    spent: float
    best_measured: float | None


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
