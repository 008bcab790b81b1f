"""What every search does with its answer: train what it asks for, say it, save it, and verify it on request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from mixopt.cli import common

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.methods.base import Recommendation, Searcher
    from mixopt.study import Study
    from mixopt.study.verify import Verification


def answer(study: Study, searcher: Searcher, *, verify: bool, quiet: bool, as_json: bool) -> None:
    """Run a study to its recommendation, and print and save that.

    Args:
        study: what to train, on what.
        searcher: the method.
        verify: train the recommended mixture and the baselines, and compare.
        quiet: no progress.
        as_json: print one JSON object in place of tables.
    """
    from rich.console import Console

    from mixopt.execute.base import Quiet
    from mixopt.report.console import page
    from mixopt.report.progress import Live
    from mixopt.report.recommendation import baselines_of, print_recommendation, save_recommendation
    from mixopt.store import Store
    from mixopt.study.loop import run_study
    from mixopt.study.verify import verify as verify_recommendation

    watch = Quiet() if quiet else Live(Console(stderr=True))
    verification = None
    with Store(study.config.results) as store, study.executor() as executor:
        recommendation = run_study(study, searcher, store, executor, watch)
        folder = store.folder / "studies" / study.study_id
        files = save_recommendation(recommendation, study.method, folder)
        if verify:
            verification = verify_recommendation(
                study, recommendation, study.objective, baselines_of(recommendation), store, executor, watch
            )
            files.append(_save_verification(verification, folder))
    if as_json:
        typer.echo(json.dumps(_as_json(recommendation, verification, study, files)))
        return
    console = page()
    print_recommendation(recommendation, study.method, console)
    if verification:
        from mixopt.report.verification import print_verification

        print_verification(verification, console)
    common.print_files(files, console)


def _as_json(
    recommendation: Recommendation, verification: Verification | None, study: Study, files: list[Path]
) -> dict[str, Any]:
    verified = {"verification": verification.to_dict()} if verification else {}
    return {**recommendation.to_dict(), **verified, "study": study.study_id, "files": [str(file) for file in files]}


def _save_verification(verification: Verification, folder: Path) -> Path:
    from mixopt.files import write_atomic

    path = folder / "verification.json"
    write_atomic(path, json.dumps(verification.to_dict(), indent=2) + "\n")
    return path
