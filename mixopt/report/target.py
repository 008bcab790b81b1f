"""A trained target: a table by domain, and a picture of how its losses fell."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mixopt.model_spec import LOSS_UNITS
from mixopt.report.figure import PALETTE, count_ticks, new_figure, plain, tidy
from mixopt.units import format_count, format_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from rich.console import Console

    from mixopt.comparison import Entry, Measured
    from mixopt.result import RunResult
    from mixopt.spec import RunSpec

    Run = tuple[RunSpec, RunResult]

_INK, _GRID = "#222222", "#E6E6E6"


def target_dict(name: str, entry: Entry, runs: Sequence[Run]) -> dict[str, Any]:
    """A target as JSON values.

    Args:
        name: the mixture's.
        entry: what its runs measured.
        runs: these runs, which differ in their seed only.
    """
    content = asdict(entry)
    kept = ("weights", "policy", "runs", "seeds", "tokens", "mean_loss", "mean_ppl", "mean_bits_per_byte", "worst")
    return {
        "mixture": name,
        **{key: content[key] for key in kept},
        "domains": {
            domain: {**content["domains"][domain], "tokens": _tokens(runs, domain)} for domain in entry.domains
        },
        "tokens_per_second": _mean(result.tokens_per_second for _, result in runs),
        "seconds": _mean(result.seconds for _, result in runs),
        "device": runs[0][1].device,
    }


def print_target(name: str, entry: Entry, runs: Sequence[Run], console: Console) -> None:
    """Losses by domain, their means over training domains, and the speed; arguments as for `target_dict`."""
    several = len(entry.seeds) > 1
    seeds = f"{len(entry.seeds)} seeds; ± is one standard error" if several else f"seed {entry.seeds[0]}"
    console.print(
        f"\n[bold]{escape(name)}[/bold]  [dim]{format_count(entry.tokens)} tokens, {seeds}[/dim]", highlight=False
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("domain", no_wrap=True)
    masked = runs[0][0].objective == "masked"
    losses = ("masked loss", "exp of it", "bits/byte") if masked else ("loss", "perplexity", "bits/byte")
    for title in ("weight", "tokens", "epochs", *losses):
        table.add_column(title, justify="right", no_wrap=True)
    for domain, part in entry.domains.items():
        drawn = ("only measured", "", "")
        if part.trained:
            tokens = format_count(round(_tokens(runs, domain)))
            drawn = f"{entry.weights[domain]:.4f}", tokens, f"{part.epochs:.2f}"
        measured = _text(part.loss, 4), _text(part.ppl, 2), _text(part.bits_per_byte, 4)
        table.add_row(escape(domain), *drawn, *measured)
    table.add_section()
    means = _text(entry.mean_loss, 4), _text(entry.mean_ppl, 2), _text(entry.mean_bits_per_byte, 4)
    table.add_row("[bold]mean of training domains[/bold]", "", format_count(entry.tokens), "", *means)
    console.print(table)
    speed = _mean(result.tokens_per_second for _, result in runs)
    seconds = _mean(result.seconds for _, result in runs)
    console.print(
        f"{format_count(speed)} tokens/s on {escape(runs[0][1].device)}, {format_seconds(seconds)} a run with its "
        f"evaluations; runs {', '.join(entry.runs)}",
        highlight=False,
    )


def losses_figure(name: str, entry: Entry, runs: Sequence[Run]) -> Figure:
    """Validation losses against training tokens, means over seeds; arguments as for `target_dict`."""
    figure = new_figure(7.6, 4.6)
    axes = figure.add_subplot()
    curves = _curves(runs)
    for index, (domain, part) in enumerate(entry.domains.items()):
        axes.plot(
            *curves[domain],
            color=PALETTE[index % len(PALETTE)],
            linestyle="-" if part.trained else (0, (4, 2)),
            linewidth=1.5,
            marker="o",
            markersize=2.5,
            label=plain(domain) if part.trained else f"{plain(domain)} (only measured)",
        )
    trained = [domain for domain, part in entry.domains.items() if part.trained]
    mean = np.mean([curves[domain][1] for domain in trained], axis=0)
    axes.plot(curves[trained[0]][0], mean, color=_INK, linewidth=2.4, label="mean of training domains")
    axes.set_xscale("log")
    count_ticks(axes.xaxis)
    axes.set_xlabel("training tokens", fontsize=9)
    axes.set_ylabel(f"validation loss ({LOSS_UNITS[runs[0][0].objective]})", fontsize=9)
    axes.set_title(f"{plain(name)}, {format_count(entry.tokens)} tokens", fontsize=10, loc="left")
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    tidy(axes)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _curves(runs: Sequence[Run]) -> dict[str, tuple[list[int], list[float]]]:
    """Tokens and mean validation losses of each domain's points."""
    points: dict[str, dict[int, list[float]]] = {}
    for _, result in runs:
        columns = (result.curve[column] for column in ("tokens", "split", "domain", "loss"))
        for tokens, split, domain, loss in zip(*columns, strict=True):
            if split == "validation":
                points.setdefault(domain, {}).setdefault(tokens, []).append(loss)
    return {
        domain: (list(some), [float(np.mean(losses)) for losses in some.values()])
        for domain, some in points.items()
    }


def _tokens(runs: Sequence[Run], domain: str) -> float:
    return _mean(result.domains[domain].tokens_seen for _, result in runs)


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))


def _text(measured: Measured | None, digits: int) -> str:
    if measured is None:
        return ""
    error = measured.standard_error
    return f"{measured.value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")
