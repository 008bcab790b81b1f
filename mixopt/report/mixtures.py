"""Published mixtures as tables in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from mixopt.display.table import Column, number, table, word
from mixopt.report.console import grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from mixopt.display.table import Table
    from mixopt.published import Published


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
