"""Downstream tasks of a study: which there are, which its objective reads, and runs that lack their scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mixopt.errors import ExecutorError
from mixopt.methods.intervals import bounded
from mixopt.objective import Objective, columns, parse_objective, tasks_of
from mixopt.score import TASK_PREFIX, Score
from mixopt.store.task_errors import by_label, main_scores
from mixopt.study.expected import is_prepared

if TYPE_CHECKING:
    from mixopt.evaluation import EvalTask, Outcome
    from mixopt.history import History
    from mixopt.methods.base import Recommendation
    from mixopt.store import Store
    from mixopt.study.setup import Setup


def checked_objective(study: Setup, name: str) -> Objective:
    """The objective of a name.

    Raises:
        ConfigError: no objective, or one of a task that the study does not measure.
    """
    objective = study.objective if name == study.config.method.objective else parse_objective(name)
    needed_tasks(study, objective)
    return objective


def needed_tasks(study: Setup, objective: Objective | None = None) -> list[EvalTask]:
    """The tasks whose scores an objective reads; without one, all that the `method` section minimises.

    Raises:
        ConfigError: it reads one that the study does not measure.
    """
    if objective is None:
        pair = getattr(study.config.method, "pareto", None) or ()
        several = [study.objective, *(parse_objective(name) for name in pair)]
        wanted = [task for one in several for task in needed_tasks(study, one)]
        return list({task.identity: task for task in wanted}.values())
    # Local tasks are made of the data; what is only planned so far cannot be looked up in it.
    if study.config.evaluation.tasks and not is_prepared(study.config.data.dir):
        return []
    called = {f"{TASK_PREFIX}{label}": tasks for label, tasks in by_label(study.tasks).items()}
    names = tasks_of(objective, list(called))
    if names or objective.name == "downstream":
        columns(objective.name, names, list(called))
    return [task for name in names for task in called[name]]


def lacking(store: Store, tasks: Sequence[EvalTask], run_ids: Iterable[str]) -> dict[str, tuple[EvalTask, ...]]:
    """The tasks that runs have no score of; runs that lack none are left out."""
    ids = list(run_ids)
    scores = store.scores.of(ids) if tasks else {}
    found = {run: main_scores(scores.get(run, ())) for run in ids}
    lost = {run: tuple(task for task in tasks if task.identity not in have) for run, have in found.items()}
    return {run: some for run, some in lost.items() if some}


def record_scores(store: Store, run_id: str, outcomes: Sequence[Outcome], model: Path) -> None:
    """Write what a worker measured of a run's trained model.

    Raises:
        ExecutorError: a task could not be had; what was measured is kept.
    """
    scores = [score for one in outcomes for score in one.scores]
    if scores:
        store.scores.record(run_id, scores, source=str(model))
    lost = next((one for one in outcomes if one.error is not None), None)
    if lost:
        raise ExecutorError(
            f"task {lost.task!r} could not be had for run {run_id}: {lost.error}; the run and its model are kept: "
            "mend the cause and run the same command again, or take the task out of evaluation.tasks"
        )


def with_task_notes(
    study: Setup, recommendation: Recommendation, history: History, tasks: Sequence[EvalTask], store: Store
) -> Recommendation:
    """The advice, its predicted errors cut to what errors can be, and warnings of tasks that are only guessed.

    A task is only guessed where no run is two standard errors away from its chance score.
    """
    recommendation = bounded(recommendation, study.objective, history)
    scores = store.scores.of(recommendation.runs)
    warnings = []
    for label, same in by_label(tasks).items():
        wanted = {task.identity for task in same}
        found = [score for some in scores.values() for score in some if score.main and score.identity in wanted]
        if found and not any(map(_tells, found)):
            warnings.append(
                f"task {label!r}: no run is two standard errors away from guessing ({found[0].chance:.3g}), so "
                "that its differences are noise; larger models, longer runs or easier tasks tell mixtures apart"
            )
    return replace(recommendation, warnings=(*recommendation.warnings, *warnings))


def _tells(score: Score) -> bool:
    """Whether a score is away from guessing, as far as that is known."""
    if score.chance is None or score.standard_error is None:
        return True
    return abs(score.value - score.chance) > 2 * score.standard_error
