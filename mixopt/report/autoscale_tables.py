"""AutoScale's answer as tables in the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mixopt.report.recommendation import (
    baselines_of,
    bullets,
    distinct,
    new_table,
    objectives_table,
    prediction_table,
)
from mixopt.units import format_count

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mixopt.methods.base import Recommendation


def print_autoscale(recommendation: Recommendation, console: Console | None = None) -> None:
    """The optimum at each scale, the target's weights by either predictor, predictions, the hold-out, warnings.

    Args:
        recommendation: the answer, of `mixopt.methods.autoscale.searcher` or `mixopt.methods.autoscale.optima`.
        console: where to; None for standard output.
    """
    from rich.markup import escape

    from mixopt.report.console import page

    console = console or page()
    details = recommendation.details
    runs = f"; {len(recommendation.runs)} runs" if recommendation.runs else ""
    console.print(
        f"\n[bold]Recommended mixture[/bold] for {format_count(recommendation.tokens)} tokens  "
        f"[dim]{escape(recommendation.method)}; objective {escape(recommendation.objective)}{runs}[/dim]"
    )
    console.print(target_table(recommendation))
    if choice := details.get("choice"):
        console.print(f"predictor {details['chosen']}: {escape(choice['reason'])}", highlight=False)
    found = "DDO's own" if recommendation.runs else "as given"
    console.print(f"\n[bold]Optimum at each scale[/bold]  [dim]{found}; | at a bound[/dim]")
    console.print(scales_table(recommendation))
    if recommendation.predicted:
        shown = distinct(baselines_of(recommendation))
        console.print(
            f"[bold]Predicted at {format_count(recommendation.tokens)}[/bold]  "
            "[dim]by the joint law, for both predictors' mixtures[/dim]"
        )
        console.print(prediction_table(recommendation, shown))
        console.print(objectives_table(recommendation))
    if details.get("holdout"):
        _print_holdout(details["holdout"], console)
    if recommendation.warnings:
        console.print("[bold yellow]Warnings[/bold yellow]")
        console.print(bullets(recommendation.warnings))


def target_table(recommendation: Recommendation) -> Table:
    """One row a domain: weight by either predictor with its interval, the baselines, epochs at the target."""
    from rich.markup import escape

    details = recommendation.details
    predictors: dict[str, Any] = details["predictors"]
    shown = distinct(baselines_of(recommendation))
    epochs = details["epochs"]
    measured = any(part["intervals"] for part in predictors.values())
    heads = [head for name in predictors for head in (name, *(["95 % interval"] if measured else []))]
    table = new_table("domain", *heads, *shown, *(["epochs"] if epochs else []))
    for domain in recommendation.mixture.domains:
        cells = []
        for name, part in predictors.items():
            weight = f"{part['weights'][domain]:.3f}"
            cells.append(f"[bold]{weight}[/bold]" if name == details["chosen"] else weight)
            if measured:
                cells.append(_ends(part["intervals"].get(domain)))
        cells += [f"{mixture.to_dict()[domain]:.3f}" for mixture in shown.values()]
        if epochs:
            cells.append("-" if epochs[domain] is None else f"{epochs[domain]:.2g}")
        table.add_row(escape(domain), *cells)
    return table


def scales_table(recommendation: Recommendation) -> Table:
    """One row a domain: its best weight at each scale, and how its tokens grow from one scale to the next."""
    from rich.markup import escape

    details = recommendation.details
    scales, growth = details["scales"], details["geometric"]
    measured = any("intervals" in scale for scale in scales)
    heads = []
    for scale in scales:
        heads += [format_count(scale["tokens"]), *(["95 % interval"] if measured else [])]
    table = new_table("domain", *heads, "tokens, a step")
    for domain in recommendation.mixture.domains:
        cells = []
        for scale in scales:
            mark = "|" if domain in scale["pinned"] else " "
            cells.append(f"{scale['weights'][domain]:.3f}{mark}")
            if measured:
                cells.append(_ends(scale["intervals"][domain]))
        cells.append("held" if domain in growth["held"] else f"x{growth['factors'][domain]:.3g}")
        table.add_row(escape(domain), *cells)
    return table


def _print_holdout(held: dict[str, Any], console: Console) -> None:
    source = ", ".join(format_count(tokens) for tokens in held["from"])
    spread = held["spread"]
    noise = f"; its own replicates are {spread:.3f} from it on average" if spread is not None else ""
    console.print(
        f"\n[bold]Hold-out[/bold]: the optimum at {format_count(held['tokens'])}, predicted from {source}  "
        f"[dim]against what DDO found there{noise}[/dim]"
    )
    measured = held["predicted"] is not None
    table = new_table(
        "predicted by", "total variation", *(["objective there", "above the optimum"] if measured else [])
    )
    for name, guess in held["guesses"].items():
        cells = [f"{guess['distance']:.4f}"]
        if measured:
            cells += [_aligned(guess["predicted"], held["predicted"]), f"{100 * guess['excess']:+.3f} %"]
        table.add_row(name, *cells)
    if measured:
        table.add_row("[dim]DDO there[/dim]", "0", _aligned(held["predicted"], held["predicted"]), "0")
    console.print(table)


def _aligned(value: float, like: float) -> str:
    """Five significant digits of `like`, so that values near it have their points under one another."""
    return f"{value:.{max(0, 4 - math.floor(math.log10(like)))}f}"


def _ends(interval: list[float] | None) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "-"
