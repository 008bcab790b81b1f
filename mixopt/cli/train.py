"""`mixopt train`: one mixture, trained to a target, on one GPU or several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mixopt.cli import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixopt.study import Study
    from mixopt.study.loop import Planned


def train(
    mixture: Annotated[
        str,
        typer.Option(
            "--mixture",
            help="uniform, natural, FILE of weights, a published name (`mixopt mixtures`), ddo:STUDY or "
            "autoscale:STUDY; NAME=… to name it.",
            rich_help_panel=common.STUDY,
        ),
    ],
    study_file: common.StudyFile = None,
    data: common.Data = None,
    model: Annotated[str | None, common.flag("--model", "Preset of the model, such as gpt2-124m.")] = None,
    tokens: Annotated[
        str | None, common.flag("--tokens", "Training tokens, such as 10M [method.target_tokens, or the study's].")
    ] = None,
    seeds: Annotated[int, common.flag("--seeds", "Runs, each with another seed [1].")] = 1,
    max_epochs: common.MaxEpochs = None,
    settings: common.Settings = None,
    executor: common.ExecutorKind = None,
    ray_address: common.RayAddress = None,
    cpus_per_run: common.CpusPerRun = None,
    gpus_per_run: common.GpusPerRun = None,
    processes_per_run: Annotated[
        int | None,
        common.flag(
            "--processes-per-run",
            "Data-parallel processes of a run, each with these CPUs and GPUs; --set executor.sharding=fsdp splits"
            " the model over them.",
            common.WHERE,
        ),
    ] = None,
    results: common.Results = None,
    track: common.Track = None,
    keep: Annotated[
        bool, common.flag("--keep", "Keep the trained model, for from_pretrained.", common.OUTPUT)
    ] = False,
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
    name, planned = _plan(study, mixture, tokens, seeds)
    if dry_run:
        common.print_cost(study, planned, as_json=as_json)
    else:
        _run(study, name, planned, quiet=quiet, as_json=as_json)


def _plan(study: Study, mixture: str, tokens: str | None, seeds: int) -> tuple[str, list[Planned]]:
    """The mixture's name and its runs.

    Raises:
        ConfigError: no such mixture, or a wrong number.
    """
    from mixopt.errors import ConfigError
    from mixopt.study.contenders import Contender
    from mixopt.study.mixtures import resolve_mixture
    from mixopt.study.target import plan_targets
    from mixopt.units import parse_count

    if seeds < 1:
        raise ConfigError(f"--seeds: expected at least 1, found {seeds}")
    asked = Contender.parse(mixture)
    count = study.config.method.target_tokens or study.tokens if tokens is None else parse_count(tokens, "--tokens")
    mixtures = {asked.name: resolve_mixture(asked.text, study)}
    return asked.name, plan_targets(study, mixtures, count, range(seeds))


def _run(study: Study, name: str, planned: Sequence[Planned], *, quiet: bool, as_json: bool) -> None:
    from rich.console import Console

    from mixopt.report.console import page
    from mixopt.report.figure import png
    from mixopt.report.files import write_files
    from mixopt.report.progress import Live, Quiet
    from mixopt.report.target import losses_figure, print_target, target_dict
    from mixopt.search.objective import parse_objective
    from mixopt.store import Store
    from mixopt.study.measured import Side, Yardstick
    from mixopt.study.target import kept_model, train_targets

    watch = Quiet() if quiet else Live(Console(stderr=True))
    with Store(study.config.results) as store, study.executor() as executor:
        store.check_writable()
        runs = train_targets(study, planned, store, executor, watch)
    spec = runs[0][0]
    objective = parse_objective(study.config.method.objective)
    entry = Side.of(name, runs, Yardstick(objective, "perplexity", spec.measured, spec.data.domains)).entry
    folder = Path(study.config.results) / "targets" / entry.runs[0]
    files = write_files(folder, {"losses.png": png(losses_figure(name, entry, runs))})
    keeps = study.config.executor.keep_checkpoints
    models = [kept_model(study, run_id) for run_id in entry.runs] if keeps else []
    if as_json:
        written = {"models": [str(path) for path in models], "files": [str(file) for file in files]}
        typer.echo(json.dumps({**target_dict(name, entry, runs), "study": study.study_id, **written}))
        return
    console = page()
    print_target(name, entry, runs, console)
    common.print_files(files, console)
    for path in models:
        console.print(f"kept {path}", highlight=False, soft_wrap=True)
