"""AutoScale's picture: how the best amounts and weights move with scale (Kang et al. 2024, Figure 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.report.figure import MUTED, PALETTE, count_ticks, new_figure, plain, tidy
from mixopt.units import format_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mixopt.methods.base import Recommendation

# For many domains: darker hues between the palette's, so that neighbours in a list differ in lightness too.
_COLOURS = (*PALETTE, "#5B3A8E", "#1B9E9E", "#A50026", "#4D9221", "#222222", "#999999")
_MARKERS = "os"
# With more domains bands cover each other.
_MOST_BANDS = 8
# Lines of text that fit the height of a panel without touching.
_LABEL_ROWS = 26


def scaling_figure(recommendation: Recommendation) -> Figure:
    """Two panels against total tokens: each domain's optimal tokens (log-log) and its weight.

    Lines are the chosen predictor's with their 95 % intervals, points DDO's own optima at the scales with theirs;
    the target is marked. A domain that the predictor holds at the largest scale's share has a line from there on.
    """
    details = recommendation.details
    figure = new_figure(11.5, 5.0)
    left, right = figure.subplots(1, 2)
    totals = np.array(details["path"]["tokens"])
    domains: dict[str, Any] = details["path"]["domains"]
    order = sorted(domains, key=lambda name: -recommendation.mixture.to_dict()[name])
    held = details["geometric"]["held"] if details["chosen"] == "geometric" else []
    largest = max(scale["tokens"] for scale in details["scales"])
    for axes, amounts in ((left, totals), (right, np.ones_like(totals))):
        for index, name in enumerate(order):
            shown = totals >= (largest if name in held and totals[-1] > largest else 0)
            _line(axes, totals[shown], amounts[shown], _cut(domains[name], shown), _COLOURS[index % len(_COLOURS)],
                  shaded=len(order) <= _MOST_BANDS, shift=index / len(order))  # fmt: skip
        _points(axes, details["scales"], order, tokens=axes is left)
        axes.set_xscale("log")
        axes.axvline(recommendation.tokens, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0)
        axes.annotate(f"target {format_count(recommendation.tokens)}", (recommendation.tokens, 1), (0, 3),
                      xycoords=("data", "axes fraction"), textcoords="offset points", ha="right", va="bottom",
                      fontsize=8, color=MUTED)  # fmt: skip
        axes.set_xlabel("training tokens", fontsize=9)
        axes.grid(axis="y", color="#ECECEC", linewidth=0.6)
        axes.set_axisbelow(True)
        tidy(axes)
        count_ticks(axes.xaxis)
    left.set_yscale("log")
    _limits(left, right, totals, domains, details["scales"])
    count_ticks(left.yaxis)
    left.set_title("optimal tokens of each domain", fontsize=9, loc="left")
    right.set_title("optimal share of each domain", fontsize=9, loc="left")
    for axes, ends in (
        (left, [domains[name]["weights"][-1] * totals[-1] for name in order]),
        (right, [domains[name]["weights"][-1] for name in order]),
    ):
        _name_lines(axes, totals[-1], ends, order)
    where = "" if len(order) <= _MOST_BANDS else " at the target"
    sure = f" with 95 % intervals{where}" if all("low" in part for part in domains.values()) else ""
    figure.suptitle(
        f"{plain(recommendation.method)}\nlines: {details['chosen']} predictor{sure}; points: the optimum found at "
        "each scale",
        x=0.01, ha="left", fontsize=10,
    )  # fmt: skip
    return figure


def _cut(part: dict[str, Any], shown: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    return {name: np.array(values)[shown] for name, values in part.items()}


def _line(
    axes: Axes,
    totals: NDArray[np.float64],
    amounts: NDArray[np.float64],
    part: dict[str, NDArray[np.float64]],
    colour: str,
    *,
    shaded: bool,
    shift: float,
) -> None:
    """A line with its interval: a band, or with many domains, whose bands would cover all, a bar at its end."""
    axes.plot(totals, part["weights"] * amounts, color=colour, linewidth=1.7)
    if "low" not in part:
        return
    if shaded:
        axes.fill_between(
            totals, part["low"] * amounts, part["high"] * amounts, color=colour, alpha=0.10, linewidth=0
        )
    else:
        # Side by side before the target, over a seventh of the axis.
        end = totals[-1] * (totals[0] / totals[-1]) ** (shift / 7)
        axes.vlines(end, part["low"][-1] * amounts[-1], part["high"][-1] * amounts[-1], color=colour, linewidth=1.0)


def _points(axes: Axes, scales: Sequence[dict[str, Any]], order: Sequence[str], *, tokens: bool) -> None:
    """DDO's optima, drawn a little apart so that their intervals do not hide each other."""
    spread = np.linspace(-1, 1, len(order)) if len(order) > 1 else np.zeros(1)
    for index, name in enumerate(order):
        at = np.array([scale["tokens"] for scale in scales]) * 1.012 ** spread[index]
        unit = np.array([scale["tokens"] if tokens else 1 for scale in scales])
        values = np.array([scale["weights"][name] for scale in scales])
        bars = None
        if all("intervals" in scale for scale in scales):
            ends = np.array([scale["intervals"][name] for scale in scales]).T
            bars = np.abs(ends - values) * unit
        axes.errorbar(at, values * unit, yerr=bars, fmt=_MARKERS[index % len(_MARKERS)],
                      color=_COLOURS[index % len(_COLOURS)], markersize=4.5, markeredgecolor="white",
                      markeredgewidth=0.5, linewidth=1, zorder=3)  # fmt: skip


