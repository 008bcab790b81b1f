"""Help that lists what a registry has, read when it is shown: installed packages bring more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def listing(lines: Callable[[], Mapping[str, str]]) -> type[TyperCommand]:
    """A command in whose help the word LIST stands for a line a name.

    Args:
        lines: what to say of each name.
    """

    class Listing(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            told = "\n\n".join(f"- **{name}**: {text}" for name, text in lines().items())
            self.help = (self.help or "").replace("LIST", told)
            super().format_help(ctx, formatter)

    return Listing
