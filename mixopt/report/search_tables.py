"""A one-shot search in the terminal: how its law was checked, and the front of two objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.table import Table


def print_search(details: Mapping[str, Any], console: Console) -> None:
    """Print what there is: a method without a law has none of it.

    Args:
        details: of the recommendation.
        console: where to.
    """
    from mixopt.report.recommendation import bullets

    if "evidence" in details:
        console.print(evidence_table(details["evidence"]))
        refused = [part["refused"] for part in details["evidence"]["tried"].values() if part.get("refused")]
        if refused:
            console.print(bullets(refused))
    if "pareto" in details:
        console.print(pareto_table(details["pareto"]))


def evidence_table(evidence: Mapping[str, Any]) -> Table:
    """One row a law that was tried: how it predicts mixtures that it has not seen."""
    from rich.markup import escape

    from mixopt.report.recommendation import new_table

    table = new_table("law, on mixtures left out", "Spearman", "error", "of the mean's")
    for name, part in evidence["tried"].items():
        if part.get("refused"):
            table.add_row(escape(name), "-", "-", "-")
            continue
        rank = "-" if part["spearman"] is None else f"{part['spearman']:.3f}"
        chosen = name == evidence["name"]
        table.add_row(
            f"[bold]{escape(name)}[/bold]" if chosen else escape(name),
            rank,
            f"{part['rmse']:.3g}",
            f"{100 * part['rmse'] / part['mean_rmse']:.0f} %",
        )
    return table


def pareto_table(front: Mapping[str, Any]) -> Table:
    """One row a mixture of the front: both objectives and its weights."""
    from rich.markup import escape

    from mixopt.report.recommendation import new_table

    domains = list(front["points"][0]["weights"])
    table = new_table(escape(front["objectives"][0]), escape(front["objectives"][1]), *(escape(d) for d in domains))
    for point in front["points"]:
        values = [f"{value:.4g}" for value in point["values"]]
        table.add_row(*values, *(f"{point['weights'][domain]:.3f}" for domain in domains))
    return table
