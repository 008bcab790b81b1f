"""`mixopt eval`: how well trained models do at downstream tasks."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mixopt.cli.common import WHERE, AsJson, CpusPerRun, GpusPerRun, QuietFlag, flag

_TASKS = "The tasks"
_LIST = "list"
_SUITES = {
    "offline": "choices, cloze and completion made of your held-out documents; no network",
    "bigbench": "BIG-bench's multiple-choice tasks, where the package `bigbench` is installed; no network",
    "glue": "fine-tuning of masked models on GLUE (--suite)",
    "squad": "fine-tuning of masked models on SQuAD (--suite)",
}


def evaluate(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN|CHECKPOINT",
            help="Runs by the start of their ids, folders that from_pretrained reads, or names on the hub; several"
            " give a column each.",
        ),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        flag(
            "--tasks",
            "Presets (ado, autoscale), offline, bigbench, names of lm-eval, your own task files; NAME@N for N"
            " solved examples in the prompt; commas between them. `list` shows them, and with words in place of"
            " models the names that hold one.",
            _TASKS,
        ),
    ] = None,
    suite: Annotated[
        list[str] | None, flag("--suite", "Fine-tune masked models: glue, squad (repeatable).", _TASKS)
    ] = None,
    data: Annotated[
        Path | None, flag("--data", "Prepared data: the offline suite is made of its held-out documents.", _TASKS)
    ] = None,
    task_data: Annotated[
        Path | None, flag("--task-data", "Folder of files for --suite, in the tasks' schema [the hub's].", _TASKS)
    ] = None,
    shots: Annotated[
        int | None, flag("--shots", "Solved examples in the prompt, for names without @N [the task's].", _TASKS)
    ] = None,
    limit: Annotated[int | None, flag("--limit", "Most items of each task [all].", _TASKS)] = None,
    seeds: Annotated[int, flag("--seeds", "Fine-tunings of each task, each with another seed [1].", _TASKS)] = 1,
    executor: Annotated[str, flag("--executor", "ray, or inline (in this process).", WHERE)] = "ray",
    ray_address: Annotated[str | None, flag("--ray-address", "A Ray cluster, host:port.", WHERE)] = None,
    cpus_per_run: CpusPerRun = None,
    gpus_per_run: GpusPerRun = None,
    device: Annotated[str, flag("--device", "auto, cpu or cuda.", WHERE)] = "auto",
    batch_size: Annotated[
        int | None, flag("--batch-size", "Items of a forward pass [what suits model and device].", WHERE)
    ] = None,
    results: Annotated[str, flag("--results", "Folder of the results table.", WHERE)] = "results",
    quiet: QuietFlag = False,
    as_json: AsJson = False,
) -> None:
    """Score trained models at downstream tasks; scores go to the results table, with standard errors.

    Causal models are scored by lm-eval as they are; masked ones are fine-tuned on each task first. What the table
    has is not scored again. A task that cannot be had says why, and the others go on.

    Example: `mixopt eval 3fa9 81c0 --tasks offline --data demo/data`

    Example: `mixopt eval results/checkpoints/3fa9…/final --tasks ado,mmlu@5 --limit 200`

    Example: `mixopt eval 3fa9 --tasks my_task.yaml --json`

    Example: `mixopt eval 5d02 --suite glue --suite squad --seeds 3`, of a masked model

    Example: `mixopt eval hellaswag --tasks list`
    """
    names = [name.strip() for word in (*(tasks or ()), *(suite or ())) for name in word.split(",") if name.strip()]
    if names == [_LIST]:
        _list(models or [], as_json=as_json)
        return
    from rich.console import Console

    from mixopt.errors import ConfigError
    from mixopt.evaluate.tasks import resolve
    from mixopt.report.console import page
    from mixopt.report.progress import EvalProgress
    from mixopt.report.scores_table import print_scores, scores_dict
    from mixopt.store import Store
    from mixopt.study.config import StudyConfig
    from mixopt.study.evaluate import check_suites, find_models
    from mixopt.study.evaluate import evaluate as run_evaluation

    if not models:
        raise ConfigError("mixopt eval: expected a run's id, a folder or a name on the hub, found nothing")
    if not names:
        raise ConfigError("mixopt eval: expected --tasks or --suite; `mixopt eval --tasks list` shows what there is")
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"--batch-size: expected at least 1, found {batch_size}")
    tasks_for = partial(resolve, names, data_dir=data, task_data=task_data, shots=shots, limit=limit, seeds=seeds)
    place = {"kind": executor, "ray_address": ray_address, "device": device}
    sizes = {"cpus_per_run": cpus_per_run or 1, "gpus_per_run": gpus_per_run}
    section = StudyConfig.build({"executor": {**place, **sizes}}, "mixopt eval").executor
    runtime = replace(section.evaluations, batch_size=batch_size)
    with Store(results) as store:
        found = find_models(models, store)
        check_suites(suite or [], found)
        with section.open() as opened:
            progress = EvalProgress(None if quiet else Console(stderr=True))
            scored = run_evaluation(found, tasks_for, store, opened, runtime, progress, data)
    if as_json:
        typer.echo(json.dumps(scores_dict(scored)))
    else:
        print_scores(scored, page())
    if not any(model.scores for model in scored):
        raise typer.Exit(1)


def _list(words: list[str], *, as_json: bool) -> None:
    """Presets, suites and the names that lm-eval has; with words only the names that hold one of them."""
    from mixopt.evaluate.tasks import presets
    from mixopt.evaluate.tasks_index import lm_eval_tasks

    entries = lm_eval_tasks()
    chosen = [name for name in sorted(entries) if not words or any(word.lower() in name.lower() for word in words)]
    if as_json:
        papers = {name: {"source": one.source, "tasks": one.tasks} for name, one in presets().items()}
        kinds = {name: entries[name].kind for name in chosen}
        typer.echo(json.dumps({"presets": papers, "suites": _SUITES, "lm_eval": kinds}))
        return
    if words:
        typer.echo("\n".join(f"{name}  {entries[name].kind}" for name in chosen) or "lm-eval has no such name")
        return
    for name, one in presets().items():
        typer.echo(f"{name}  {one.source}\n    {', '.join(one.tasks)}")
    for name, text in _SUITES.items():
        typer.echo(f"{name}  {text}")
    counts = {kind: sum(entry.kind == kind for entry in entries.values()) for kind in ("task", "group", "tag")}
    listed = ", ".join(f"{count:,} {kind}s" for kind, count in counts.items())
    typer.echo(f"lm-eval: {listed}; `mixopt eval WORD --tasks list` shows the names that hold a word")
