"""Pictures of a recommendation: the mixture against the baselines, and the fitted curves with their points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.report.figure import new_figure, plain, tidy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixopt.methods.base import Recommendation
    from mixopt.mixture import Mixture

# Okabe and Ito's palette: told apart with colour-blind eyes too.
_MAIN, _BAR, _POINT, _OPTIMUM = "#0072B2", "#8DC1E3", "#222222", "#D55E00"
_OTHERS = ("#777777", "#D55E00", "#009E73", "#CC79A7", "#E69F00")


def mixture_figure(recommendation: Recommendation, baselines: Mapping[str, Mixture]) -> Figure:
    """Weights by domain, largest first: a bar with its 95 % interval, and a mark for each baseline."""
    weights = recommendation.mixture.to_dict()
    names = sorted(weights, key=lambda name: -weights[name])
    figure = new_figure(7.2, 1.7 + 0.17 * len(baselines) + 0.36 * len(names))
    axes = figure.add_subplot()
    rows = np.arange(len(names))
    axes.barh(rows, [weights[name] for name in names], height=0.62, color=_BAR, label="recommended")
    for row, name in enumerate(names):
        if name not in recommendation.intervals:
            continue
        axes.plot(recommendation.intervals[name], [row, row], color=_POINT, linewidth=1.8, solid_capstyle="butt",
                  label="95 % interval" if row == 0 else None)  # fmt: skip
    for index, (label, mixture) in enumerate(baselines.items()):
        given = mixture.to_dict()
        values = [given.get(name, 0.0) for name in names]
        colour = _OTHERS[index % len(_OTHERS)]
        axes.vlines(values, rows - 0.42, rows + 0.42, color=colour, linewidth=2.2, label=plain(label))
    top = max([*weights.values(), *(high for _, high in recommendation.intervals.values())])
    top = max([top, *(max(mixture.weights) for mixture in baselines.values())])
    axes.set_xlim(0, top * 1.16)
    for row, name in enumerate(names):
        axes.annotate(f"{weights[name]:.3f}", (1, row), xycoords=("axes fraction", "data"), ha="right", va="center",
                      fontsize=9, color=_POINT)  # fmt: skip
    axes.set_yticks(rows, [plain(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("share of training tokens", fontsize=9)
    figure.suptitle(_headline(recommendation, baselines), x=0.01, ha="left", fontsize=10)
    tidy(axes)
    axes.tick_params(axis="y", length=0, labelsize=9)
    figure.legend(loc="outside lower center", ncols=3 + len(baselines), frameon=False, fontsize=8)
    return figure


def _headline(recommendation: Recommendation, baselines: Mapping[str, Mixture]) -> str:
    parts = []
    for name in baselines:
        gain = recommendation.gains.get(name)
        if gain is None:
            continue
        bar = "" if gain.low is None or gain.high is None else f" ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
        parts.append(
            f"\nagainst {name}: {100 * gain.value:+.1f} %{bar} predicted gain in {recommendation.objective}"
        )
    return f"Recommended mixture, {recommendation.method}{''.join(parts)}"


def curves_figure(recommendation: Recommendation) -> Figure:
    """One small panel a domain: measured points, the fitted law with its 95 % band, and the recommended amount."""
    details = recommendation.details
    domains: dict[str, Any] = details["domains"]
    columns = min(4, len(domains))
    rows = math.ceil(len(domains) / columns)
    figure = new_figure(2.45 * columns + 0.4, 2.15 * rows + 0.9)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    flat = list(panels.ravel())
    for axes in flat[len(domains) :]:
        axes.set_visible(False)
    for axes, (name, part) in zip(flat, domains.items(), strict=False):
        _panel(axes, name, part)
    _limits(flat, domains)
    for position, axes in enumerate(flat[: len(domains)]):
        # The lowest panel of each column carries the axis, also where the last row is not full.
        axes.tick_params(labelbottom=position + columns >= len(domains))
    figure.supxlabel("tokens of the domain, multiples of the base run", fontsize=9)
    figure.supylabel(f"{recommendation.objective} ({details['units']})", fontsize=9)
    handles, labels = flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=8)
    return figure


def _panel(axes: Axes, name: str, part: dict[str, Any]) -> None:
    curve, points, best = part["curve"], part["points"], part["recommended_x"]
    axes.fill_between(
        curve["x"], curve["low"], curve["high"], color=_MAIN, alpha=0.18, linewidth=0, label="95 % band"
    )
    axes.plot(curve["x"], curve["y"], color=_MAIN, linewidth=1.6, label="fitted law")
    bars = 1.96 * np.array(points["sd"])
    axes.errorbar(points["x"], points["y"], yerr=bars, fmt="o", color=_POINT, markersize=4, linewidth=1, capsize=2,
                  label="measured, ±1.96 sd")  # fmt: skip
    axes.axvline(max(best, 1e-9), color=_OPTIMUM, linewidth=1.6, linestyle=(0, (4, 2)), label="recommended amount")
    axes.set_title(f"{plain(name)}  x{best:.2f}", fontsize=9)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    tidy(axes)


def _limits(panels: list[Axes], domains: dict[str, Any]) -> None:
    """One scale for all panels, set by the points: a band that runs off must not flatten the rest."""
    points = [part["points"] for part in domains.values()]
    low = min(y - 2 * sd for part in points for y, sd in zip(part["y"], part["sd"], strict=True))
    high = max(y + 2 * sd for part in points for y, sd in zip(part["y"], part["sd"], strict=True))
    pad = 0.12 * (high - low)
    panels[0].set_ylim(low - pad, high + pad)
    amounts = [x for part in points for x in part["x"]]
    best = [part["recommended_x"] for part in domains.values()]
    left, right = min(amounts) / 1.6, max(*amounts, *best) * 1.25
    panels[0].set_xscale("log")
    panels[0].set_xlim(left, right)
    # Nominal factors: realised ones differ by a sequence from domain to domain.
    ticks = sorted({float(f"{x:.2g}") for x in amounts})
    ticks = [tick for i, tick in enumerate(ticks) if i == 0 or tick / ticks[i - 1] > 1.15]
    panels[0].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    for axes, amount in zip(panels, best, strict=False):
        axes.minorticks_off()
        if amount < left:
            axes.annotate(f"← x{amount:.2g}", (0.02, 0.04), xycoords="axes fraction", fontsize=8, color=_OPTIMUM)
