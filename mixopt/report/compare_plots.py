"""Pictures of a comparison: curves with the tokens saved, gains by domain, mixtures."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from mixopt.report.compare_table import ONLY_MEASURED
from mixopt.report.figure import MUTED, PALETTE, count_ticks, new_figure, plain, tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixopt.comparison import Comparison, Entry

_BASELINE, _LINE, _GRID = "#555555", "#222222", "#E6E6E6"
_PANELS_ACROSS = 4
# Of a label to an inch.
_LETTERS = 13


def _colours(comparison: Comparison) -> dict[str, str]:
    """The main baseline in grey, the others in the palette's order."""
    others = [name for name in comparison.entries if name != comparison.baseline]
    return {comparison.baseline: _BASELINE, **{name: PALETTE[i % len(PALETTE)] for i, name in enumerate(others)}}


def curves_figure(comparison: Comparison) -> Figure:
    """The objective against tokens: mean and range over seeds, and where each reaches the baseline's end."""
    figure = new_figure(7.6, 4.6)
    axes = figure.add_subplot()
    colours = _colours(comparison)
    drawn = {name: entry for name, entry in comparison.entries.items() if entry.curve is not None}
    shown: list[float] = []
    for name, entry in drawn.items():
        curve = entry.curve
        assert curve is not None
        tokens, values = np.array(curve.tokens), np.array(curve.values)
        axes.fill_between(
            tokens, values.min(axis=0), values.max(axis=0), color=colours[name], alpha=0.16, linewidth=0
        )
        axes.plot(tokens, values.mean(axis=0), color=colours[name], linewidth=1.7, label=plain(name))
        # The first steep fall would leave no room for differences: the axis starts where some of it is trained.
        shown += [float(values.min()), float(values.mean(axis=0)[tokens >= 0.15 * tokens[-1]].max())]
    axes.set_xscale("log")
    if shown:
        low, high = min(shown), max(shown)
        axes.set_ylim(low - (0.06 + 0.04 * len(drawn)) * (high - low), high + 0.03 * (high - low))
        _mark_reached(axes, comparison, colours)
    _token_ticks(axes, [entry.tokens for entry in drawn.values()])
    axes.set_xlabel("training tokens", fontsize=9)
    axes.set_ylabel(f"{plain(comparison.objective)} ({comparison.units})", fontsize=9)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    tidy(axes)
    axes.legend(frameon=False, fontsize=8, loc="upper right", title="mean and range over seeds", title_fontsize=8)
    return figure


def _token_ticks(axes: Axes, tokens: Sequence[int]) -> None:
    if tokens:
        axes.set_xlim(0.14 * min(tokens), 1.06 * max(tokens))
    count_ticks(axes.xaxis)


