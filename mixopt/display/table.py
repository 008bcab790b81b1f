"""A table as data: what its cells say, what they are sorted by, and the runs behind them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mixopt.units import format_count

Kind = Literal["", "strong", "good", "bad", "quiet", "long"]
_WIDE = 28  # characters of a word that columns show in full


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell; every text is plain."""

    text: str  # what is shown; ± is one standard error
    value: float | None = None  # the number; None for a word, or where there is none
    error: float | None = None  # its standard error
    low: float | None = None  # lower end of its 95 % interval
    high: float | None = None  # upper end
    key: float | str | None = None  # what the column is sorted by; None (last in either order) where there is nothing
    kind: Kind = ""  # `strong`, `good`, `bad`, `quiet`, `long` (it may have several lines) or nothing
    title: str = ""  # what a pointer that rests on it is told
    runs: tuple[str, ...] = ()  # ids of the runs behind it, shown as links
    link: str = ""  # the run whose details the cell opens


@dataclass(frozen=True)
class Column:
    """A column: its head, an explanation, and whether it holds words, which stand left, or numbers."""

    name: str
    title: str = ""
    words: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that can be sorted."""

    name: str  # identifier in a page; distinct there
    title: str  # what it holds
    columns: tuple[Column, ...]  # C columns
    rows: tuple[tuple[Cell, ...], ...]  # C cells each
    foot: tuple[tuple[Cell, ...], ...] = ()  # rows below a line, such as means, which stay there
    anchors: tuple[str, ...] = ()  # identifiers of the rows; empty for none
    filter: bool = False  # whether its rows can be filtered
    for_page: bool = False  # whether only a page has it, as it is too long for a terminal


def table(name: str, title: str, columns: Sequence[Column], rows: Iterable[Iterable[Cell]], **more: Any) -> Table:
    """A table of any iterables; `more` is the rest of `Table`."""
    return Table(name=name, title=title, columns=tuple(columns), rows=tuple(tuple(row) for row in rows), **more)


def named(names: Iterable[str], title: str = "") -> list[Column]:
    """Columns of numbers with one explanation."""
    return [Column(name, title) for name in names]


NOTHING = Cell(text="-")


def word(text: str, kind: Kind = "", title: str = "") -> Cell:
    """A cell with a word."""
    return Cell(text=text, key=text.lower(), kind=kind, title=title or (text if len(text) > _WIDE else ""))


def number(value: float | None, form: str = "{:#.4g}", kind: Kind = "", title: str = "", scale: float = 1.0) -> Cell:
    """A cell with a number, `-` for None; the exact one is the title unless another is given."""
    if value is None:
        return NOTHING
    shown = form.format(value * scale) if scale != 1.0 else form.format(value)
    return Cell(text=shown, value=value, key=float(value), kind=kind, title=title or f"{value!r}")


def count(value: float | None) -> Cell:
    """`800k`, sorted by the number, which is its title."""
    if value is None:
        return NOTHING
    return Cell(text=format_count(value), value=value, key=float(value), title=f"{value:,}")


def percent(value: float | None, kind: Kind = "", form: str = "{:+.2f} %") -> Cell:
    """A share as a percentage, with its sign."""
    return number(value, form, kind, scale=100)


def interval(low: float | None, high: float | None, form: str = "{:.3f}", scale: float = 1.0, unit: str = "") -> Cell:
    """`0.120 to 0.310`, sorted by its lower end; `-` where there is none."""
    if low is None or high is None:
        return NOTHING
    text = f"{form.format(low * scale)} to {form.format(high * scale)}{unit}"
    return Cell(text=text, low=low, high=high, key=float(low))


def with_error(value: float, error: float | None, form: str | None = None, scale: float = 1.0, unit: str = "") -> str:
    """`70.12 ± 0.43`: the error with two digits, the value with as many decimals, or in `form`.

    Without an error, or with one of 0, the value has four digits.
    """
    value, error = value * scale, error and error * abs(scale)
    if form is not None:
        return form.format(value) + unit + (f" ± {error:.2g}" if error is not None else "")
    if not error:
        return f"{value:.4g}{unit}"
    decimals = min(6, max(0, 1 - math.floor(math.log10(error))))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}{unit}"


def runs_cell(runs: Iterable[str]) -> Cell:
    """A cell that leads to runs."""
    ids = tuple(dict.fromkeys(runs))
    if not ids:
        return NOTHING
    return Cell(text=f"{len(ids)} run{'s' if len(ids) != 1 else ''}", value=len(ids), key=float(len(ids)), runs=ids)
