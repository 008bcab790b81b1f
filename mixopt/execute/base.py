"""What every executor is given and gives, and how one attempt at a job ends."""

from __future__ import annotations

import contextlib
import errno
import gc
import sys
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self, TypeVar

from mixopt.errors import MixoptError, StoreError
from mixopt.evaluation import EvalRuntime, EvalTask, Evaluator, Outcome
from mixopt.result import Ended, RunResult

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mixopt.role import Role
    from mixopt.spec import RunSpec
    from mixopt.train.device import Runtime


# A job that fails this often is given up, and the others go on.
ATTEMPTS = 3

Trainer = Callable[..., RunResult]
"""`mixopt.train.loop.train`, or a function with its arguments: spec, runtime, progress."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run to train, what it is for, and what is measured of its model where that lies."""

    spec: RunSpec  # the run
    role: Role  # what it is for
    runtime: Runtime  # where and how; an executor that hands out devices and threads puts in its own
    keep: bool = False  # keep the trained model, in `checkpoint_dir/final`
    tasks: tuple[EvalTask, ...] = ()  # what the trained model is evaluated on

    def __str__(self) -> str:
        return f"{self.role}, seed {self.spec.seed}"

    @property
    def run_id(self) -> str:
        """The run's identity."""
        return self.spec.run_id

    @property
    def content(self) -> str:
        """Identity of what is in `folder`."""
        return self.spec.data.fingerprint

    @property
    def folder(self) -> Path:
        """What is read: the prepared data."""
        return Path(self.runtime.data_dir)

    def reading(self, folder: Path) -> Job:
        """The job with its data elsewhere."""
        return replace(self, runtime=replace(self.runtime, data_dir=str(folder)))


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model that is there, and tasks to evaluate it on."""

    run_id: str  # whose scores these are (see `mixopt.store.task_errors`): its run, or what identifies the checkpoint
    folder: Path  # the model, as the driver sees it
    content: str  # identity of what is in `folder` (`mixopt.evaluate.checkpoint.digest`)
    tasks: tuple[EvalTask, ...]  # at least one; all of them are lost where one brings its worker down
    runtime: EvalRuntime  # where and how, as for a `Job`

    def reading(self, folder: Path) -> Evaluation:
        """The job with its model elsewhere."""
        return replace(self, folder=folder)


J = TypeVar("J", bound=Job | Evaluation)


@dataclass(frozen=True)
class Event:
    """Something that an executor tells while it works."""

    # `started`, `progress`, `retry`, or of a run that the table has `again` (it is trained again) or `kept` (its kept
    # model is evaluated)
    kind: Literal["started", "progress", "retry", "again", "kept"]
    run_id: str  # the job's
    tokens: int = 0  # training tokens done so far (`progress`)
    message: str = ""  # why it is tried or trained again (`retry`, `again`), or on what it is evaluated, one line


@dataclass(frozen=True)
class Failure:
    """An attempt that raised."""

    error: str  # the exception in one line
    traceback: str = field(repr=False, default="")  # all of it
    # an error that no other attempt and no other run can get round (bad data, a full disk); it ends the study
    fatal: MixoptError | None = None


class Executor(Protocol):
    """Does jobs. A context manager: leaving it stops whatever it started."""

    def run(self, jobs: Sequence[J], on_event: Callable[[Event], None]) -> Generator[tuple[J, Ended]]:
        """Do `jobs`, as many at once as fit.

        Yields:
            Each job once, in order of completion, and what it gave; of one that raised or died `ATTEMPTS` times a
            result with the status `failed`, or outcomes that say why there are none.

        Raises:
            ExecutorError: there is no place to work.
            MixoptError: a worker met an error that concerns every job.
        """
        ...

    def workers(self) -> int:
        """Jobs that are done at once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Watch(Protocol):
    """Who is told how a sweep goes."""

    def sweep(self, jobs: Sequence[Job], found: int) -> AbstractContextManager[None]:
        """The context of a sweep."""
        ...

    def event(self, event: Event) -> None:
        """Something happened in a job."""
        ...

    def done(self, job: Job, result: RunResult) -> None:
        """A run has ended and is recorded."""
        ...


class Quiet:
    """A `Watch` that says nothing."""

    def sweep(self, jobs: Sequence[Job], found: int) -> AbstractContextManager[None]:
        """Nothing to show."""
        return contextlib.nullcontext()

    def event(self, event: Event) -> None:
        """Nothing is said."""

    def done(self, job: Job, result: RunResult) -> None:
        """Nothing is said."""


