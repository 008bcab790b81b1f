"""`mixopt autoscale`: the best mixture for a target, from DDO at scales that can be afforded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mixopt.cli import common

if TYPE_CHECKING:
    from mixopt.study import Study


_WITH_OPTIMA = ("from_optima", "pinned", "target", "floor", "results", "quiet", "as_json")


def autoscale(
    context: typer.Context,
    study_file: common.StudyFile = None,
    target: Annotated[str | None, common.flag("--target", "Tokens that the mixture is for, such as 10B.")] = None,
    scales: Annotated[
        str | None,
        common.flag("--scales", "Tokens of the base run at each scale, such as 200k,800k [tokens/4 and tokens]."),
    ] = None,
    predictor: Annotated[
        str | None,
        common.flag("--predictor", "geometric, joint, or auto (the better one on what it has not seen)."),
    ] = None,
    match_epochs: Annotated[
        bool | None,
        common.flag("--match-epochs", "Let proxies repeat each domain as often as the target will."),
    ] = None,
    from_optima: Annotated[
        Path | None,
        common.flag(
            "--from-optima", "CSV of optima found elsewhere (tokens, w.DOMAIN): train nothing, geometric law alone."
        ),
    ] = None,
    pinned: Annotated[
        str | None, common.flag("--pinned", "With --from-optima: domains that sat at a bound, NAME,NAME.")
    ] = None,
    data: common.Data = None,
    model: common.Model = None,
    tokens: Annotated[
        str | None, common.flag("--tokens", "Training tokens of the largest scale, where --scales is not given.")
    ] = None,
    factors: common.Factors = None,
    seeds: common.Seeds = None,
    reference: common.Reference = None,
    objective: common.ObjectiveName = None,
    perturb: common.Perturb = None,
    preset: common.Preset = None,
    floor: common.Floor = None,
    max_epochs: common.MaxEpochs = None,
    settings: common.Settings = None,
    executor: common.ExecutorKind = None,
    ray_address: common.RayAddress = None,
    cpus_per_run: common.CpusPerRun = None,
    gpus_per_run: common.GpusPerRun = None,
    results: common.Results = None,
    track: common.Track = None,
    dry_run: common.DryRun = False,
    quiet: common.QuietFlag = False,
    as_json: common.AsJson = False,
) -> None:
    """Find the best mixture for a target that is too long to search at: DDO at smaller scales, extrapolated.

    Trains DDO's runs at two or more scales (those that the table has are used again), carries the optima on to the
    target by two predictors, and says how sure each is. Stop it whenever you like: the same command goes on.

    Example: `mixopt autoscale --target 10M --scales 200k,800k --data data/ --seeds 3`
    """
    flags: dict[str, Any] = {
        "method.name": "autoscale",
        "method.target_tokens": target,
        "method.scales": scales,
        "method.predictor": predictor,
        "method.match_epochs": match_epochs,
        "data.dir": data,
        "model.preset": model,
        "training.tokens": tokens,
        "training.max_epochs": max_epochs,
        "method.factors": factors,
        "method.seeds": seeds,
        "method.reference": reference,
        "method.objective": objective,
        "method.perturb": perturb,
        "method.preset": preset,
        "method.floor": floor,
        "executor.kind": executor,
        "executor.ray_address": ray_address,
        "executor.cpus_per_run": cpus_per_run,
        "executor.gpus_per_run": gpus_per_run,
        "results": results,
        "tracking.to": track or None,
        **common.parse_settings(settings),
    }
    if from_optima is not None:
        _refuse_all_but_optima(context)
        _from_optima(from_optima, pinned, flags, as_json=as_json)
        return

    from mixopt.errors import ConfigError
    from mixopt.study import Study, StudyConfig

    if pinned is not None:
        raise ConfigError("--pinned: it says which optima of --from-optima FILE sat at a bound; DDO knows its own")
    study = Study.of(StudyConfig.load(study_file, flags))
    if dry_run:
        from mixopt.study.autoscale import autoscale_searcher

        common.print_dry_run(study, autoscale_searcher(study), as_json=as_json)
    else:
        _run(study, quiet=quiet, as_json=as_json)


def _run(study: Study, *, quiet: bool, as_json: bool) -> None:
    from rich.console import Console

    from mixopt.report.console import page
    from mixopt.report.progress import Live, Quiet
    from mixopt.report.recommendation import print_recommendation, save_recommendation
    from mixopt.study.autoscale import autoscale as run_autoscale

    recommendation = run_autoscale(study, Quiet() if quiet else Live(Console(stderr=True)))
    folder = Path(study.config.results) / "studies" / study.study_id
    files = save_recommendation(recommendation, folder)
    if as_json:
        written = {"study": study.study_id, "files": [str(file) for file in files]}
        typer.echo(json.dumps({**recommendation.to_dict(), **written}, allow_nan=False))
        return
    console = page()
    print_recommendation(recommendation, console)
    console.print(f"\nstudy {study.study_id}", highlight=False)
    common.print_files(files, console)


def _refuse_all_but_optima(context: typer.Context) -> None:
    """Optima from a file need no training, so that most of what else may be given would be passed over in silence.

    Raises:
        ConfigError: there is such a flag, or a study file.
    """
    from mixopt.errors import ConfigError

    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name not in _WITH_OPTIMA and source is not None and source.name == "COMMANDLINE":
            what = context.params[name] if name == "study_file" else parameter.opts[0]
            raise ConfigError(
                f"--from-optima: nothing is trained, so {what} has no meaning; expected --target, --pinned, "
                "--floor, --results only"
            )


def _from_optima(path: Path, pinned: str | None, flags: dict[str, Any], *, as_json: bool) -> None:
    from mixopt.errors import ConfigError
    from mixopt.methods.autoscale.optima import extrapolate_optima, read_optima
    from mixopt.report.console import page
    from mixopt.report.recommendation import print_recommendation, save_recommendation
    from mixopt.units import parse_count

    target, floor = flags["method.target_tokens"], flags["method.floor"]
    results = flags["results"] or "results"
    if target is None:
        raise ConfigError(
            "autoscale: expected the tokens that the mixture is for, such as --target 10B; found none"
        )
    optima, notes = read_optima(path)
    names = [name.strip() for name in pinned.split(",")] if pinned is not None else []
    recommendation = extrapolate_optima(optima, parse_count(target, "--target"), names, floor or 0.0)
    folder = Path(results) / "recommend" / path.stem
    files = save_recommendation(recommendation, folder)
    for note in notes:
        print(f"mixopt: note: {note}", file=sys.stderr)
    if as_json:
        content = {**recommendation.to_dict(), "files": [str(file) for file in files]}
        typer.echo(json.dumps(content, allow_nan=False))
        return
    console = page()
    print_recommendation(recommendation, console)
    common.print_files(files, console)
