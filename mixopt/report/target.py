"""A trained target: a table by domain, and a picture of how its losses fell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.markup import escape

from mixopt.display.colours import INK, Look, looks_in_order
from mixopt.display.figure import Axis, Figure, Line, Panel
from mixopt.display.table import NOTHING, Cell, Column, Table, count, named, number, table, word
from mixopt.model_spec import LOSS_UNITS
from mixopt.report.comparison import measured
from mixopt.report.console import grid
from mixopt.units import format_count, format_seconds

if TYPE_CHECKING:
    from rich.console import Console

    from mixopt.comparison import Entry, Measured
    from mixopt.result import Run


def target_dict(name: str, entry: Entry, runs: Sequence[Run]) -> dict[str, Any]:
    """A target as JSON values."""
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
    console.print(grid(target_table(name, entry, runs)))
    speed = _mean(result.tokens_per_second for _, result in runs)
    seconds = _mean(result.seconds for _, result in runs)
    console.print(
        f"{format_count(speed)} tokens/s on {escape(runs[0][1].device)}, {format_seconds(seconds)} a run with its "
        f"evaluations; runs {', '.join(entry.runs)}",
        highlight=False,
    )


def target_table(name: str, entry: Entry, runs: Sequence[Run]) -> Table:
    """A row a domain: its share and losses; below, means over training domains. Arguments as for `target_dict`."""
    masked = runs[0][0].objective == "masked"
    losses = ("masked loss", "exp of it", "bits/byte") if masked else ("loss", "perplexity", "bits/byte")
    rows = []
    for domain, part in entry.domains.items():
        drawn = [word("only measured"), NOTHING, NOTHING]
        if part.trained:
            tokens = count(round(_tokens(runs, domain)))
            drawn = [number(entry.weights[domain], "{:.4f}"), tokens, number(part.epochs, "{:.2f}")]
        rows.append([word(domain), *drawn, *_measured(part.loss, part.ppl, part.bits_per_byte)])
    means = _measured(entry.mean_loss, entry.mean_ppl, entry.mean_bits_per_byte)
    foot = ((word("mean of training domains", "strong"), NOTHING, count(entry.tokens), NOTHING, *means),)
    columns = [Column("domain"), *named(("weight", "tokens", "epochs", *losses))]
    return table("target", name, columns, rows, foot=foot)


def _measured(loss: Measured, ppl: Measured, bits: Measured | None) -> list[Cell]:
    return [measured(part, form) for part, form in ((loss, "{:.4f}"), (ppl, "{:.2f}"), (bits, "{:.4f}"))]


def losses_figure(name: str, entry: Entry, runs: Sequence[Run]) -> Figure:
    """Validation losses against training tokens, means over seeds; arguments as for `target_dict`."""
    curves, looks = _curves(runs), looks_in_order(list(entry.domains))
    lines = [
        Line(
            name=domain if part.trained else f"{domain} (only measured)",
            look=looks[domain] if part.trained else Look(looks[domain].colour, "dash"),
            x=curves[domain][0], y=curves[domain][1], dots=True,
        )
        for domain, part in entry.domains.items()
    ]  # fmt: skip
    trained = [domain for domain, part in entry.domains.items() if part.trained]
    mean = np.mean([curves[domain][1] for domain in trained], axis=0).tolist()
    lines.append(Line(name="mean of training domains", look=INK, x=curves[trained[0]][0], y=mean, width=2.4))
    return Figure(
        name="losses",
        title=f"{name}, {format_count(entry.tokens)} tokens",
        panels=[
            Panel(
                marks=lines,
                x=Axis(label="training tokens", scale="log", counts=True),
                y=Axis(label=f"validation loss ({LOSS_UNITS[runs[0][0].objective]})"),
            )
        ],
        size=(7.6, 4.4),
        legend="right",
    )


def _curves(runs: Sequence[Run]) -> dict[str, tuple[list[int], list[float]]]:
    """Tokens and mean validation losses of each domain's points."""
    points: dict[str, dict[int, list[float]]] = {}
    for _, result in runs:
        columns = (result.curve[column] for column in ("tokens", "split", "domain", "loss"))
        for tokens, split, domain, loss in zip(*columns, strict=True):
            if split == "validation":
                points.setdefault(domain, {}).setdefault(tokens, []).append(loss)
    return {
        domain: (list(some), [float(np.mean(losses)) for losses in some.values()]) for domain, some in points.items()
    }


def _tokens(runs: Sequence[Run], domain: str) -> float:
    return _mean(result.domains[domain].tokens_seen for _, result in runs)


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))
