"""Downstream evaluation of trained models: find them, score what the table lacks, record outcomes as they come."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mixopt.errors import ConfigError, StoreError
from mixopt.evaluate import checkpoint
from mixopt.execute.base import Evaluation, Event, Executor
from mixopt.score import ScoredModel
from mixopt.store.task_errors import by_label
from mixopt.study.tasks import lacking

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mixopt.evaluation import EvalRuntime, EvalTask, Outcome
    from mixopt.model_spec import Prediction
    from mixopt.store import Store

_RUN_ID = re.compile(r"[0-9a-fA-F]{1,16}")


class EvalWatch(Protocol):
    """Who is told how an evaluation goes."""

    def evaluating(self, total: int, found: int) -> AbstractContextManager[None]:
        """The context of scoring `total` tasks, of which the table has `found` more already."""
        ...

    def done(self, model: str, outcome: Outcome) -> None:
        """A task has its outcome."""
        ...

    def retry(self, model: str, reason: str) -> None:
        """A job is tried again."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A model that can be evaluated."""

    name: str  # what it is called in tables
    subject: str  # the run's id, or the checkpoint's digest where no run of the table made it
    folder: Path  # what `from_pretrained` reads
    digest: str  # the checkpoint's content
    objective: Prediction  # what it predicts


def find_model(word: str, store: Store) -> TrainedModel:
    """The model of a run, of a folder, or of a name on the hub.

    Raises:
        StoreError: the run's model was not kept.
        DataError: there is no such model, or its parts do not fit.
    """
    run_id = _run_of(word, store)
    if run_id is None:
        folder = checkpoint.find(word)
        run_id = _run_of_folder(folder, store)
        name = word.rstrip("/") if run_id is None else run_id[:8]
    else:
        folder, name = store.folder / "checkpoints" / run_id / "final", run_id[:8]
        if not folder.is_dir():
            raise StoreError(_not_kept(run_id, store))
    objective = checkpoint.check(folder)
    digest = checkpoint.digest(folder)
    return TrainedModel(
        name=name, subject=run_id or digest, folder=folder.absolute(), digest=digest, objective=objective
    )


def find_models(words: Sequence[str], store: Store) -> list[TrainedModel]:
    """The models of several words (see `find_model`), folders under ends of their paths that tell them apart."""
    found = [find_model(word, store) for word in words]
    # Every kept model is in a folder `final`, which says nothing.
    paths = {model.name: Path(model.name.removesuffix("/final")).parts for model in found}
    for length in range(1, max(map(len, paths.values()), default=0) + 1):
        tails = {name: "/".join(parts[-length:]) for name, parts in paths.items()}
        if len(set(tails.values())) == len(tails):
            return [replace(model, name=tails[model.name]) for model in found]
    return found


def evaluate(
    models: Sequence[TrainedModel],
    tasks_for: Callable[[Prediction], Sequence[EvalTask]],
    store: Store,
    executor: Executor,
    runtime: EvalRuntime,
    watch: EvalWatch,
    data: Path | None = None,
) -> list[ScoredModel]:
    """Scores of `models` at the tasks that are asked for; what the table has is not scored again.

    `tasks_for` gives the tasks of causal or of masked models (see `mixopt.evaluate.tasks.resolve`); `data` is the
    prepared data of those that are made of held-out documents. Each outcome is written as it comes, so that an
    interrupted evaluation goes on.

    Raises:
        ConfigError: an unknown task, or one of the other kind of model.
        DataError: a local task's data cannot be used, or a model's tokenizer is not that of the data.
        ExecutorError: there is no place to evaluate.
        StoreError: the table cannot be written.
    """
    known = {model.subject: model for model in models}
    tasks = _tasks(list(known.values()), tasks_for, data)
    store.check_writable()
    errors: dict[str, dict[str, str]] = {subject: {} for subject in known}
    called = {
        subject: {task.identity: label for label, same in by_label(wanted).items() for task in same}
        for subject, wanted in tasks.items()
    }

    # A job for each task, so that each outcome is recorded as it comes, and a worker's end costs one task.
    jobs = [
        Evaluation(run_id=subject, folder=model.folder, content=model.digest, tasks=(task,), runtime=runtime)
        for subject, model in known.items()
        for task in lacking(store, tasks[subject], [subject]).get(subject, ())
    ]

    def on_event(event: Event) -> None:
        if event.kind == "retry":
            watch.retry(known[event.run_id].name, event.message)

    with (
        watch.evaluating(len(jobs), sum(map(len, tasks.values())) - len(jobs)),
        contextlib.closing(executor.run(jobs, on_event)) as results,
    ):
        for job, ended in results:
            model, (task,), (outcome,) = known[job.run_id], job.tasks, ended.outcomes
            if outcome.error is None:
                store.scores.record(model.subject, outcome.scores, source=str(model.folder))
            else:
                errors[model.subject][called[model.subject][task.identity]] = outcome.error
            watch.done(model.name, outcome)
    return [_scored(model, tasks[model.subject], store, errors[model.subject]) for model in known.values()]


def _tasks(
    models: Sequence[TrainedModel], tasks_for: Callable[[Prediction], Sequence[EvalTask]], data: Path | None
) -> dict[str, Sequence[EvalTask]]:
    """The tasks of each model, by subject; checked before anything is started."""
    asked: dict[Prediction, Sequence[EvalTask]] = {}
    for model in models:
        if model.objective not in asked:
            asked[model.objective] = tasks_for(model.objective)
        if data is not None and model.objective == "causal":
            checkpoint.check_tokenizer(model.folder, data)
    return {model.subject: asked[model.objective] for model in models}


def _scored(model: TrainedModel, tasks: Sequence[EvalTask], store: Store, errors: dict[str, str]) -> ScoredModel:
    """A model's scores at the tasks, in their order."""
    place = {task.identity: number for number, task in enumerate(tasks)}
    scores = [score for score in store.scores.of([model.subject]).get(model.subject, []) if score.identity in place]
    scores.sort(key=lambda score: place[score.identity])
    return ScoredModel(name=model.name, subject=model.subject, source=str(model.folder), scores=scores, missing=errors)


def _run_of(word: str, store: Store) -> str | None:
    """The run whose id starts with `word`; None where the word is something else."""
    if not _RUN_ID.fullmatch(word) or Path(word).is_dir():
        return None
    return store.find(word)


def _run_of_folder(folder: Path, store: Store) -> str | None:
    """The run of this table that left its model in `folder`."""
    kept = (store.folder / "checkpoints").resolve()
    place = folder.resolve()
    if place.name != "final" or place.parent.parent != kept:
        return None
    run_id = place.parent.name
    return run_id if store.has_finished(run_id) else None


def _not_kept(run_id: str, store: Store) -> str:
    """What to do about a run whose model is gone."""
    commands = [study["command"] for study in store.studies() if run_id in {run for run, _ in study["runs"]}]
    command = f"`mixopt {commands[0]}`" if commands else "its command"
    return (
        f"run {run_id}: its trained model was not kept; `mixopt runs rm {run_id[:8]}`, then {command} again with "
        "`--set executor.keep_checkpoints=true`, trains it and keeps it"
    )


def check_suites(suites: Sequence[str], models: Sequence[TrainedModel]) -> None:
    """Make sure that suites of fine-tuning are asked of masked models only.

    Raises:
        ConfigError: one is not.
    """
    for model in models:
        if suites and model.objective != "masked":
            raise ConfigError(
                f"--suite {suites[0]}: fine-tuning is for masked models, and {model.name} is a causal one; score "
                "it with --tasks"
            )
