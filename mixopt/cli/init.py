"""`mixopt init`: a study file to start from."""

from __future__ import annotations

from typing import Annotated

import typer


def init(
    path: Annotated[str, typer.Argument(help="The file to write; it must not exist.")] = "study.yaml",
    method: Annotated[str, typer.Option(help="Whose options it lists: ddo, adso, regmix … or module:Class.")] = "ddo",
) -> None:
    """Write a commented study file that holds every default, and every option of the method.

    Example: `mixopt init study.yaml`, then `mixopt ddo study.yaml`

    Example: `mixopt init adso.yaml --method adso`
    """
    from mixopt.methods.registry import method_named
    from mixopt.study.template import write_template

    written = write_template(path, method)
    command, _, options = method_named(method).command_line.partition(" ")
    typer.echo(f"wrote {written}; `{' '.join(filter(None, ('mixopt', command, str(written), options)))}` runs it")
