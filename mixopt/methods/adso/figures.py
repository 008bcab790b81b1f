"""ADSO's tables: the scales that it can train at, what they cost, and what was spent on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.display.table import Cell, Column, named, number, table, word
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.display.table import Table
    from mixopt.methods.adso.scales import Ladder
    from mixopt.methods.base import Recommendation

_COLUMNS = [Column("scale"), *named(["parameters", "tokens", "cost in target runs"])]


def ladder_table(ladder: Ladder) -> Table:
    """What can be trained at and what that costs, before anything is."""
    rows = [_scale(scale.model, scale.parameters, scale.tokens, scale.cost, scale is ladder.target)
            for scale in ladder.scales]  # fmt: skip
    return table("ladder", "Scales", _COLUMNS, rows)


def scales_table(recommendation: Recommendation) -> Table:
    """The same with the runs of each scale, and how it agrees with the target about mixtures."""
    scales = recommendation.details["scales"]
    columns = [
        *_COLUMNS,
        Column("runs"),
        Column("agreement", "correlation of its mixtures' ranks with the target's"),
    ]
    rows = [
        [
            *_scale(scale["model"], scale["parameters"], scale["tokens"], scale["cost"], scale is scales[-1]),
            number(scale["runs"], "{:d}"),
            number(scale["correlation"], "{:.3f}"),
        ]
        for scale in scales
    ]
    spent = recommendation.details["spent"]
    return table("scales", f"Scales; {spent:.3g} target runs were spent", columns, rows)


def _scale(model: str | None, parameters: int, tokens: int, cost: float, target: bool) -> list[Cell]:
    return [
        word(f"{model} (target)" if target else str(model)),
        Cell(text=format_count(parameters), key=float(parameters)),
        Cell(text=format_count(tokens), key=float(tokens)),
        number(cost, "{:.3g}"),
    ]
