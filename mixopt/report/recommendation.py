"""A recommendation as tables, in the terminal, and as files in a folder. Any method's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mixopt.display.colours import looks_of
from mixopt.display.figure import Axis, Bars, Figure, Panel, Points
from mixopt.display.table import NOTHING, Column, Table, interval, named, number, percent, table, word
from mixopt.mixture import Mixture, distinct
from mixopt.units import format_count

if TYPE_CHECKING:
    from rich.console import Console

    from mixopt.methods.base import Recommendation
    from mixopt.methods.method import Method


def print_recommendation(recommendation: Recommendation, method: Method, console: Console | None = None) -> None:
    """The answer's tables, the method's own, and warnings.

    Args:
        console: where to; None for standard output.
    """
    from rich.markup import escape

    from mixopt.report.console import bullets, page, print_table

    console = console or page()
    runs = f"; {len(recommendation.runs)} runs" if recommendation.runs else ""
    console.print(
        f"\n[bold]Recommended mixture[/bold] for {format_count(recommendation.tokens)} tokens  "
        f"[dim]{escape(recommendation.method)}; objective {escape(recommendation.objective)}{runs}[/dim]"
    )
    for shown in answer_tables(recommendation):
        print_table(shown, console)
    for shown in method.tables(recommendation):
        if not shown.for_page:
            print_table(shown, console, titled=True)
    if recommendation.warnings:
        console.print("[bold yellow]Warnings[/bold yellow]")
        console.print(bullets(recommendation.warnings))


def baselines_of(recommendation: Recommendation) -> dict[str, Mixture]:
    """The mixtures that a method compared its own with, by name, without repeats."""
    return distinct(recommendation.baselines)


def answer_tables(recommendation: Recommendation) -> list[Table]:
    """Weights against the baselines, predictions with error bars, other objectives: those that there are."""
    found = [weights_table(recommendation)]
    if recommendation.predicted:
        found.append(predictions_table(recommendation))
    if recommendation.other_objectives:
        found.append(objectives_table(recommendation))
    return found


def weights_table(recommendation: Recommendation) -> Table:
    """One row a domain: the weight with its 95 % interval, what each baseline gives it, and its epochs."""
    baselines = baselines_of(recommendation)
    epochs = recommendation.epochs
    columns = [
        Column("domain"),
        Column("recommended", "share of the training tokens"),
        Column("95 % interval"),
        *(Column(name, f"weight in the mixture {name}") for name in baselines),
        *([Column("epochs", "passes over the domain's distinct tokens")] if epochs else []),
    ]
    rows = [
        [
            word(domain),
            number(weight, "{:.3f}", "strong"),
            interval(*recommendation.intervals.get(domain, (None, None))),
            *(number(mixture.to_dict().get(domain, 0.0), "{:.3f}") for mixture in baselines.values()),
            *([number(epochs[domain], "{:.2g}")] if epochs else []),
        ]
        for domain, weight in recommendation.mixture.to_dict().items()
    ]
    return table("weights", "Recommended weights", columns, rows)


def predictions_table(recommendation: Recommendation) -> Table:
    """One row a mixture: its predicted objective, and the recommended mixture's relative gain over it."""
    columns = [
        Column("predicted for"),
        Column(recommendation.units or recommendation.objective, recommendation.objective),
        Column("95 % interval"),
        Column("gain over it", "how much lower the objective of the recommended mixture is"),
        Column("95 % interval of the gain"),
    ]
    rows = []
    for name in ("recommended", *baselines_of(recommendation)):
        estimate, gain = recommendation.predicted.get(name), recommendation.gains.get(name)
        if estimate is None:
            continue
        gained = (NOTHING, NOTHING)
        if gain is not None:
            sure = "good" if gain.low is not None and gain.low > 0 else ""
            gained = percent(gain.value, sure), interval(gain.low, gain.high, "{:+.2f}", 100, " %")
        rows.append(
            [
                word(name, "strong" if name == "recommended" else ""),
                number(estimate.value),
                interval(estimate.low, estimate.high, "{:#.4g}"),
                *gained,
            ]
        )
    return table("predictions", "Predicted", columns, rows)


