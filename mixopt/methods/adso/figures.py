"""ADSO's table: its scales, what was spent on them, and how they go with the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.display.table import Cell, Column, named, number, table, word
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.display.table import Table
    from mixopt.methods.adso.evidence import AdsoEvidence


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
