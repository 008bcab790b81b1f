"""The command line: parse, call, print. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from mixopt.cli import (
    ado_train,
    bench,
    compare,
    data,
    eval,  # noqa: A004 (the command's name)
    export,
    init,
    mixtures,
    recommend,
    report,
    runs,
    search,
    train,
)
from mixopt.cli.mixtures import listing
from mixopt.version import __version__


class _Commands(typer.core.TyperGroup):
    """The commands, those that search with the flags of the method that the command line asks for."""

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        """The command to run, and what is left of the command line."""
        name, found, rest = super().resolve_command(ctx, args)  # type: ignore[arg-type]
        if name in _OF_METHODS:
            single = typer.Typer(rich_markup_mode="markdown", context_settings=_CONTEXT, add_completion=False)
            single.command(name)(recommend.command(rest) if name == "recommend" else search.command(name, rest))
            found = typer.main.get_command(single)
        return name, found, rest


_OF_METHODS = {**search.COMMANDS, "recommend": recommend.recommend}
_CONTEXT = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    name="mixopt",
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings=_CONTEXT,
    help="Find the best mixture of text domains for pretraining a language model, from small proxy runs.",
)
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="runs")
app.command("init")(init.init)
for _name, _command in _OF_METHODS.items():
    app.command(_name, help=_command.__doc__)(lambda: None)  # `_Commands` makes the command itself
app.command("train")(train.train)
app.command("ado-train", cls=listing(ado_train.policies))(ado_train.ado_train)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("eval")(eval.evaluate)
app.command("bench")(bench.bench)
app.command("mixtures")(mixtures.mixtures)
app.command("export", cls=listing(export.formats))(export.export)

_INTERRUPTED = 130


def _version(show: bool) -> None:
    if show:
        typer.echo(f"mixopt {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[  # noqa: ARG001 (typer calls it back)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if debug:
        os.environ["MIXOPT_DEBUG"] = "1"


def main() -> None:
    """Entry point: errors that a user can mend become one line and exit status 2."""
    from mixopt.errors import MixoptError

    try:
        app()
    except MixoptError as error:
        if os.environ.get("MIXOPT_DEBUG"):
            raise
        print(f"mixopt: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as exit_:
        if exit_.code == _INTERRUPTED:  # typer has turned Ctrl-C into this status
            print("mixopt: interrupted; what is finished is kept, the same command goes on from there", file=sys.stderr)
        raise
