"""`mixopt ado-train`: one model, trained on a mixture that adapts to what it learns."""

from __future__ import annotations

from typing import Annotated

from mixopt.cli import common
from mixopt.cli.targets import check_asked, run_targets


def policies() -> dict[str, str]:
    """What help says of each policy that this command can train with."""
    from mixopt.policy import POLICIES, weighs_losses

    found = {name: POLICIES.get(name) for name in POLICIES if not weighs_losses(name)}
    return {
        name: "; ".join([kind.summary, *(f"{option}: {', '.join(of)}" for option, of in kind.variants.items())])
        for name, kind in found.items()
    }


def ado_train(
    study_file: common.StudyFile = None,
    policy: Annotated[
        str | None,
        common.flag(
            "--policy",
            "One of those above, or module:Class; with options NAME:s=1,gamma2=0.2 [the study file's, or ado].",
        ),
    ] = None,
    preset: Annotated[str | None, common.flag("--preset", "A policy's variant, as above [the first].")] = None,
    prior: Annotated[
        str | None,
        common.flag("--prior", "Mixture to start from: natural, uniform, FILE or a published name [natural]."),
    ] = None,
    law: Annotated[
        str | None, common.flag("--law", "Which law the policy fits, where it fits one, as above [the first].")
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
    `mixopt compare` takes policies beside mixtures: `mixopt compare natural ado odm`. The policies:

    LIST

    Example: `mixopt ado-train study.yaml --tokens 10M --seeds 3`

    Example: `mixopt ado-train study.yaml --preset paper --prior uniform --dry-run`

    Example: `mixopt ado-train study.yaml --policy odm:code --keep`
    """
    from mixopt.study import Study, StudyConfig
    from mixopt.study.policies import PolicyAsked, plan_policies

    given = common.study_flags(locals())
    study = Study.of(StudyConfig.load(study_file, given))
    count, seeds_of = check_asked(study, tokens, seeds)
    chosen = study.config.policy
    asked = PolicyAsked(chosen.name, chosen.prior, chosen.options).changed(policy, preset, prior, law)
    planned = plan_policies(study, {asked.word: asked}, count, seeds_of)
    if dry_run:
        common.print_cost(study, planned, as_json=as_json)
    else:
        run_targets(study, asked.word, planned, plots=plots, quiet=quiet, as_json=as_json)
