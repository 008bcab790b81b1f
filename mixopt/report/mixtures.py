"""Published mixtures as tables in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from mixopt.published import Published


def published_table(entries: Sequence[Published]) -> Table:
    """A row a mixture: name, domains, where it comes from."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("domains", justify="right")
    table.add_column("source")
    for entry in entries:
        table.add_row(f"[bold]{entry.name}[/bold]", str(len(entry.amounts)), escape(entry.source))
    return table


def print_published(entry: Published, console: Console) -> None:
    """One mixture with its weights, the largest first."""
    tokenizer = f"; tokens of {entry.tokenizer}" if entry.tokenizer else ""
    console.print(f"[bold]{entry.name}[/bold]  {escape(entry.data)}{escape(tokenizer)}", highlight=False)
    console.print(f"[dim]{escape(entry.source)}[/dim]", highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("domain", no_wrap=True)
    table.add_column("weight", justify="right")
    for domain, weight in sorted(entry.mixture.to_dict().items(), key=lambda item: -item[1]):
        table.add_row(escape(domain), f"{weight:.4f}")
    console.print(table)
