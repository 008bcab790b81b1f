"""`mixopt ddo`: the best mixture at one scale, from text to recommendation."""

from __future__ import annotations

from typing import Annotated, Any

from mixopt.cli import common
from mixopt.cli.answer import answer


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
    verify: common.Verify = False,
    quiet: common.QuietFlag = False,
    as_json: common.AsJson = False,
) -> None:
    """Find the best mixture at one scale: perturb each domain, fit, solve.

    Trains one proxy on the reference mixture and two for each domain (three times its tokens, and a third), fits a
    law to each domain, and solves for the best mixture. Stop it whenever you like: the same command goes on.

    Example: `mixopt ddo --data data/ --model gpt2-0.4m --tokens 800k --seeds 3`
    """
    from mixopt.study import Study, StudyConfig, ddo_searcher

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
    searcher = ddo_searcher(study)
    if dry_run:
        common.print_dry_run(study, searcher, as_json=as_json)
    else:
        answer(study, searcher, verify=verify, quiet=quiet, as_json=as_json)
