"""`mixopt report`: a study as one HTML page."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def report(
    study: Annotated[
        str | None,
        typer.Argument(metavar="[STUDY_ID]", help="A study's id, or as much of its start as is unique [the latest]."),
    ] = None,
    results: Annotated[str, typer.Option("--results", help="Folder of the results table.")] = "results",
    out: Annotated[
        str | None, typer.Option(metavar="FILE.html", help="The file to write [RESULTS/studies/STUDY_ID/report.html].")
    ] = None,
) -> None:
    """Write a study as one HTML page: question, answer, fits, curves and every run.

    The page needs no network and opens from disk in any browser; every number leads to the runs behind it.

    Example: `mixopt report --results demo/results --out report.html`
    """
    from mixopt.report.html import write_report
    from mixopt.store import Store

    with Store(results, read_only=True) as store:
        written = write_report(store, study, out)
        others = [one["study_id"] for one in store.studies()] if study is None else []
    if len(others) > 1:
        *earlier, latest = others
        shown = ", ".join(reversed(earlier[-5:])) + (" …" if len(earlier) > 5 else "")
        print(f"mixopt: note: {latest} is the latest of {len(others)} studies; earlier ones: {shown}", file=sys.stderr)
    typer.echo(f"wrote {written}")
