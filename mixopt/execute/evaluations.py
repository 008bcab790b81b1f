"""Evaluation jobs: a model and some of its tasks, in this process or on Ray; outcomes are told as they come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

from mixopt.errors import MixoptError
from mixopt.evaluate.base import Outcome
from mixopt.execute.base import ATTEMPTS, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mixopt.evaluate.base import EvalRuntime, EvalTask, Evaluator


@dataclass(frozen=True)
class EvalJob:
    """One model and tasks that are scored one after the other.

    Attributes:
        subject: whose scores these are (see `mixopt.store.scores`).
        checkpoint: the model's folder, as the driver sees it.
        digest: the checkpoint's content (`mixopt.evaluate.checkpoint.digest`).
        tasks: at least one.
        runtime: where and how; an executor that hands out devices and threads puts in its own.
    """

    subject: str
    checkpoint: Path
    digest: str
    tasks: tuple[EvalTask, ...]
    runtime: EvalRuntime


class Evaluations(Protocol):
    """Does evaluation jobs. A context manager: leaving it stops whatever it started."""

    def workers(self) -> int:
        """Jobs that are done at once."""
        ...

    def run(
        self,
        jobs: Sequence[EvalJob],
        on_outcome: Callable[[EvalJob, Outcome], None],
        on_retry: Callable[[EvalJob, str], None],
    ) -> None:
        """Do `jobs`, as many at once as fit.

        Args:
            jobs: what to score, the first ones first.
            on_outcome: called in this process with the outcome of each task, as it is there; a task whose worker
                died or raised `ATTEMPTS` times has an outcome that says so.
            on_retry: called when a job is tried again, with the reason in one line.

        Raises:
            ExecutorError: there is no place to evaluate.
            MixoptError: a worker met an error that concerns every task of its model.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def split(
    subjects: Mapping[str, tuple[Path, str]],
    missing: Mapping[str, Sequence[EvalTask]],
    workers: int,
    runtime: EvalRuntime,
) -> list[EvalJob]:
    """Jobs that keep `workers` busy: tasks that only score a model share its loading, a fine-tuning is a job.

    Args:
        subjects: folder and digest of each model.
        missing: what each has still to be scored at.
        workers: jobs that are done at once.
        runtime: where and how.
    """
    jobs = []
    parts = -(-workers // max(1, sum(bool(tasks) for tasks in missing.values())))
    for subject, tasks in missing.items():
        scored = [task for task in tasks if task.kind == "harness"]
        groups = [scored[number::parts] for number in range(parts)]
        groups += [[task] for task in tasks if task.kind == "finetune"]
        jobs += [EvalJob(subject, *subjects[subject], tuple(group), runtime) for group in groups if group]
    return jobs


class Remaining:
    """The tasks of a job that have no outcome yet, and how often the first of them has brought its worker down."""

    def __init__(self, job: EvalJob, on_outcome: Callable[[EvalJob, Outcome], None]) -> None:
        self.job = job
        self._tell = on_outcome
        self._tasks = {task.identity: task for task in job.tasks}
        self._failures = 0

    @property
    def left(self) -> EvalJob | None:
        """The job without what is done; None when nothing is left."""
        return replace(self.job, tasks=tuple(self._tasks.values())) if self._tasks else None

    def take(self, outcome: Outcome) -> None:
        """An outcome; one that was told before is not told again."""
        if self._tasks.pop(outcome.identity, None) is not None:
            self._failures = 0
            self._tell(self.job, outcome)

    def singly(self) -> list[Remaining]:
        """Each task that is left as a job of its own."""
        return [Remaining(replace(self.job, tasks=(task,)), self._tell) for task in self._tasks.values()]

    def fail(self, reason: str) -> bool:
        """An attempt ended early: the task that was on is given up if it was the last attempt, else True."""
        self._failures += 1
        if self._failures < ATTEMPTS:
            return True
        task = next(iter(self._tasks.values()))
        error = f"given up after {ATTEMPTS} attempts ({reason})"
        self.take(Outcome(task=task.name, error=error, identity=task.identity))
        return False


class InlineEvaluations:
    """`Evaluations` in this process, one job after the other.

    Args:
        evaluator: what scores; `mixopt.evaluate.worker.evaluate` by default.
    """

    def __init__(self, evaluator: Evaluator | None = None) -> None:
        self._evaluator = evaluator

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""

    def workers(self) -> int:
        """One job at a time."""
        return 1

    def run(
        self,
        jobs: Sequence[EvalJob],
        on_outcome: Callable[[EvalJob, Outcome], None],
        on_retry: Callable[[EvalJob, str], None],
    ) -> None:
        """Do `jobs` in order; see `Evaluations`."""
        if self._evaluator is None:
            from mixopt.evaluate.worker import evaluate
        else:
            evaluate = self._evaluator
        for job in jobs:
            remaining = Remaining(job, on_outcome)
            while left := remaining.left:
                try:
                    evaluate(left.checkpoint, left.tasks, left.runtime, remaining.take)
                except MixoptError:
                    raise
                except Exception as error:
                    if remaining.fail(one_line(error)):
                        on_retry(job, one_line(error))
