"""`mixopt mixtures`: the published mixtures that every command knows by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperCommand


def listing(lines: Callable[[], Mapping[str, str]]) -> type[TyperCommand]:
    """A command in whose help the word LIST stands for a line a name."""

    class Listing(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            told = "\n\n".join(f"- **{name}**: {text}" for name, text in lines().items())
            self.help = (self.help or "").replace("LIST", told)
            super().format_help(ctx, formatter)

    return Listing


def mixtures(
    name: Annotated[str | None, typer.Argument(help="Show the weights of this one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only, weights included.")] = False,
) -> None:
    """List published mixtures by name with their sources, or show the weights of one.

    Each name can be given wherever a mixture can: `mixopt train --mixture pile-doremi`.

    Example: `mixopt mixtures redpajama-llama`
    """
    import difflib

    from mixopt.errors import ConfigError
    from mixopt.published import published

    entries = published()
    if name is not None and name not in entries:
        near = difflib.get_close_matches(name, entries, n=3, cutoff=0.4)
        raise ConfigError(f"mixture {name!r}: not a published name; expected {', '.join(near or entries)}")
    if as_json:
        chosen = [entry.to_dict() for entry in entries.values()]
        typer.echo(json.dumps(entries[name].to_dict() if name else chosen))
        return
    from mixopt.report.console import page, print_published, print_table, published_table

    if name is None:
        print_table(published_table(list(entries.values())), page())
    else:
        print_published(entries[name], page())
