"""A figure as data: panels of lines, points, bars and maps. No library that draws is known here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mixopt.display.colours import INK, Look

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Numbers = Sequence[float | None]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis.

    Attributes:
        label: what it measures, with units.
        scale: `symlog` is linear below `linear_below` and logarithmic above.
        limits: its ends; None for an end that the marks decide.
        ticks: places and their words; None for ticks as they come.
        rows: names of the rows 0, 1, … from the top, on an axis of words.
        counts: ticks are counts such as 800k.
        zero: it begins at 0.
        linear_below: of `symlog`.
    """

    label: str = ""
    scale: Literal["linear", "log", "symlog"] = "linear"
    limits: tuple[float | None, float | None] = (None, None)
    ticks: Mapping[float, str] | None = None
    rows: tuple[str, ...] = ()
    counts: bool = False
    zero: bool = False
    linear_below: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What all marks have; every text is plain.

    Attributes:
        name: in the legend; nothing there without one. Marks of one name share an entry.
        look: colour and dash.
        about: what a pointer is told of the mark, or of each point.
        say: the numbers that it is told, `{x}` and `{y}` with formats.
        runs: ids of the runs behind each point, or one tuple of them for all points; a click opens the first.
    """

    name: str = ""
    look: Look = INK
    about: str | Sequence[str] = ""
    say: str = "{y:.4g} at {x:.4g}"
    runs: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, kw_only=True)
class Line(Mark):
    """A line through N points, None where it is broken, with a band where there are ends.

    Attributes:
        x: N places.
        y: N values.
        low: N lower ends of its band; none for no band.
        high: N upper ends.
        width: points on paper, pixels on a screen.
        dots: mark its points.
        steps: hold each value until the next.
        faint: one of many in the background.
    """

    x: Numbers
    y: Numbers
    low: Numbers = ()
    high: Numbers = ()
    width: float = 1.7
    dots: bool = False
    steps: bool = False
    faint: bool = False


@dataclass(frozen=True, kw_only=True)
class Points(Mark):
    """N points, with the ends of a bar through each where there are some.

    Attributes:
        x: N places.
        y: N values.
        low: N lower ends of the bars, in y, or in x where `across`.
        high: N upper ends.
        across: the bars lie along x.
        symbol: `tick` is a short upright line, as a mark on a bar.
        size: points on paper.
        faint: many, in the background.
    """

    x: Numbers
    y: Numbers
    low: Numbers = ()
    high: Numbers = ()
    across: bool = False
    symbol: Literal["circle", "open", "square", "diamond", "tick", "rug"] = "circle"
    size: float = 4.5
    faint: bool = False


@dataclass(frozen=True, kw_only=True)
class Bars(Mark):
    """N bars from 0 to the right, one a row, with intervals where there are ends.

    Attributes:
        x: N lengths.
        low: N lower ends.
        high: N upper ends.
        texts: N values in words, at the right of their row.
    """

    x: Sequence[float]
    low: Numbers = ()
    high: Numbers = ()
    texts: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Heat(Mark):
    """A map of R rows and C columns, from 0 in no colour to the greatest value; `about` and `runs` are of rows.

    Attributes:
        z: R rows of C values.
        unit: what they are.
    """

    z: Sequence[Sequence[float]]
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Rule(Mark):
    """A straight line through the panel, at `x` or at `y`.

    Attributes:
        x: place of an upright one.
        y: height of a level one.
        label: at its upper end.
    """

    x: float | None = None
    y: float | None = None
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One system of axes."""

    marks: Sequence[Mark]
    title: str = ""
    x: Axis = Axis()
    y: Axis = Axis()


@dataclass(frozen=True)
class Menus:
    """Other courses of a figure's lines: two menus, of which the second chooses among those of the first.

    Attributes:
        labels: of both.
        choices: by the first's entries, x of every line, and by the second's entries y of every line.
    """

    labels: tuple[str, str]
    choices: Mapping[str, tuple[Sequence[Numbers], Mapping[str, Sequence[Numbers]]]]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure.

    Attributes:
        name: of its file, and identifier in a page; distinct there.
        title: above it.
        panels: one or more.
        note: what the marks mean, for a page, which has room for it.
        headline: above it on paper, where lines may say more; the title if empty.
        across: panels side by side.
        size: inches of each panel.
        legend: where; `ends` puts the lines' names at their right ends.
        legend_title: of a legend at the right.
        below: common label below all panels.
        beside: common label beside all panels.
        wide: a page has its panels below one another.
        menus: of a figure of one panel; None for none.
    """

    name: str
    title: str
    panels: Sequence[Panel]
    note: str = ""
    headline: str = ""
    across: int = 4
    size: tuple[float, float] = (7.4, 4.4)
    legend: Literal["top", "bottom", "right", "inside", "ends", "none"] = "none"
    legend_title: str = ""
    below: str = ""
    beside: str = ""
    wide: bool = False
    menus: Menus | None = field(default=None)
