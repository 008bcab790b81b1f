"""`mixopt runs …`: look at the results table, take runs out of it and into it."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from mixopt.trackers import TRACKERS

app = typer.Typer(no_args_is_help=True, help="List, show, export, import and remove runs of the results table.")


class Status(StrEnum):
    """How a run ended."""

    FINISHED = "finished"
    DIVERGED = "diverged"
    FAILED = "failed"


Results = Annotated[str, typer.Option("--results", help="Folder of the results table.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON only.")]
ByStatus = Annotated[Status | None, typer.Option("--status", help="Only runs that ended so.")]
ByStudy = Annotated[str | None, typer.Option("--study", help="Only runs of this study.")]
RunId = Annotated[str, typer.Argument(help="A run's id, or as much of its start as is unique.")]


@app.command("list")
def list_runs(
    status: ByStatus = None, study: ByStudy = None, results: Results = "results", as_json: AsJson = False
) -> None:
    """List runs, oldest first.

    Example: `mixopt runs list --status failed`
    """
    from mixopt.store import Store

    with Store(results, read_only=True) as store:
        rows = store.rows(status=status, study=store.find_study(study) if study else None)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    from mixopt.report.console import grid, page
    from mixopt.report.runs import runs_table

    page().print(grid(runs_table(rows)) if rows else "no runs")


@app.command()
def show(run: RunId, results: Results = "results", as_json: AsJson = False) -> None:
    """Show one run: what was asked for, what came out by domain, and its downstream scores.

    Example: `mixopt runs show 3fa9`
    """
    from mixopt.store import Store

    with Store(results, read_only=True) as store:
        run_id = store.find(run)
        spec, result = store.get(run_id)
        created = store.created(run_id)
        scores = store.scores.of([run_id]).get(run_id, [])
    if as_json:
        told = {"spec": spec.to_dict(), "result": result.to_dict(), "created": created}
        typer.echo(json.dumps({**told, "scores": [score.to_dict() for score in scores]}))
        return
    from mixopt.report.console import page, print_table
    from mixopt.report.runs import print_run
    from mixopt.report.scores_table import scores_table
    from mixopt.score import ScoredModel

    print_run(spec, result, created, page())
    if scores:
        print_table(scores_table([ScoredModel(name=run_id, subject=run_id, source="", scores=scores)]), page())


@app.command()
def export(
    path: Annotated[str, typer.Argument(help="`.csv` for `mixopt recommend`; `.jsonl` or `.jsonl.gz` loses nothing.")],
    status: ByStatus = None,
    study: ByStudy = None,
    results: Results = "results",
) -> None:
    """Write runs to a file.

    Example: `mixopt runs export runs.csv`, then `mixopt recommend --runs runs.csv`
    """
    from mixopt.store import Store, export_runs

    with Store(results, read_only=True) as store:
        chosen = store.rows(status=status, study=store.find_study(study) if study else None)
        count = export_runs(store, path, [row["run_id"] for row in chosen])
    typer.echo(f"wrote {count} runs to {path}")


@app.command("import")
def import_runs(
    path: Annotated[str, typer.Argument(help="A `.jsonl` or `.jsonl.gz` that `mixopt runs export` wrote.")],
    results: Results = "results",
) -> None:
    """Take in runs that were exported elsewhere; finished runs that are here stay as they are.

    Example: `mixopt runs import runs.jsonl.gz`
    """
    from mixopt.store import Store, import_runs

    with Store(results) as store:
        count = import_runs(store, path)
    typer.echo(f"took in {count} runs from {path}")


@app.command()
def rm(
    runs: Annotated[list[str], typer.Argument(help="Run ids, or as much of their start as is unique.")],
    results: Results = "results",
) -> None:
    """Remove runs and their curves from the table.

    Example: `mixopt runs rm 3fa9 81c0`
    """
    from mixopt.store import Store

    with Store(results, read_only=True) as store:
        ids = list(dict.fromkeys(store.find(run) for run in runs))
    with Store(results) as store:
        count = store.remove(ids)
    typer.echo(f"removed {count} run{'s' if count != 1 else ''}")


@app.command()
def track(
    to: Annotated[list[str], typer.Option("--to", help=f"{TRACKERS.offer} (repeatable).")],
    project: Annotated[str, typer.Option(help="Project of wandb, experiment of MLflow.")] = "mixopt",
    folder: Annotated[str | None, typer.Option("--dir", help="Where their files go [RESULTS/tracking].")] = None,
    study: ByStudy = None,
    results: Results = "results",
) -> None:
    """Show runs of the table in an experiment tracker; those that it shows already are replaced, not repeated.

    Example: `mixopt runs track --to tensorboard`, then `tensorboard --logdir results/tracking/tensorboard`
    """
    from pathlib import Path

    from mixopt.store import Store
    from mixopt.trackers import Tracked, Trackers

    trackers = Trackers.open(to, project, Path(folder or Path(results) / "tracking"))
    with Store(results, read_only=True) as store:
        chosen = store.find_study(study) if study else None
        # The first study that a run was trained for says what it is for.
        roles: dict[str, tuple[str, str]] = {}
        for one in store.studies():
            if chosen in (None, one["study_id"]):
                for run_id, role in one["runs"]:
                    roles.setdefault(run_id, (one["study_id"], str(role)))
        rows = store.rows(study=chosen)
        for row in rows:
            trackers.log(Tracked(*store.get(row["run_id"]), *roles.get(row["run_id"], ("", row["policy"]))))
    if not trackers.trackers:
        raise typer.Exit(1)
    typer.echo(f"{len(rows)} runs are in {', '.join(trackers.trackers)}")
