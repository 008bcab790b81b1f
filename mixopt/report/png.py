"""Figures on paper: `mixopt.display` drawn by matplotlib, as PNG."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixopt.arrays import Floats
from mixopt.display.colours import COLOURS, Look
from mixopt.display.figure import Bars, Heat, Line, Points, Rule
from mixopt.units import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

    from mixopt.display.figure import Axis, Figure, Mark, Numbers, Panel

_GRID = "#E6E6E6"
_DASHES: dict[str, Any] = {"solid": "-", "dash": (0, (5, 2)), "dot": (0, (1, 1.2)), "dashdot": (0, (5, 1.5, 1, 1.5))}
_SYMBOLS = {"circle": "o", "open": "o", "square": "s", "diamond": "D", "rug": "|"}
# Letters of a name on one line; of a label to an inch; and lines of text to an inch that do not touch.
_LETTERS, _LETTERS_AN_INCH, _LABELS_AN_INCH = 26, 13, 5.2


def png(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as a PNG file's content."""
    out = io.BytesIO()
    draw(figure).savefig(out, format="png", dpi=dpi)
    return out.getvalue()


def draw(figure: Figure) -> Canvas:
    """The figure on a canvas of its own: nothing global, no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    columns = min(figure.across, len(figure.panels))
    rows = math.ceil(len(figure.panels) / columns)
    headline = plain(figure.headline or figure.title)
    above = 0.2 * (headline.count("\n") + 1) if headline else 0.0
    width = figure.size[0] * columns
    canvas = Canvas(figsize=(width, figure.size[1] * rows + above), layout="constrained")
    FigureCanvasAgg(canvas)
    grid = list(canvas.subplots(rows, columns, squeeze=False).ravel())
    for axes in grid[len(figure.panels) :]:
        canvas.delaxes(axes)
    uprights = {(panel.y.limits, panel.y.rows) for panel in figure.panels}
    shared = len(uprights) == 1 and uprights != {((None, None), ())}
    for position, (axes, panel) in enumerate(zip(grid, figure.panels, strict=False)):
        _panel(axes, panel)
        if figure.legend == "ends":
            _names_at_ends(axes, panel, figure.size[1])
        # Ticks that all panels share are named once a row of panels, and once a column.
        if position % columns and shared:
            axes.tick_params(labelleft=False)
        if figure.below:
            lowest = position + columns >= len(figure.panels)
            axes.tick_params(labelbottom=lowest)
            if lowest and figure.legend == "bottom":
                axes.set_xlabel(plain(figure.below), fontsize=9)
    canvas.suptitle(headline, x=0.01, ha="left", fontsize=10)
    # Below all panels it would lie on the legend.
    if figure.below and figure.legend != "bottom":
        canvas.supxlabel(textwrap.fill(plain(figure.below), int(_LETTERS_AN_INCH * width)), fontsize=9)
    if figure.beside:
        canvas.supylabel(plain(figure.beside), fontsize=9)
    _legend(canvas, grid[: len(figure.panels)], figure, width)
    return canvas


def plain(name: str) -> str:
    """A name as text: a dollar sign would begin a formula."""
    return name.replace("$", r"\$")


def short(name: str, most: int = _LETTERS) -> str:
    """A name on one line, cut where it is long."""
    flat = " ".join(name.split())
    return plain(flat if len(flat) <= most else flat[: most - 1] + "…")


def colour(look: Look) -> str:
    """Its colour on white."""
    return COLOURS[look.colour][0]


def _panel(axes: Axes, panel: Panel) -> None:
    if panel.title:
        axes.set_title(plain(panel.title), fontsize=9, loc="left")
    for mark in panel.marks:
        if isinstance(mark, Line):
            _line(axes, mark)
        elif isinstance(mark, Points):
            _points(axes, mark)
        elif isinstance(mark, Bars):
            _bars(axes, mark)
        elif isinstance(mark, Heat):
            _heat(axes, mark)
        elif isinstance(mark, Rule):
            _rule(axes, mark)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, color=COLOURS["muted"][0])
    axes.grid(axis="x" if panel.y.rows else "y", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    _axis(axes, "x", panel.x)
    _axis(axes, "y", panel.y)


def _numbers(values: Numbers) -> Floats:
    return np.array(values, dtype=np.float64)


def _line(axes: Axes, mark: Line) -> None:
    x, y = _numbers(mark.x), _numbers(mark.y)
    if len(mark.low):
        axes.fill_between(
            x, _numbers(mark.low), _numbers(mark.high), color=colour(mark.look), alpha=0.15, linewidth=0,
            step="post" if mark.steps else None,
        )  # fmt: skip
    axes.plot(
        x, y, color=colour(mark.look), linestyle=_DASHES[mark.look.dash],
        linewidth=0.9 if mark.faint else mark.width, alpha=0.45 if mark.faint else 1, label=plain(mark.name),
        marker="o" if mark.dots else "", markersize=3.5,
        drawstyle="steps-post" if mark.steps else "default", zorder=2 if mark.faint else 2.5,
    )  # fmt: skip


def _points(axes: Axes, mark: Points) -> None:
    x, y, ink = _numbers(mark.x), _numbers(mark.y), colour(mark.look)
    if mark.symbol == "tick":
        axes.vlines(x, y - 0.42, y + 0.42, color=ink, linewidth=2.2, label=plain(mark.name), zorder=3)
        return
    if len(mark.low):
        middle = x if mark.across else y
        # An end may lie beyond the point by rounding.
        bars = np.maximum([middle - _numbers(mark.low), _numbers(mark.high) - middle], 0)
        axes.errorbar(
            x, y, xerr=bars if mark.across else None, yerr=None if mark.across else bars, fmt="none", ecolor=ink,
            elinewidth=1.2, capsize=2, zorder=3,
        )  # fmt: skip
    hollow: dict[str, Any] = {"markerfacecolor": "none"} if mark.symbol == "open" else {}
    axes.plot(
        x, y, _SYMBOLS[mark.symbol], color=ink, markersize=mark.size, label=plain(mark.name), zorder=3.5,
        alpha=0.5 if mark.faint else 1, **hollow,
    )  # fmt: skip


def _bars(axes: Axes, mark: Bars) -> None:
    rows = np.arange(len(mark.x))
    axes.barh(rows, mark.x, height=0.62, color=colour(mark.look), alpha=0.55, label=plain(mark.name))
    if len(mark.low):
        ends = np.array([mark.low, mark.high], dtype=np.float64)
        known = np.isfinite(ends).all(axis=0)
        axes.hlines(rows[known], *ends[:, known], color=COLOURS["ink"][0], linewidth=1.6, zorder=3)
    for row, text in zip(rows, mark.texts, strict=False):
        axes.annotate(text, (1, row), xycoords=("axes fraction", "data"), ha="right", va="center", fontsize=8)


def _heat(axes: Axes, mark: Heat) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("weights", ["#FFFFFF", colour(mark.look)])
    z = np.array(mark.z, dtype=np.float64)
    rows, columns = (np.arange(size + 1) - 0.5 for size in z.shape)
    drawn = axes.pcolormesh(columns, rows, z, cmap=shades, vmin=0, edgecolors="white", linewidth=1)
    axes.figure.colorbar(drawn, ax=axes, label=mark.unit, shrink=0.6)


def _rule(axes: Axes, mark: Rule) -> None:
    style: dict[str, Any] = {"color": colour(mark.look), "linestyle": _DASHES[mark.look.dash], "linewidth": 1,
                             "zorder": 1.5, "label": plain(mark.name)}  # fmt: skip
    if mark.x is None:
        axes.axhline(mark.y or 0.0, **style)
        return
    axes.axvline(mark.x, **style)
    if mark.label:
        axes.annotate(
            plain(mark.label), (mark.x, 1), (0, 3), xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="right", va="bottom", fontsize=8, color=style["color"],
        )  # fmt: skip


def _axis(axes: Axes, name: Literal["x", "y"], axis: Axis) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    which = axes.xaxis if name == "x" else axes.yaxis
    set_scale, set_limits = (axes.set_xscale, axes.set_xlim) if name == "x" else (axes.set_yscale, axes.set_ylim)
    if axis.rows:
        which.set_ticks(range(len(axis.rows)), [short(row) for row in axis.rows])
        axes.tick_params(axis=name, length=0, labelsize=9)
        if name == "y":
            set_limits(len(axis.rows) - 0.4, -0.6)
        else:
            axes.tick_params(axis="x", rotation=45)
        return
    if axis.scale == "symlog":
        set_scale("symlog", linthresh=axis.linear_below)
    elif axis.scale == "log":
        set_scale("log")
    which.set_label_text(plain(axis.label), fontsize=9)
    low, high = axis.limits
    set_limits(0 if axis.zero and low is None else low, high)
    if axis.ticks is not None:
        which.set_ticks(list(axis.ticks), [plain(text) for text in axis.ticks.values()])
        which.set_minor_formatter(NullFormatter())
        axes.tick_params(axis=name, which="minor", length=0)
    elif axis.counts:
        which.set_major_locator(LogLocator(subs=(1, 2, 5)) if axis.scale == "log" else MaxNLocator(5))
        which.set_major_formatter(FuncFormatter(lambda value, _: format_count(round(value)) if value > 0 else "0"))
        which.set_minor_formatter(NullFormatter())
    elif axis.scale != "linear":
        which.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        which.set_minor_formatter(NullFormatter())


def _legend(canvas: Canvas, panels: Sequence[Axes], figure: Figure, width: float) -> None:
    """One for all panels: a name once, and how many there are in the background."""
    if figure.legend in ("none", "ends"):
        return
    entries: dict[str, Any] = {}
    background = {mark.name for panel in figure.panels for mark in panel.marks if _faint(mark)}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    hidden = [label for label in entries if label in {plain(name) for name in background}]
    shown = {label: handle for label, handle in entries.items() if label not in hidden}
    if hidden:
        shown[f"{len(hidden)} others"] = entries[hidden[0]]
    if not shown:
        return
    style: dict[str, Any] = {"frameon": False, "fontsize": 8}
    labels = [" ".join(label.split()) for label in shown]
    if figure.legend == "inside":
        panels[0].legend(list(shown.values()), labels, loc="best", **style)
    elif figure.legend == "right":
        canvas.legend(
            list(shown.values()), labels, loc="outside right upper", title=figure.legend_title, title_fontsize=8,
            alignment="left", **style,
        )  # fmt: skip
    else:
        place = "outside upper center" if figure.legend == "top" else "outside lower center"
        columns = max(1, min(len(labels), int(width / (0.5 + max(map(len, labels)) / _LETTERS_AN_INCH))))
        canvas.legend(list(shown.values()), labels, loc=place, ncols=columns, **style)


def _faint(mark: Mark) -> bool:
    return isinstance(mark, Line) and mark.faint and bool(mark.name)


def _names_at_ends(axes: Axes, panel: Panel, height: float) -> None:
    """Each line's name at its right end, moved apart where they would touch, with a thin leader."""
    lines = [mark for mark in panel.marks if isinstance(mark, Line) and mark.name]
    ends = axes.get_ylim()
    to_axes = axes.transData + axes.transAxes.inverted()
    places = [float(to_axes.transform((1.0, min(max(line.y[-1] or 0.0, ends[0]), ends[1])))[1]) for line in lines]
    apart = spread_apart(places, 1 / (_LABELS_AN_INCH * height))
    for line, at, moved in zip(lines, places, apart, strict=True):
        ink = colour(line.look)
        axes.annotate(
            short(line.name), (1.0, at), (1.045, moved), xycoords="axes fraction", textcoords="axes fraction",
            fontsize=8, color=ink, va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": ink, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 0,
                        "relpos": (0, 0.5)},
        )  # fmt: skip


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
