"""`mixopt ado-train`: one model, trained on a mixture that adapts to what it learns."""

from __future__ import annotations

from typing import Annotated, Any

from mixopt.cli import common
from mixopt.cli.targets import check_asked, run_targets


def ado_train(
    study_file: common.StudyFile = None,
    policy: Annotated[
        str | None,
        common.flag(
            "--policy",
            "ado, odm, static, schedule or custom; with options ado:s=1,gamma2=0.2 [the study file's, or ado].",
        ),
    ] = None,
    preset: Annotated[
        str | None, common.flag("--preset", "ado: robust, paper or official; odm: paper or code [the first].")
    ] = None,
    prior: Annotated[
        str | None,
        common.flag("--prior", "Mixture to start from: natural, uniform, FILE or a published name [natural]."),
    ] = None,
    law: Annotated[
        str | None,
        common.flag("--law", "Which law ado fits: power, or schedule-aware (the learning rate's) [power]."),
    ] = None,
    data: common.Data = None,
    model: common.TrainedModel = None,
    tokens: common.TargetTokens = None,
    seeds: common.TargetSeeds = 1,
    max_epochs: common.MaxEpochs = None,
    settings: common.Settings = None,
    executor: common.ExecutorKind = None,
    ray_address: common.RayAddress = None,
    cpus_per_run: common.CpusPerRun = None,
    gpus_per_run: common.GpusPerRun = None,
    processes_per_run: common.ProcessesPerRun = None,
    results: common.Results = None,
    track: common.Track = None,
    keep: common.Keep = False,
    plots: common.Plots = True,
    dry_run: common.DryRun = False,
    quiet: common.QuietFlag = False,
    as_json: common.AsJson = False,
) -> None:
    """Train with a mixture that changes as the model learns: adaptive data optimisation, or another policy.

    ADO fits a scaling law to each domain's training loss while it trains, and draws more of those that are learnt
    fastest; no proxy runs. The loop, the table, checkpoints and pictures are those of `mixopt train`, and
    `mixopt compare` takes policies beside mixtures: `mixopt compare natural ado odm`.

    Example: `mixopt ado-train study.yaml --tokens 10M --seeds 3`

    Example: `mixopt ado-train study.yaml --preset paper --prior uniform --dry-run`

    Example: `mixopt ado-train study.yaml --policy odm:code --keep`
    """
    from mixopt.study import Study, StudyConfig
    from mixopt.study.policies import PolicyAsked, plan_policies

    flags: dict[str, Any] = {
        "data.dir": data,
        "model.preset": model,
        "training.max_epochs": max_epochs,
        "executor.kind": executor,
        "executor.ray_address": ray_address,
        "executor.cpus_per_run": cpus_per_run,
        "executor.gpus_per_run": gpus_per_run,
        "executor.processes_per_run": processes_per_run,
        "executor.keep_checkpoints": keep or None,
        "results": results,
        "tracking.to": track or None,
        **common.parse_settings(settings),
    }
    study = Study.of(StudyConfig.load(study_file, flags))
    count, seeds_of = check_asked(study, tokens, seeds)
    chosen = study.config.policy
    asked = PolicyAsked(chosen.name, chosen.prior, chosen.options).changed(policy, preset, prior, law)
    planned = plan_policies(study, {asked.word: asked}, count, seeds_of)
    if dry_run:
        common.print_cost(study, planned, as_json=as_json)
    else:
        run_targets(study, asked.word, planned, plots=plots, quiet=quiet, as_json=as_json)
