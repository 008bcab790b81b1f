"""Where tables are printed, and how."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid
from rich.text import Text

from mixopt.display.table import Cell, Column, Table, number, table, word
from mixopt.errors import ConfigError
from mixopt.files import replacing

if TYPE_CHECKING:
    from mixopt.published import Published


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


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write `contents` (by file name) into `folder`, which is made on demand; the files written.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            with replacing(folder / name) as unfinished:
                unfinished.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"output folder {folder}: cannot be written ({error}); choose another with --out") from error
    return [folder / name for name in contents]


def published_table(entries: Sequence[Published]) -> Table:
    """A row a mixture: name, domains, where it comes from."""
    rows = [
        [word(entry.name, "strong"), number(len(entry.amounts), "{:d}"), word(entry.source, "long")]
        for entry in entries
    ]
    return table(
        "published", "Published mixtures", [Column("name"), Column("domains"), Column("source", words=True)], rows
    )


def print_published(entry: Published, console: Console) -> None:
    """One mixture with its weights, the largest first."""
    tokenizer = f"; tokens of {entry.tokenizer}" if entry.tokenizer else ""
    console.print(f"[bold]{entry.name}[/bold]  {escape(entry.data)}{escape(tokenizer)}", highlight=False)
    console.print(f"[dim]{escape(entry.source)}[/dim]", highlight=False)
    weights = sorted(entry.mixture.to_dict().items(), key=lambda item: -item[1])
    rows = [[word(domain), number(weight, "{:.4f}")] for domain, weight in weights]
    console.print(grid(table("published", entry.name, [Column("domain"), Column("weight")], rows)))
