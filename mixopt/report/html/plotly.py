"""Figures on screen: `mixopt.display` as Plotly's JSON, in colours that follow the reader's theme.

Colours are written `var(--hue-name)`; the page puts in the value of that CSS variable, for light or dark.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mixopt.display.figure import Bars, Heat, Line, Points, Rule
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.display.colours import Look
    from mixopt.display.figure import Axis, Figure, Mark, Numbers, Panel

_SYMBOLS = {"circle": "circle", "open": "circle-open", "square": "square", "diamond": "diamond",
            "tick": "line-ns-open", "rug": "line-ns-open"}  # fmt: skip
# Pixels of an inch on paper; of a screen's letters, which are larger; of a row of a legend.
_INCH, _ROW = 88, 24
_LETTERS = 22
# Names of a legend above a plot; more stand below it.
_MOST_ABOVE = 5


@dataclass(frozen=True)
class Plot:
    """A panel in the page."""

    name: str  # identifier in the page
    title: str  # above it
    spec: dict[str, Any]  # Plotly's `data` and `layout`, and `choices` where there are menus (see `page.js`)
    labels: tuple[str, ...] = ()  # of the menus

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.spec["layout"]["height"])


def plots(figure: Figure) -> list[Plot]:
    """A plot a panel: the reader's window decides how many stand side by side."""
    single = len(figure.panels) == 1
    found = []
    for index, panel in enumerate(figure.panels):
        spec = _spec(panel, figure)
        labels: tuple[str, ...] = ()
        if figure.menus:
            labels = figure.menus.labels
            spec["choices"] = {
                name: {"x": [*map(_column, x)], "y": {one: [*map(_column, y)] for one, y in ys.items()}}
                for name, (x, ys) in figure.menus.choices.items()
            }
        name = figure.name if single else f"{figure.name}-{index}"
        title = ": ".join(filter(None, (figure.title if single else "", panel.title)))
        found.append(Plot(name, title, spec, labels))
    return found


def plain(text: str, limit: int | None = None) -> str:
    """`text` such that Plotly shows it as it is: its labels understand some HTML.

    Args:
        limit: most characters, the rest being an ellipsis; None for no limit.
    """
    flat = " ".join(text.split())
    if limit is not None and len(flat) > limit:
        flat = flat[: limit - 1] + "…"
    return html.escape(flat, quote=False)


def colour(look: Look) -> str:
    """Its colour as a CSS variable."""
    return f"var(--hue-{look.colour})"


def _spec(panel: Panel, figure: Figure) -> dict[str, Any]:
    names = {mark.name for mark in panel.marks if mark.name}
    legend = figure.legend != "none" and (figure.wide or len(figure.panels) == 1)
    below = len(names) > _MOST_ABOVE
    rows = math.ceil(len(names) / 5) if legend else 0
    height = round(_INCH * figure.size[1]) + _ROW * rows
    layout: dict[str, Any] = {
        "template": "none", "height": height,
        "margin": {"l": 10, "r": 14, "t": 24 if _labelled(panel) else 10, "b": 10}, "showlegend": legend,
        "hovermode": "closest", "barmode": "overlay", "bargap": 0.35,
        "xaxis": _axis(panel, "x", figure.below), "yaxis": _axis(panel, "y", figure.beside),
    }  # fmt: skip
    if legend:
        layout["legend"] = {"orientation": "h", "x": 0, "y": -60 / height if below else 1.02,
                            "yanchor": "top" if below else "bottom"}  # fmt: skip
    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    named: set[str] = set()
    for mark in panel.marks:
        if isinstance(mark, Rule):
            shape, note = _rule(mark, panel)
            shapes.append(shape)
            notes += note
            continue
        traces = _traces(mark)
        for trace in traces:
            if mark.name:
                trace |= {"legendgroup": mark.name, "name": plain(mark.name, 40)}
            trace["showlegend"] = trace is traces[-1] and bool(mark.name) and mark.name not in named
        named.add(mark.name)
        data += traces
    return {"data": data, "layout": {**layout, "shapes": shapes, "annotations": notes}}


def _labelled(panel: Panel) -> bool:
    return any(isinstance(mark, Rule) and mark.label for mark in panel.marks)


