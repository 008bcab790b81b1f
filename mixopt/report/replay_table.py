"""A benchmark of search methods as a table in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mixopt.bench.bench import RANDOM, SINGLE
from mixopt.bench.replay import COSTS

if TYPE_CHECKING:
    from rich.console import Console

    from mixopt.bench.outcome import Bench, Outcome
    from mixopt.methods.base import Estimate

_NONE = "-"


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
    console.print(_grid(bench))
    for line in _notes(bench):
        console.print(f"[dim]{escape(line)}[/dim]", highlight=False)


def _grid(bench: Bench) -> Table:
    grid = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column("method", no_wrap=True)
    grid.add_column("cost to\nreach top", justify="right", no_wrap=True)
    grid.add_column("95 %\ninterval", justify="right", no_wrap=True)
    for cost in COSTS:
        grid.add_column(f"regret\nat {cost:g}", justify="right", no_wrap=True)
    others = [name for name in (SINGLE, RANDOM) if any(name in outcome.against for outcome in bench.outcomes)]
    for name in others:
        grid.add_column(f"times ahead of\n{name}", justify="right", no_wrap=True)
    ranks = any(outcome.rank_correlation is not None for outcome in bench.outcomes)
    if ranks:
        grid.add_column("rank\ncorr.", justify="right", no_wrap=True)
    for outcome in bench.outcomes:
        rank = outcome.rank_correlation
        grid.add_row(
            f"[bold]{escape(outcome.name)}[/bold]",
            _reach(outcome),
            _span(outcome.reach),
            *(_regret(outcome.regret.get(cost)) for cost in COSTS),
            *(_times(outcome.against.get(name)) for name in others),
            *([f"{rank:.3f}" if rank is not None else _NONE] if ranks else []),
        )
    return grid


def _notes(bench: Bench) -> list[str]:
    lines = [
        "cost to reach: all that was spent until a mixture of the true top had been measured at the target; "
        "regret: of the mixture recommended, nats/token",
    ]
    lines += [f"{o.name}: {o.missed} of {bench.seeds} seeds never reached it" for o in bench.outcomes if o.missed]
    return lines


def _reach(outcome: Outcome) -> str:
    return f"{'>' if outcome.missed else ''}{outcome.reach.value:.2f}"


def _span(found: Estimate) -> str:
    return "exact" if found.low is None else f"{found.low:.2f} to {found.high:.2f}"


def _regret(found: Estimate | None) -> str:
    return _NONE if found is None else f"{found.value:.3f}"


def _times(found: Estimate | None) -> str:
    return _NONE if found is None else f"{found.value:.3g} ({found.low:.2g}-{found.high:.2g})"
