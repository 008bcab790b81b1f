"""A recommendation as tables in the terminal, and as files in a folder. Any method's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console
    from rich.table import Table

    from mixopt.methods.base import Estimate, Recommendation
    from mixopt.mixture import Mixture


def print_recommendation(
    recommendation: Recommendation, baselines: Mapping[str, Mixture], console: Console | None = None
) -> None:
    """Weights against the baselines, predictions with error bars, other objectives, warnings.

    Args:
        recommendation: the answer.
        baselines: mixtures to show beside it, by name.
        console: where to; None for standard output.
    """
    from rich.markup import escape

    from mixopt.report.console import page
    from mixopt.units import format_count

    console = console or page()
    shown = distinct(baselines)
    console.print(
        f"\n[bold]Recommended mixture[/bold] for {format_count(recommendation.tokens)} tokens  "
        f"[dim]{escape(recommendation.method)}; objective {escape(recommendation.objective)}; "
        f"{len(recommendation.runs)} runs[/dim]"
    )
    console.print(weights_table(recommendation, shown))
    if recommendation.predicted:
        console.print(prediction_table(recommendation, shown))
    if recommendation.other_objectives:
        console.print(objectives_table(recommendation))
    if recommendation.warnings:
        console.print("[bold yellow]Warnings[/bold yellow]")
        console.print(bullets(recommendation.warnings))


def baselines_of(recommendation: Recommendation) -> dict[str, Mixture]:
    """The mixtures that a method compared its own with, by name."""
    from mixopt.mixture import Mixture

    return {name: Mixture.from_dict(w) for name, w in recommendation.details.get("baselines", {}).items()}


def distinct(baselines: Mapping[str, Mixture]) -> dict[str, Mixture]:
    """Baselines without repeats: of two that are the same mixture, the one not called `reference` is kept."""
    kept: dict[str, Mixture] = {}
    for name, mixture in sorted(baselines.items(), key=lambda item: item[0] == "reference"):
        if all(mixture.distance(other) > 5e-4 for other in kept.values()):
            kept[name] = mixture
    return kept


def weights_table(recommendation: Recommendation, baselines: Mapping[str, Mixture]) -> Table:
    """One row a domain: the weight with its 95 % interval, and what each baseline gives it."""
    from rich.markup import escape

    table = new_table("domain", "recommended", "95 % interval", *baselines)
    for domain, weight in recommendation.mixture.to_dict().items():
        interval = recommendation.intervals.get(domain)
        ends = f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "-"
        others = [f"{mixture.to_dict().get(domain, 0.0):.3f}" for mixture in baselines.values()]
        table.add_row(escape(domain), f"[bold]{weight:.3f}[/bold]", ends, *others)
    return table


def prediction_table(recommendation: Recommendation, baselines: Mapping[str, Mixture]) -> Table:
    """One row a mixture: its predicted objective, and the recommended mixture's relative gain over it."""
    units = recommendation.details.get("units", recommendation.objective)
    table = new_table("predicted for", units, "95 % interval", "gain over it", "95 % interval ")
    for name in ("recommended", *baselines):
        estimate = recommendation.predicted.get(name)
        if estimate is None:
            continue
        gain = recommendation.gains.get(name)
        cells = [f"{estimate.value:.4g}", between(estimate, "{:.4g}")]
        if gain is not None:
            percent = f"{100 * gain.value:+.2f} %"
            solid = gain.low is not None and gain.low > 0
            cells += [f"[green]{percent}[/green]" if solid else percent, between(gain, "{:+.2f}", 100) + " %"]
        table.add_row(f"[bold]{name}[/bold]" if name == "recommended" else name, *cells)
    return table


def objectives_table(recommendation: Recommendation) -> Table:
    """The optimum under each objective, from the same runs."""
    from rich.markup import escape

    columns = {recommendation.objective: recommendation.mixture.to_dict(), **recommendation.other_objectives}
    table = new_table("optimum under", *(escape(name) for name in columns))
    for domain in recommendation.mixture.domains:
        table.add_row(escape(domain), *(f"{weights[domain]:.3f}" for weights in columns.values()))
    return table


def new_table(first: str, *others: str) -> Table:
    """A table with a left column and right-aligned others."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table


def bullets(sentences: Iterable[str]) -> Table:
    """Sentences, a bullet each."""
    from rich.markup import escape
    from rich.table import Table

    grid = Table.grid(padding=(0, 1))
    for sentence in sentences:
        grid.add_row("[yellow]•[/yellow]", escape(sentence))
    return grid


def between(estimate: Estimate, form: str, scale: float = 1.0) -> str:
    """`low to high` of an interval, `-` where there is none."""
    if estimate.low is None or estimate.high is None:
        return "-"
    return f"{form.format(estimate.low * scale)} to {form.format(estimate.high * scale)}"


def save_recommendation(
    recommendation: Recommendation, out_dir: str | Path, baselines: Mapping[str, Mixture], plots: bool = True
) -> list[Path]:
    """Write `recommendation.json`, and with `plots` the pictures that the method's details allow.

    Each file is complete or absent: it is written beside its place and moved there.

    Args:
        recommendation: the answer.
        out_dir: folder, made on demand.
        baselines: mixtures to draw beside it, by name.
        plots: draw `mixture.png`; `curves.png` where there are fitted curves; `law.png` of a joint law by domain;
            `evidence.png` of a swarm's law on mixtures left out; `pareto.png` of two objectives;
            `scaling.png` where optima were carried on from scale to scale; `weights.png` of DoReMi's proxies.

    Returns:
        The files written.

    Raises:
        ConfigError: the folder cannot be written.
    """
    from mixopt.report.files import write_files

    folder = Path(out_dir)
    contents = {
        "recommendation.json": (json.dumps(recommendation.to_dict(), indent=2, allow_nan=False) + "\n").encode()
    }
    if plots:
        from mixopt.report import ddo_plots
        from mixopt.report.figure import png

        contents["mixture.png"] = png(ddo_plots.mixture_figure(recommendation, distinct(baselines)))
        if recommendation.details.get("domains"):
            contents["curves.png"] = png(ddo_plots.curves_figure(recommendation))
        if recommendation.details.get("losses"):
            from mixopt.report.joint_plots import law_figure

            contents["law.png"] = png(law_figure(recommendation))
        if recommendation.details.get("doremi"):
            from mixopt.report.doremi_plots import weights_figure

            contents["weights.png"] = png(weights_figure(recommendation))
        if recommendation.details.get("evidence"):
            from mixopt.report.search_plots import evidence_figure

            contents["evidence.png"] = png(evidence_figure(recommendation))
        if recommendation.details.get("pareto"):
            from mixopt.report.search_plots import pareto_figure

            contents["pareto.png"] = png(pareto_figure(recommendation))
        if recommendation.details.get("path"):
            from mixopt.report.autoscale_plots import scaling_figure

            contents["scaling.png"] = png(scaling_figure(recommendation))
    return write_files(folder, contents)