def _traces(mark: Mark) -> list[dict[str, Any]]:
    if isinstance(mark, Line):
        return _line(mark)
    if isinstance(mark, Points):
        return [_points(mark)]
    if isinstance(mark, Bars):
        return [_bars(mark)]
    assert isinstance(mark, Heat)
    return [_heat(mark)]


def _line(mark: Line) -> list[dict[str, Any]]:
    ink, shape = colour(mark.look), "hv" if mark.steps else "linear"
    traces = []
    x, y = _column(mark.x), _column(mark.y)
    if len(mark.low):
        ends = [
            (a, b, c) for a, b, c in zip(x, _column(mark.low), _column(mark.high), strict=True) if None not in (b, c)
        ]
        traces.append({
            "type": "scatter", "mode": "lines", "x": [*(a for a, _, _ in ends), *(a for a, _, _ in reversed(ends))],
            "y": [*(c for _, _, c in ends), *(b for _, b, _ in reversed(ends))], "fill": "toself", "fillcolor": ink,
            "opacity": 0.15, "line": {"width": 0, "shape": shape}, "hoverinfo": "skip",
        })  # fmt: skip
    traces.append({
        "type": "scatter", "mode": "lines+markers" if mark.dots else "lines", "x": x, "y": y,
        "line": {"color": ink, "dash": mark.look.dash, "shape": shape,
                 "width": 1 if mark.faint else mark.width + 0.3},
        "marker": {"size": 4 if mark.faint else 5, "color": ink}, "opacity": 0.45 if mark.faint else 1,
        **_hover(mark, len(x)),
    })  # fmt: skip
    return traces


def _points(mark: Points) -> dict[str, Any]:
    x, y = _column(mark.x), _column(mark.y)
    size = {"tick": 15, "rug": 7}.get(mark.symbol, 1.8 * mark.size)
    marker: dict[str, Any] = {"color": colour(mark.look), "size": size, "symbol": _SYMBOLS[mark.symbol]}
    if mark.symbol in ("tick", "rug"):
        marker["line"] = {"width": 3 if mark.symbol == "tick" else 1}
    trace: dict[str, Any] = {
        "type": "scatter", "mode": "markers", "x": x, "y": y, "marker": marker, "opacity": 0.5 if mark.faint else 1,
        **_hover(mark, len(x), mark.low, mark.high),
    }  # fmt: skip
    if len(mark.low):
        trace["error_x" if mark.across else "error_y"] = _bar(
            x if mark.across else y, mark.low, mark.high, colour(mark.look)
        )
    return trace


def _bars(mark: Bars) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "type": "bar", "orientation": "h", "x": _column(mark.x), "y": list(range(len(mark.x))),
        "marker": {"color": colour(mark.look)}, "opacity": 0.6, **_hover(mark, len(mark.x), mark.low, mark.high),
    }  # fmt: skip
    if len(mark.low):
        trace["error_x"] = _bar(mark.x, mark.low, mark.high, "var(--ink)")
    return trace


def _bar(middle: Numbers, low: Numbers, high: Numbers, ink: str) -> dict[str, Any]:
    def away(ends: Numbers, sign: int) -> list[float]:
        pairs = zip(middle, ends, strict=True)
        return [max(0.0, sign * (end - value)) if None not in (end, value) else 0.0 for value, end in pairs]  # type: ignore[operator]

    return {"type": "data", "symmetric": False, "array": away(high, 1), "arrayminus": away(low, -1), "color": ink,
            "thickness": 1.5, "width": 3}  # fmt: skip


def _heat(mark: Heat) -> dict[str, Any]:
    rows, columns = len(mark.z), len(mark.z[0])
    about = _hover(mark, rows)
    return {
        "type": "heatmap", "z": [_column(row) for row in mark.z], "x": list(range(columns)), "y": list(range(rows)),
        "colorscale": [[0, "rgba(0,114,178,0.03)"], [1, "rgb(0,114,178)"]], "zmin": 0, "xgap": 1, "ygap": 1,
        "colorbar": {"thickness": 10, "title": {"text": mark.unit}}, **about,
        "customdata": [[row] * columns for row in about["customdata"]],
    }  # fmt: skip


