"""Where tables are printed, and how."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mixopt.display.table import Cell, Table

_PAGE = 120
_STYLES = {"strong": "bold", "good": "green", "bad": "red", "quiet": "dim"}


def page() -> Console:
    """Standard output. A pipe has no width, which is no reason to cut numbers short: it gets 120 characters."""
    if sys.stdout.isatty():
        return Console()
    asked = os.environ.get("COLUMNS", "")
    return Console(width=max(_PAGE, int(asked) if asked.isdigit() else 0))


def grid(table: Table) -> Grid:
    """A table for the terminal: words left, numbers right, what stands below its line below a line."""
    drawn = Grid(box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(table.columns):
        left = column.words or index == 0
        long = any(row[index].kind == "long" for row in table.rows)
        drawn.add_column(escape(column.name), justify="left" if left else "right", no_wrap=left and not long)
    for row in table.rows:
        drawn.add_row(*map(styled, row))
    if table.foot:
        drawn.add_section()
    for row in table.foot:
        drawn.add_row(*map(styled, row))
    return drawn


def styled(cell: Cell) -> Text:
    """A cell's text as its kind asks."""
    return Text(cell.text, _STYLES.get(cell.kind, ""))


def print_table(table: Table, console: Console, *, titled: bool = False) -> None:
    """A table, with its title above it."""
    if titled:
        console.print(f"\n[bold]{escape(table.title)}[/bold]", highlight=False)
    console.print(grid(table))


def bullets(sentences: Iterable[str]) -> Grid:
    """Sentences, a bullet each."""
    drawn = Grid.grid(padding=(0, 1))
    for sentence in sentences:
        drawn.add_row("[yellow]•[/yellow]", escape(sentence))
    return drawn
