"""`mixopt train`: one mixture, trained to a target, on one GPU or several."""

from __future__ import annotations

from typing import Annotated

import typer

from mixopt.cli import common
from mixopt.cli.targets import check_asked, run_targets


def train(
    mixture: Annotated[
        str,
        typer.Option(
            "--mixture",
            help="uniform, natural, FILE of weights, a published name (`mixopt mixtures`), ddo:STUDY, "
            "autoscale:STUDY or doremi:STUDY; NAME=… to name it.",
            rich_help_panel=common.STUDY,
        ),
    ],
    study_file: common.StudyFile = None,
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
    """Train a mixture for many tokens, and print what it measures.

    The same loop as the proxies', on one GPU or several. Killed and started again, it goes on from its checkpoint;
    a run that the results table has is not trained again. `mixopt compare` puts such runs side by side.

    Example: `mixopt train --mixture ddo:3fa9 --tokens 10M --seeds 3 --keep study.yaml`
    """
    from mixopt.study import Study, StudyConfig
    from mixopt.study.compare.contenders import Contender
    from mixopt.study.loop import plan_targets
    from mixopt.study.mixtures import resolve_mixture

    given = common.study_flags(locals())
    study = Study.of(StudyConfig.load(study_file, given))
    count, seeds_of = check_asked(study, tokens, seeds)
    asked = Contender.parse(mixture)
    planned = plan_targets(study, {asked.name: resolve_mixture(asked.text, study)}, count, seeds_of)
    if dry_run:
        common.print_cost(study, planned, as_json=as_json)
    else:
        run_targets(study, asked.name, planned, plots=plots, quiet=quiet, as_json=as_json)