def _hover(mark: Mark, count: int, low: Numbers = (), high: Numbers = ()) -> dict[str, Any]:
    """What a pointer is told: `customdata` has words, run ids, the run that a click opens, the ends of a bar."""
    about = [mark.about or mark.name] * count if isinstance(mark.about, str) else list(mark.about)
    runs = mark.runs if len(mark.runs) == count else [mark.runs[0] if mark.runs else ()] * count
    # At least one, from which menus take what a line is about.
    rows = [[plain(text), short_ids(ids), ids[0] if ids else ""] for text, ids in zip(about, runs, strict=True)]
    if not rows:
        text = mark.about if isinstance(mark.about, str) else ""
        rows = [[plain(text or mark.name), "", ""]]
    say = re.sub(r"\{(\w+)", r"%{\1", mark.say)
    if len(low):
        rows = [[*row, *_column(ends)] for row, ends in zip(rows, zip(low, high, strict=True), strict=True)]
        say += " (%{customdata[3]:.4g} to %{customdata[4]:.4g})"
    lines = ["%{customdata[0]}", say, *(["run %{customdata[1]}"] if any(runs) else [])]
    return {"customdata": rows, "hovertemplate": "<br>".join(lines) + "<extra></extra>",
            **({"meta": "runs"} if any(runs) else {})}  # fmt: skip


def short_ids(runs: Iterable[str], most: int = 4) -> str:
    """Run ids for a hover label."""
    ids = [run[:8] for run in runs]
    return ", ".join(ids[:most]) + (f" and {len(ids) - most} more" if len(ids) > most else "")


def _rule(mark: Rule, panel: Panel) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    line = {"color": colour(mark.look), "dash": mark.look.dash, "width": 1.5}
    if mark.x is None:
        return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": mark.y, "y1": mark.y, "line": line}, []
    shape = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": mark.x, "x1": mark.x, "line": line}
    # Unlike shapes, notes on a logarithmic axis are placed by the logarithm.
    at = math.log10(mark.x) if panel.x.scale == "log" else mark.x
    note = {"x": at, "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": "right", "showarrow": False,
            "text": plain(mark.label), "font": {"size": 11, "color": colour(mark.look)}}  # fmt: skip
    return shape, [note] if mark.label else []


def _axis(panel: Panel, name: Literal["x", "y"], shared: str) -> dict[str, Any]:
    axis: Axis = getattr(panel, name)
    made: dict[str, Any] = {"automargin": True, "title": {"text": plain(axis.label), "standoff": 8}}
    if axis.rows:
        labels = [plain(row, _LETTERS if name == "y" else 14) for row in axis.rows]
        made |= {"tickvals": list(range(len(labels))), "ticktext": labels, "zeroline": False}
        rows = {"range": [len(labels) - 0.4, -0.6]}
        return made | (rows if name == "y" else {"side": "top", "tickangle": -45, "showgrid": False})
    log = axis.scale == "log"
    if log:
        made["type"] = "log"
    low, high = axis.limits
    if low is not None and high is not None:
        made["range"] = [math.log10(end) if log else end for end in (low, high)]
    elif axis.zero:
        made["rangemode"] = "tozero"
    if axis.ticks is not None:
        made |= {"tickvals": list(axis.ticks), "ticktext": [plain(text) for text in axis.ticks.values()]}
    elif axis.counts:
        places = _counts(panel, name) if log else {}
        made |= {"tickvals": list(places), "ticktext": list(places.values())} if places else {"exponentformat": "SI"}
    if shared:
        made["nticks"] = 5
    return made


def _counts(panel: Panel, name: Literal["x", "y"]) -> dict[float, str]:
    """Counts such as 800k at 1, 2 and 5 of each power of ten that a logarithmic axis spans, or at its powers."""
    drawn = [getattr(mark, name) for mark in panel.marks if isinstance(mark, (Line, Points))]
    values = [value for some in drawn for value in some if value and value > 0]
    ends = [end for end in getattr(panel, name).limits if end is not None] or values
    low, high = min(ends), max(ends)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if math.log10(high / low) < 2.5 else (1,)
    places = [step * 10.0**power for power in powers for step in steps]
    return {place: format_count(place) for place in places if low <= place <= high}


def _column(values: Iterable[float | None]) -> list[float | None]:
    """Seven digits are more than a picture shows; None for what is no number."""
    return [
        value if value is None or isinstance(value, int) else float(f"{value:.7g}") if math.isfinite(value) else None
        for value in values
    ]
