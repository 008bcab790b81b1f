"""Picture of a benchmark of search methods: regret against what was spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixopt.bench.bench import RANDOM
from mixopt.report.figure import MUTED, PALETTE, new_figure, plain, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mixopt.bench.outcome import Bench

_GRID = "#E6E6E6"
_DASHES = ("-", (0, (4, 2)))


def regret_figure(bench: Bench) -> Figure:
    """Mean regret of the recommendation over what was spent, with its 95 % interval; random search in grey."""
    figure = new_figure(7.4, 4.4)
    axes = figure.add_subplot()
    shown = 0
    for outcome in bench.outcomes:
        costs, mean, low, high = outcome.curve
        known = np.isfinite(mean)
        if outcome.name == RANDOM:
            axes.step(costs, mean, where="post", color=MUTED, linewidth=1.6, label=f"{outcome.title} (exact)")
            continue
        colour, dashes = PALETTE[shown % len(PALETTE)], _DASHES[shown // len(PALETTE) % len(_DASHES)]
        axes.fill_between(costs[known], low[known], high[known], step="post", color=colour, alpha=0.14, linewidth=0)
        axes.step(
            costs[known], mean[known], where="post", color=colour, linestyle=dashes, linewidth=1.6,
            label=plain(outcome.name),
        )  # fmt: skip
        shown += 1
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    # Regrets span decades and end at 0: linear below a hundredth of the largest, logarithmic above.
    most = max(float(np.nanmax(outcome.curve[1])) for outcome in bench.outcomes)
    if most > 0:
        axes.set_yscale("symlog", linthresh=most / 100)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel(f"spent, in runs of {bench.table.fidelities[-1].name}", fontsize=9)
    axes.set_ylabel(f"regret of the recommendation ({plain(bench.objective)}, nats/token)", fontsize=9)
    axes.set_title(plain(f"{bench.table.name}, {bench.seeds} seeds"), fontsize=10, loc="left")
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    tidy(axes)
    axes.legend(frameon=False, fontsize=8, loc="best")
    return figure
