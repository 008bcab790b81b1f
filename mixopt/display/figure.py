"""A figure as data: panels of lines, points, bars and maps. No library that draws is known here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mixopt.display.colours import INK, Look

Numbers = Sequence[float | None]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis."""

    label: str = ""  # what it measures, with units
    # `symlog` is linear below `linear_below` and logarithmic above
    scale: Literal["linear", "log", "symlog"] = "linear"
    limits: tuple[float | None, float | None] = (None, None)  # its ends; None for an end that the marks decide
    ticks: Mapping[float, str] | None = None  # places and their words; None for ticks as they come
    rows: tuple[str, ...] = ()  # names of the rows 0, 1, … from the top, on an axis of words
    counts: bool = False  # ticks are counts such as 800k
    zero: bool = False  # it begins at 0
    linear_below: float = 1.0  # of `symlog`


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What all marks have; every text is plain."""

    name: str = ""  # in the legend; nothing there without one. Marks of one name share an entry.
    look: Look = INK  # colour and dash
    about: str | Sequence[str] = ""  # what a pointer is told of the mark, or of each point
    say: str = "{y:.4g} at {x:.4g}"  # the numbers that it is told, `{x}` and `{y}` with formats
    # ids of the runs behind each point, or one tuple of them for all points; a click opens the first
    runs: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, kw_only=True)
class Line(Mark):
    """A line through N points, None where it is broken, with a band where there are ends."""

    x: Numbers  # N places
    y: Numbers  # N values
    low: Numbers = ()  # N lower ends of its band; none for no band
    high: Numbers = ()  # N upper ends
    width: float = 1.7  # points on paper, pixels on a screen
    dots: bool = False  # mark its points
    steps: bool = False  # hold each value until the next
    faint: bool = False  # one of many in the background


@dataclass(frozen=True, kw_only=True)
class Points(Mark):
    """N points, with the ends of a bar through each where there are some."""

    x: Numbers  # N places
    y: Numbers  # N values
    low: Numbers = ()  # N lower ends of the bars, in y, or in x where `across`
    high: Numbers = ()  # N upper ends
    across: bool = False  # the bars lie along x
    # `tick` is a short upright line, as a mark on a bar
    symbol: Literal["circle", "open", "square", "diamond", "tick", "rug"] = "circle"
    size: float = 4.5  # points on paper
    faint: bool = False  # many, in the background


@dataclass(frozen=True, kw_only=True)
class Bars(Mark):
    """N bars from 0 to the right, one a row, with intervals where there are ends."""

    x: Sequence[float]  # N lengths
    low: Numbers = ()  # N lower ends
    high: Numbers = ()  # N upper ends
    texts: Sequence[str] = ()  # N values in words, at the right of their row


@dataclass(frozen=True, kw_only=True)
class Heat(Mark):
    """A map of R rows and C columns, from 0 in no colour to the greatest value; `about` and `runs` are of rows."""

    z: Sequence[Sequence[float]]  # R rows of C values
    unit: str = ""  # what they are


@dataclass(frozen=True, kw_only=True)
class Rule(Mark):
    """A straight line through the panel, at `x` or at `y`."""

    x: float | None = None  # place of an upright one
    y: float | None = None  # height of a level one
    label: str = ""  # at its upper end


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One system of axes."""

    marks: Sequence[Mark]
    title: str = ""
    x: Axis = Axis()
    y: Axis = Axis()


@dataclass(frozen=True)
class Menus:
    """Other courses of a figure's lines: two menus, of which the second chooses among those of the first."""

    labels: tuple[str, str]  # of both
    # by the first's entries, x of every line, and by the second's entries y of every line
    choices: Mapping[str, tuple[Sequence[Numbers], Mapping[str, Sequence[Numbers]]]]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure."""

    name: str  # of its file, and identifier in a page; distinct there
    title: str  # above it
    panels: Sequence[Panel]  # one or more
    note: str = ""  # what the marks mean, for a page, which has room for it
    headline: str = ""  # above it on paper, where lines may say more; the title if empty
    across: int = 4  # panels side by side
    size: tuple[float, float] = (7.4, 4.4)  # inches of each panel
    # where; `ends` puts the lines' names at their right ends
    legend: Literal["top", "bottom", "right", "inside", "ends", "none"] = "none"
    legend_title: str = ""  # of a legend at the right
    below: str = ""  # common label below all panels
    beside: str = ""  # common label beside all panels
    wide: bool = False  # a page has its panels below one another
    menus: Menus | None = field(default=None)  # of a figure of one panel; None for none