def objectives_table(recommendation: Recommendation) -> Table:
    """The optimum under each objective, from the same runs."""
    optima = {recommendation.objective: recommendation.mixture.to_dict(), **recommendation.other_objectives}
    rows = [
        [word(domain), *(number(weights.get(domain, 0.0), "{:.3f}") for weights in optima.values())]
        for domain in recommendation.mixture.domains
    ]
    columns = [Column("optimum under"), *named(optima, "weight that is best by this objective, from the same runs")]
    return table("objectives", "The best mixture by objective", columns, rows)


def mixture_figure(recommendation: Recommendation) -> Figure:
    """Weights by domain, largest first: a bar with its 95 % interval, and a mark for each baseline."""
    weights, baselines = recommendation.mixture.to_dict(), baselines_of(recommendation)
    looks = looks_of(["recommended", *baselines])
    order = sorted(weights, key=lambda domain: -weights[domain])
    ends = [recommendation.intervals.get(domain, (None, None)) for domain in order]
    rows = list(range(len(order)))
    known = any(low is not None for low, _ in ends)
    bars = Bars(
        name="recommended, 95 % interval" if known else "recommended", look=looks["recommended"],
        x=[weights[domain] for domain in order], low=[low for low, _ in ends] if known else (),
        high=[high for _, high in ends] if known else (), texts=[f"{weights[domain]:.3f}" for domain in order],
        about=order, say="recommended {x:.4f}",
    )  # fmt: skip
    ticks = [
        Points(name=name, look=looks[name], x=[mixture.to_dict().get(domain, 0.0) for domain in order], y=rows,
               symbol="tick", about=[f"{domain}: {name}" for domain in order], say="{x:.4f}")
        for name, mixture in baselines.items()
    ]  # fmt: skip
    top = max([*weights.values(), *(high or 0.0 for _, high in ends), *(max(m.weights) for m in baselines.values())])
    return Figure(
        name="mixture",
        title="Mixture",
        headline=_headline(recommendation, baselines),
        note="Bars: recommended share with its 95 % interval." + (" Ticks: the baselines." if ticks else ""),
        panels=[
            Panel(
                marks=[bars, *ticks],
                x=Axis(label="share of training tokens", limits=(0.0, top * 1.16)),
                y=Axis(rows=tuple(order)),
            )
        ],
        size=(7.2, 1.1 + 0.32 * len(order)),
        legend="bottom",
    )


def _headline(recommendation: Recommendation, baselines: Mapping[str, Mixture]) -> str:
    parts = []
    for name in baselines:
        gain = recommendation.gains.get(name)
        if gain is None:
            continue
        bar = "" if gain.low is None or gain.high is None else f" ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
        parts.append(f"\nagainst {name}: {100 * gain.value:+.1f} %{bar} predicted gain in {recommendation.objective}")
    return f"Recommended mixture, {recommendation.method}{''.join(parts)}"


def save_recommendation(
    recommendation: Recommendation, method: Method, out_dir: str | Path, plots: bool = True
) -> list[Path]:
    """Write `recommendation.json`, and with `plots` `mixture.png` and the method's own pictures.

    Each file is complete or absent: it is written beside its place and moved there.

    Args:
        out_dir: folder, made on demand.
        plots: draw pictures, as `mixopt.methods.*.figures` make them.

    Returns:
        The files written.

    Raises:
        ConfigError: the folder cannot be written.
    """
    from mixopt.report.console import write_files

    text = json.dumps(recommendation.to_dict(), indent=2, allow_nan=False) + "\n"
    contents = {"recommendation.json": text.encode()}
    if plots:
        from mixopt.report.png import png

        figures = [mixture_figure(recommendation), *method.figures(recommendation)]
        contents |= {f"{figure.name}.png": png(figure) for figure in figures}
    return write_files(Path(out_dir), contents)
