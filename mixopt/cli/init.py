"""`mixopt init`: a study file to start from."""

from __future__ import annotations

from typing import Annotated

import typer


def init(
    path: Annotated[str, typer.Argument(help="The file to write; it must not exist.")] = "study.yaml",
) -> None:
    """Write a commented study file that holds every default.

    Example: `mixopt init study.yaml`, then `mixopt ddo study.yaml`
    """
    from mixopt.study.template import write_template

    written = write_template(path)
    typer.echo(f"wrote {written}; `mixopt ddo {written}` runs it")
