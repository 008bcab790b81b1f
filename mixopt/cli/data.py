"""`mixopt data …`: text to tokens."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Prepare text for training, and look at it.")