def attempt(
    job: Job | Evaluation,
    trainer: Trainer | None,
    evaluator: Evaluator | None,
    progress: Callable[[int], None] = lambda _: None,
) -> Ended | Failure:
    """Do a job once; an exception becomes a value, so that it crosses process borders whole.

    Args:
        trainer: what trains; None for the real loop.
        evaluator: what scores; None for `mixopt.evaluate.tasks.evaluate`.
        progress: called with the training tokens done so far.
    """
    try:
        if isinstance(job, Evaluation):
            return Ended(outcomes=_evaluate(evaluator, job.folder, job.tasks, job.runtime))
        return _train(job, trainer, evaluator, progress)
    except MixoptError as error:
        return Failure(str(error), traceback.format_exc(), fatal=error)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fatal = StoreError(
            f"disk full while run {job.run_id} wrote {error.filename or 'a file'}; free some space and run the "
            "same command again (finished runs are kept)"
        )
        return Failure(one_line(error), traceback.format_exc(), fatal=fatal if full else None)
    except Exception as error:
        return Failure(one_line(error), traceback.format_exc())


def _train(job: Job, trainer: Trainer | None, evaluator: Evaluator | None, progress: Callable[[int], None]) -> Ended:
    """Train, and evaluate; whatever goes wrong in the evaluation concerns the tasks alone."""
    if trainer is None:
        from mixopt.train.loop import train as trainer
    _make_room()
    runtime = replace(job.runtime, keep_checkpoint=job.keep or bool(job.tasks))
    result = trainer(job.spec, runtime, progress)
    if not job.tasks or result.status != "finished" or runtime.checkpoint_dir is None:
        return Ended(result)
    _make_room()
    where = EvalRuntime(device=runtime.device, threads=runtime.threads, precision=runtime.precision)
    try:
        return Ended(result, _evaluate(evaluator, Path(runtime.checkpoint_dir) / "final", job.tasks, where))
    except Exception as error:
        return Ended(result, _none_had(job.tasks, one_line(error)))


def _evaluate(
    evaluator: Evaluator | None, model: Path, tasks: tuple[EvalTask, ...], runtime: EvalRuntime
) -> tuple[Outcome, ...]:
    if evaluator is None:
        from mixopt.evaluate.tasks import evaluate as evaluator
    return tuple(evaluator(model, tasks, runtime))


def _make_room() -> None:
    """Let go of the model that was scored last and of the GPU memory that it leaves, for what comes now."""
    harness = sys.modules.get("mixopt.evaluate.harness")
    if harness:
        harness.forget()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


def _none_had(tasks: Sequence[EvalTask], error: str) -> tuple[Outcome, ...]:
    return tuple(Outcome(task=task.name, error=error, identity=task.identity) for task in tasks)


def one_line(error: BaseException) -> str:
    """An exception in one line, with its type unless it is ours."""
    text = " ".join(str(error).split())
    if isinstance(error, MixoptError):
        return text
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__


def given_up(job: Job | Evaluation, error: str, seconds: float) -> Ended:
    """What is told of a job that failed `ATTEMPTS` times."""
    if isinstance(job, Evaluation):
        return Ended(outcomes=_none_had(job.tasks, f"given up after {ATTEMPTS} attempts ({error})"))
    return Ended(failed(job.spec, error, seconds))


def failed(spec: RunSpec, error: str, seconds: float) -> RunResult:
    """The result of a run that was given up."""
    return RunResult(
        run_id=spec.run_id,
        status="failed",
        domains={},
        tokens=0,
        parameters=spec.model.parameters,
        flops=0.0,
        train_seconds=0.0,
        seconds=seconds,
        device="",
        error=error,
    )


class InlineExecutor:
    """An `Executor` without processes; the same retries and results as the pool's.

    Args:
        trainer: what trains; the real loop by default.
        evaluator: what scores; the real one by default.
    """

    def __init__(self, trainer: Trainer | None = None, evaluator: Evaluator | None = None) -> None:
        self._trainer, self._evaluator = trainer, evaluator

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""

    def workers(self) -> int:
        """One job at a time."""
        return 1

    def run(self, jobs: Sequence[J], on_event: Callable[[Event], None]) -> Generator[tuple[J, Ended]]:
        """Do `jobs` in order; see `Executor.run`."""
        for job in jobs:
            yield job, self._do(job, on_event)

    def _do(self, job: Job | Evaluation, on_event: Callable[[Event], None]) -> Ended:
        run_id = job.run_id
        started = time.monotonic()
        on_event(Event("started", run_id))
        error = ""
        for number in range(1, ATTEMPTS + 1):
            ended = attempt(
                job, self._trainer, self._evaluator, lambda tokens: on_event(Event("progress", run_id, tokens))
            )
            if isinstance(ended, Ended):
                return ended
            if ended.fatal:
                raise ended.fatal
            error = ended.error
            if number < ATTEMPTS:
                on_event(Event("retry", run_id, message=error))
        return given_up(job, error, time.monotonic() - started)