def _limits(
    left: Axes,
    right: Axes,
    totals: NDArray[np.float64],
    domains: dict[str, Any],
    scales: Sequence[dict[str, Any]],
) -> None:
    """What lines, points and the intervals of the shares at the target span; others must not flatten the rest."""
    lines = np.array([part["weights"] for part in domains.values()])
    points = np.array([[scale["weights"][name] for name in domains] for scale in scales])
    amounts = np.concatenate(
        [(lines * totals).ravel(), (points * np.array([[scale["tokens"]] for scale in scales])).ravel()]
    )
    positive = amounts[amounts > 0]
    left.set_ylim(positive.min() / 1.7, positive.max() * 1.7)
    answers = [part["high"][-1] for part in domains.values() if "high" in part]
    right.set_ylim(0, min(1.02, 1.08 * max(float(lines.max()), float(points.max()), *answers)))
    for axes in (left, right):
        axes.set_xlim(totals[0] / 1.15, totals[-1] * 1.06)


def _name_lines(axes: Axes, end: float, values: Sequence[float], names: Sequence[str]) -> None:
    """Each name at the right end of its line, moved apart where they would touch, with a thin leader."""
    to_axes = axes.transData.transform
    height = axes.get_ylim()
    fractions = []
    for value in values:
        shown = min(max(value, height[0]), height[1])
        pixel = to_axes((end, shown))[1]
        fractions.append(float(axes.transAxes.inverted().transform((0, pixel))[1]))
    places = spread_apart(fractions, 1 / _LABEL_ROWS)
    for index, (name, fraction, place) in enumerate(zip(names, fractions, places, strict=True)):
        colour = _COLOURS[index % len(_COLOURS)]
        axes.annotate(plain(name), (1.0, fraction), (1.045, place), xycoords="axes fraction",
                      textcoords="axes fraction", fontsize=8, color=colour, va="center", annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 0,
                                  "relpos": (0, 0.5)})  # fmt: skip


def spread_apart(places: Sequence[float], gap: float) -> list[float]:
    """Places moved as little as may be so that no two are nearer than `gap`, in the same order.

    Least squares under that order is isotonic regression of the places less their ranks times the gap.
    """
    from scipy.optimize import isotonic_regression

    if not places:
        return []
    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(places))
    moved = isotonic_regression(np.array(places)[order] - steps).x + steps
    found = np.empty(len(places))
    found[order] = moved
    return found.tolist()
