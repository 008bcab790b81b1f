"""`mixopt ddo`: the best mixture at one scale, from text to recommendation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mixopt.cli import common

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.search.base import Recommendation
    from mixopt.study import Study
    from mixopt.study.verify import Verification


def ddo(
    study_file: common.StudyFile = None,
    data: common.Data = None,
    model: common.Model = None,
    tokens: Annotated[str | None, common.flag("--tokens", "Training tokens of the base run, such as 800k.")] = None,
    factors: common.Factors = None,
    seeds: common.Seeds = None,
    reference: common.Reference = None,
    objective: common.ObjectiveName = None,
    perturb: common.Perturb = None,
    fit: Annotated[
        str | None,
        common.flag(
            "--fit", "lines (a law of each domain's own runs) or joint (laws of all runs at once) [lines]."
        ),
    ] = None,
    preset: common.Preset = None,
    floor: common.Floor = None,
    max_epochs: common.MaxEpochs = None,
    target_tokens: Annotated[
        str | None, common.flag("--target-tokens", "Tokens of the final training, for the cap on epochs.")
    ] = None,
    settings: common.Settings = None,
    executor: common.ExecutorKind = None,
    ray_address: common.RayAddress = None,
    cpus_per_run: common.CpusPerRun = None,
    gpus_per_run: common.GpusPerRun = None,
    results: common.Results = None,
    track: common.Track = None,
    dry_run: common.DryRun = False,
    verify: Annotated[
        bool,
        common.flag(
            "--verify", "Train the recommended mixture and the baselines (3 seeds), and compare.", common.OUTPUT
        ),
    ] = False,
    quiet: common.QuietFlag = False,
    as_json: common.AsJson = False,
) -> None:
    """Find the best mixture at one scale: perturb each domain, fit, solve.

    Trains one proxy on the reference mixture and two for each domain (three times its tokens, and a third), fits a
    law to each domain, and solves for the best mixture. Stop it whenever you like: the same command goes on.

    Example: `mixopt ddo --data data/ --model gpt2-0.4m --tokens 800k --seeds 3`
    """
    from mixopt.study import Study, StudyConfig

    flags: dict[str, Any] = {
        "method.name": "ddo",
        "data.dir": data,
        "model.preset": model,
        "training.tokens": tokens,
        "training.max_epochs": max_epochs,
        "method.factors": factors,
        "method.seeds": seeds,
        "method.reference": reference,
        "method.objective": objective,
        "method.perturb": perturb,
        "method.fit": fit,
        "method.preset": preset,
        "method.floor": floor,
        "method.target_tokens": target_tokens,
        "executor.kind": executor,
        "executor.ray_address": ray_address,
        "executor.cpus_per_run": cpus_per_run,
        "executor.gpus_per_run": gpus_per_run,
        "results": results,
        "tracking.to": track or None,
        **common.parse_settings(settings),
    }
    study = Study.of(StudyConfig.load(study_file, flags))
    if dry_run:
        from mixopt.study.ddo import ddo_searcher

        common.print_dry_run(study, ddo_searcher(study), as_json=as_json)
    else:
        _run(study, verify=verify, quiet=quiet, as_json=as_json)


def _run(study: Study, *, verify: bool, quiet: bool, as_json: bool) -> None:
    from rich.console import Console

    from mixopt.report.console import page
    from mixopt.report.progress import Live, Quiet
    from mixopt.report.recommendation import distinct, print_recommendation, save_recommendation
    from mixopt.store import Store
    from mixopt.study.ddo import ddo_searcher
    from mixopt.study.loop import run_study
    from mixopt.study.verify import verify as verify_recommendation

    watch = Quiet() if quiet else Live(Console(stderr=True))
    searcher = ddo_searcher(study)
    verification = None
    with Store(study.config.results) as store, study.executor() as executor:
        recommendation = run_study(study, searcher, store, executor, watch)
        folder = store.folder / "studies" / study.study_id
        files = save_recommendation(recommendation, folder, searcher.baselines)
        if verify:
            verification = verify_recommendation(
                study,
                recommendation,
                searcher.settings.objective,
                distinct(searcher.baselines),
                store,
                executor,
                watch,
            )
            files.append(_save_verification(verification, folder))
    if as_json:
        typer.echo(json.dumps(_as_json(recommendation, verification, study, files)))
        return
    console = page()
    print_recommendation(recommendation, searcher.baselines, console)
    if verification:
        from mixopt.study.tables import print_verification

        print_verification(verification, console)
    common.print_files(files, console)


def _as_json(
    recommendation: Recommendation, verification: Verification | None, study: Study, files: list[Path]
) -> dict[str, Any]:
    verified = {"verification": verification.to_dict()} if verification else {}
    return {**recommendation.to_dict(), **verified, "study": study.study_id, "files": [str(file) for file in files]}


def _save_verification(verification: Verification, folder: Path) -> Path:
    from mixopt.data.files import write_atomic

    path = folder / "verification.json"
    write_atomic(path, json.dumps(verification.to_dict(), indent=2) + "\n")
    return path
