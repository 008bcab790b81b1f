"""A table as the page shows it: text, the number or word to sort by, and the runs behind a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_WIDE = 28  # characters of a word that columns show in full


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what is shown.
        key: what the column is sorted by: a number, or a text; None (last in either order) where there is nothing.
        kind: `strong`, `good`, `bad`, `long` (it may have several lines) or nothing.
        title: what a pointer that rests on it is told.
        runs: ids of the runs behind it, shown as links.
        link: the run whose details the cell opens.
    """

    text: str
    key: float | str | None = None
    kind: str = ""
    title: str = ""
    runs: tuple[str, ...] = ()
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A table that sorts.

    Attributes:
        name: identifier in the page.
        caption: what it holds.
        columns: heads; a dict of head to an explanation.
        rows: cells, as many as columns.
        words: the columns of words, which stand left; all others are numbers.
        anchors: ids of the rows; empty for none.
        filter: whether the page offers to filter its rows.
    """

    name: str
    caption: str
    columns: Mapping[str, str]
    rows: list[list[Cell]]
    words: frozenset[int] = frozenset({0})
    anchors: tuple[str, ...] = ()
    filter: bool = False
    notes: tuple[str, ...] = field(default=())


def word(text: str, kind: str = "", title: str = "") -> Cell:
    """A cell with a word."""
    return Cell(text, text.lower(), kind, title or (text if len(text) > _WIDE else ""))


def number(value: float | None, form: str = "{:#.4g}", kind: str = "", title: str = "") -> Cell:
    """A cell with a number, empty for None; the exact one is the title unless another is given."""
    if value is None:
        return Cell("")
    return Cell(form.format(value), float(value), kind, title or f"{value!r}")


def percent(value: float | None, kind: str = "") -> Cell:
    """A relative change as a percentage with its sign."""
    return Cell("") if value is None else Cell(f"{100 * value:+.2f} %", float(value), kind, f"{value!r}")


def interval(low: float | None, high: float | None, form: str = "{:.3f}", scale: float = 1.0) -> Cell:
    """A cell with an interval, sorted by its lower end."""
    if low is None or high is None:
        return Cell("")
    return Cell(f"{form.format(low * scale)} to {form.format(high * scale)}", float(low))


def measured(value: Mapping[str, Any] | None, form: str = "{:#.4g}", scale: float = 1.0, kind: str = "") -> Cell:
    """A mean over seeds with its standard error."""
    if value is None:
        return Cell("")
    error = value["standard_error"]
    text = form.format(value["value"] * scale)
    text += f" ± {error * abs(scale):.2g}" if error is not None else ""
    title = "seeds: " + ", ".join(form.format(seed * scale) for seed in value["seeds"])
    return Cell(text, float(value["value"]), kind, title)


def runs_cell(runs: Iterable[str]) -> Cell:
    """A cell that leads to runs."""
    ids = tuple(dict.fromkeys(runs))
    return Cell(f"{len(ids)} run{'s' if len(ids) != 1 else ''}", float(len(ids)), runs=ids) if ids else Cell("")
