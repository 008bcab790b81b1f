"""A benchmark of search methods: table, notes, and the picture of regret against what was spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.markup import escape

from mixopt.bench.bench import RANDOM, SINGLE
from mixopt.bench.replay import COSTS
from mixopt.display.colours import looks_of
from mixopt.display.figure import Axis, Figure, Line, Panel
from mixopt.display.table import NOTHING, Cell, Column, Table, interval, named, number, table, word
from mixopt.report.console import grid

if TYPE_CHECKING:
    from rich.console import Console

    from mixopt.bench.bench import Bench
    from mixopt.methods.base import Estimate


def print_bench(bench: Bench, console: Console) -> None:
    """What was replayed, the table, and how to read it."""
    table, target = bench.table, bench.table.fidelities[-1]
    candidates = int(table.available[-1].sum())
    seeds = "1 seed" if bench.seeds == 1 else f"{bench.seeds} seeds"
    console.print(
        f"\n[bold]Search methods on {escape(table.name)}[/bold]  objective {escape(bench.objective)}, "
        f"top {bench.top} of {candidates} mixtures at {target.name}, {seeds}",
        highlight=False,
    )
    cheap = [f"{f.name} (costs {f.cost:.3g})" for f in table.fidelities[:-1]]
    if cheap:
        console.print(
            f"[dim]a cost of 1 is one run at {target.name}; cheaper: {', '.join(cheap)}[/dim]", highlight=False
        )
    console.print(grid(bench_table(bench)))
    for line in _notes(bench):
        console.print(f"[dim]{escape(line)}[/dim]", highlight=False)


def bench_table(bench: Bench) -> Table:
    """A row a method: cost to reach the top, regret at several costs, how far ahead of the plain ones."""
    others = [name for name in (SINGLE, RANDOM) if any(name in outcome.against for outcome in bench.outcomes)]
    ranks = any(outcome.rank_correlation is not None for outcome in bench.outcomes)
    columns = [
        Column("method"),
        *named(["cost to\nreach top", "95 %\ninterval"]),
        *named(f"regret\nat {cost:g}" for cost in COSTS),
        *named(f"times ahead of\n{name}" for name in others),
        *named(["rank\ncorr."] if ranks else []),
    ]
    rows = [
        [
            word(outcome.name, "strong"),
            number(outcome.reach.value, ">{:.2f}" if outcome.missed else "{:.2f}"),
            word("exact") if outcome.reach.low is None else interval(outcome.reach.low, outcome.reach.high, "{:.2f}"),
            *(_value(outcome.regret.get(cost), "{:.3f}") for cost in COSTS),
            *(_times(outcome.against.get(name)) for name in others),
            *([number(outcome.rank_correlation, "{:.3f}")] if ranks else []),
        ]
        for outcome in bench.outcomes
    ]
    return table("bench", f"Search methods on {bench.table.name}", columns, rows)


def _notes(bench: Bench) -> list[str]:
    lines = [
        "cost to reach: all that was spent until a mixture of the true top had been measured at the target; "
        "regret: of the mixture recommended, nats/token"
    ]
    lines += [f"{o.name}: {o.missed} of {bench.seeds} seeds never reached it" for o in bench.outcomes if o.missed]
    refused = {o.name: [replay.refused for replay in o.replays if replay.refused] for o in bench.outcomes}
    return lines + [f"{name}: it gave up in {len(why)}, first as {why[0]}" for name, why in refused.items() if why]


def _value(found: Estimate | None, form: str) -> Cell:
    return NOTHING if found is None else number(found.value, form)


def _times(found: Estimate | None) -> Cell:
    if found is None:
        return NOTHING
    return Cell(text=f"{found.value:.3g} ({found.low:.2g}-{found.high:.2g})", value=found.value, key=found.value)


def regret_figure(bench: Bench) -> Figure:
    """Mean regret of the recommendation over what was spent, with its 95 % interval; random search in grey."""
    looks = looks_of(outcome.name for outcome in bench.outcomes)
    lines = []
    for outcome in bench.outcomes:
        costs, mean, low, high = outcome.curve
        known = np.isfinite(mean)
        exact = outcome.name == RANDOM
        ends = {} if exact else {"low": low[known].tolist(), "high": high[known].tolist()}
        lines.append(
            Line(name=f"{outcome.title} (exact)" if exact else outcome.name, look=looks[outcome.name], steps=True,
                 x=costs[known].tolist(), y=mean[known].tolist(), about=outcome.name, **ends)
        )  # fmt: skip
    # Regrets span decades and end at 0: linear below a hundredth of the largest, logarithmic above.
    most = max((y for line in lines for y in line.y if y is not None), default=0.0)
    y = f"regret of the recommendation ({bench.objective}, nats/token)"
    return Figure(
        name="regret",
        title=f"{bench.table.name}, {bench.seeds} seeds",
        panels=[
            Panel(
                marks=lines,
                x=Axis(label=f"spent, in runs of {bench.table.fidelities[-1].name}", scale="log"),
                y=Axis(label=y, scale="symlog" if most > 0 else "linear", linear_below=most / 100, zero=True),
            )
        ],
        size=(7.4, 4.4),
        legend="inside",
    )