def _mark_reached(axes: Axes, comparison: Comparison, colours: dict[str, str]) -> None:
    """The baseline's final value as a line, and on it where each other mixture gets there."""
    baseline = comparison.baseline
    end = comparison.entries[baseline].objective.value
    reached = {name: entry.tokens_to_reach.get(baseline) for name, entry in comparison.entries.items()}
    found = {name: reach for name, reach in reached.items() if reach and reach.tokens is not None}
    if not found:
        return
    axes.axhline(end, color=_LINE, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(f"{plain(baseline)} ends at {end:.4g}", (0.012, end), xycoords=("axes fraction", "data"),
                  xytext=(0, 3), textcoords="offset points", fontsize=8, color=_LINE)  # fmt: skip
    bottom = axes.get_ylim()[0]
    for position, (name, reach) in enumerate(sorted(found.items(), key=lambda item: item[1].tokens or 0)):
        assert reach.tokens is not None
        assert reach.saved is not None
        axes.plot([reach.tokens], [end], "o", color=colours[name], markersize=5, zorder=5)
        axes.vlines(reach.tokens, bottom, end, color=colours[name], linewidth=1, linestyle=(0, (1, 2)))
        interval = ""
        if reach.low is not None and reach.high is not None:
            interval = f" ({100 * reach.low:.0f} to {100 * reach.high:.0f})"
        word = "fewer" if reach.saved >= 0 else "more"
        axes.annotate(
            f"{plain(name)}: {100 * abs(reach.saved):.0f} %{interval} {word} tokens",
            (0.012, end), xycoords=("axes fraction", "data"), xytext=(0, -12 - 11 * position),
            textcoords="offset points", fontsize=8, color=colours[name],
        )  # fmt: skip


def gains_figure(comparison: Comparison) -> Figure:
    """A panel a mixture: the relative gain over the main baseline in each domain, with its standard error."""
    others = {name: entry for name, entry in comparison.entries.items() if name != comparison.baseline}
    domains = list(comparison.entries[comparison.baseline].domains)

    def draw(axes: Axes, entry: Entry, colour: str) -> None:
        versus = entry.versus[comparison.baseline]
        parts = [versus.gain, *(versus.domains[domain] for domain in domains)]
        gains = 100 * np.array([part.value for part in parts])
        errors = 100 * np.array([part.standard_error or 0.0 for part in parts])
        rows = np.arange(len(parts))
        axes.barh(rows, gains, height=0.66, color=colour, alpha=0.75, xerr=errors,
                  error_kw={"ecolor": _LINE, "elinewidth": 1.1})  # fmt: skip
        axes.axvline(0, color=_LINE, linewidth=0.8)
        axes.axhline(0.5, color=_GRID, linewidth=1)
        # Numbers on the empty side of the axis, where no bar is in their way.
        for row, gain in zip(rows, gains, strict=True):
            axes.annotate(f"{gain:+.1f}", (0, row), xytext=(-4 if gain >= 0 else 4, 0), textcoords="offset points",
                          ha="right" if gain >= 0 else "left", va="center", fontsize=7.5, color=_LINE)  # fmt: skip

    labels = [plain(comparison.objective), *(_domain_label(comparison, domain) for domain in domains)]
    xlabel = f"gain over {plain(comparison.baseline)}, % lower {_what(comparison)} (± one standard error)"
    figure = _panels(comparison, others, labels, xlabel, draw)
    limit = max(abs(bound) for axes in figure.axes for bound in axes.get_xlim())
    figure.axes[0].set_xlim(-limit, limit)
    return figure


def _what(comparison: Comparison) -> str:
    return "perplexity" if comparison.metric == "perplexity" else "bits per byte"


def mixtures_figure(comparison: Comparison) -> Figure:
    """A panel a mixture: the weight of each domain."""
    domains = list(dict.fromkeys(domain for entry in comparison.entries.values() for domain in entry.weights))

    def draw(axes: Axes, entry: Entry, colour: str) -> None:
        weights = [entry.weights.get(domain, 0.0) for domain in domains]
        axes.barh(np.arange(len(domains)), weights, height=0.66, color=colour, alpha=0.75)
        for row, weight in enumerate(weights):
            axes.annotate(f"{weight:.3f}", (weight, row), xytext=(3, 0), textcoords="offset points", va="center",
                          fontsize=7.5, color=_LINE)  # fmt: skip

    labels = [plain(domain) for domain in domains]
    figure = _panels(comparison, comparison.entries, labels, "share of training tokens", draw)
    top = max(max(entry.weights.values()) for entry in comparison.entries.values())
    figure.axes[0].set_xlim(0, 1.28 * top)
    return figure


def _domain_label(comparison: Comparison, domain: str) -> str:
    trained = any(entry.domains[domain].trained for entry in comparison.entries.values())
    return plain(domain) if trained else f"{plain(domain)} {ONLY_MEASURED}"


def _panels(
    comparison: Comparison,
    entries: dict[str, Entry],
    labels: Sequence[str],
    xlabel: str,
    draw: Callable[[Axes, Entry, str], None],
) -> Figure:
    """Panels side by side with one row a label, on shared axes; further rows of panels where they are many."""
    colours = _colours(comparison)
    across = min(_PANELS_ACROSS, len(entries))
    down = math.ceil(len(entries) / across)
    width = 1.4 + 2.3 * across
    figure = new_figure(width, down * (0.75 + 0.24 * len(labels)) + 0.3)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (name, entry) in zip(panels, entries.items(), strict=False):
        draw(axes, entry, colours[name])
        axes.set_title(plain(name), fontsize=9, color=colours[name], loc="left")
        tidy(axes)
        axes.tick_params(axis="y", length=0, labelsize=8.5)
        axes.grid(axis="x", color=_GRID, linewidth=0.6)
        axes.set_axisbelow(True)
    for axes in panels[len(entries) :]:
        figure.delaxes(axes)
    panels[0].set_yticks(np.arange(len(labels)), labels)
    panels[0].set_ylim(len(labels) - 0.4, -0.6)
    figure.supxlabel(textwrap.fill(xlabel, int(_LETTERS * width)), fontsize=9, color=MUTED)
    return figure
