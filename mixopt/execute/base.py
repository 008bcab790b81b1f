"""What every executor is given and gives, and how one attempt at a run ends."""

from __future__ import annotations

import errno
import gc
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self

from mixopt.errors import MixoptError, StoreError
from mixopt.result import RunResult

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from mixopt.spec import RunSpec
    from mixopt.train.runtime import Runtime

# A run that fails this often is recorded as failed, and the study goes on.
ATTEMPTS = 3

Trainer = Callable[..., RunResult]
"""`mixopt.train.loop.train`, or a function with its arguments: spec, runtime, progress."""


@dataclass(frozen=True)
class Job:
    """A run, and where and how to train it."""

    spec: RunSpec
    runtime: Runtime


@dataclass(frozen=True)
class Event:
    """Something that an executor tells while it works.

    Attributes:
        kind: `started`, `progress`, `retry`, or of a run that the table has `again` (it is trained again) or
            `kept` (its kept model is evaluated).
        run_id: the run.
        tokens: training tokens done so far (`progress`).
        message: why it is tried or trained again (`retry`, `again`), or on what it is evaluated, one line.
    """

    kind: Literal["started", "progress", "retry", "again", "kept"]
    run_id: str
    tokens: int = 0
    message: str = ""


@dataclass(frozen=True)
class Failure:
    """An attempt that raised.

    Attributes:
        error: the exception in one line.
        traceback: all of it.
        fatal: an error that no other attempt and no other run can get round (bad data, a full disk); it ends the
            study.
    """

    error: str
    traceback: str = field(repr=False, default="")
    fatal: MixoptError | None = None


class Executor(Protocol):
    """Trains jobs. A context manager: leaving it stops whatever it started."""

    def run(self, jobs: Sequence[Job], on_event: Callable[[Event], None]) -> Generator[tuple[RunSpec, RunResult]]:
        """Train `jobs`, as many at once as fit.

        Args:
            jobs: what to train, the first ones first.
            on_event: called in this process with what happens in between.

        Yields:
            Spec and result of each job in order of completion; a job that raised or died `ATTEMPTS` times has the
            status `failed`.

        Raises:
            ExecutorError: there is no place to train.
            MixoptError: a worker met an error that concerns every run.
        """
        ...

    def workers(self) -> int:
        """Runs that are trained at once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def attempt(
    trainer: Trainer | None, spec: RunSpec, runtime: Runtime, progress: Callable[[int], None]
) -> RunResult | Failure:
    """Train once, and evaluate; an exception becomes a value, so that it crosses process borders whole."""
    try:
        if trainer is None:
            from mixopt.train.loop import train as trainer
        return with_scores(runtime.result or trainer(spec, runtime, progress), runtime)
    except MixoptError as error:
        return Failure(str(error), traceback.format_exc(), fatal=error)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fatal = StoreError(
            f"disk full while training (checkpoints in {runtime.checkpoint_dir}); free some space and run the same "
            "command again (finished runs are kept)"
        )
        return Failure(one_line(error), traceback.format_exc(), fatal=fatal if full else None)
    except Exception as error:
        return Failure(one_line(error), traceback.format_exc())


def with_scores(result: RunResult, runtime: Runtime) -> RunResult:
    """A run's result with the scores of `runtime.tasks`, from the model that it kept.

    Whatever goes wrong here concerns the tasks alone: the run stays what it is, and `unscored` says why.
    """
    if not runtime.tasks or result.status != "finished" or runtime.checkpoint_dir is None:
        return result
    from mixopt.evaluate.base import EvalRuntime
    from mixopt.evaluate.worker import evaluate

    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()  # what training held is for the evaluation now
    where = EvalRuntime(device=runtime.device, threads=runtime.threads, precision=runtime.precision)
    try:
        outcomes = evaluate(Path(runtime.checkpoint_dir) / "final", runtime.tasks, where, lambda _: None)
    except Exception as error:
        reason = str(error) if isinstance(error, MixoptError) else one_line(error)
        return replace(result, unscored={task.name: reason for task in runtime.tasks})
    return replace(
        result,
        scores=tuple(score for outcome in outcomes for score in outcome.scores),
        unscored={outcome.task: outcome.error for outcome in outcomes if outcome.error is not None},
    )


def one_line(error: BaseException) -> str:
    """An exception in one line, with its type."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__


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
