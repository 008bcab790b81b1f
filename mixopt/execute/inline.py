"""Runs one after the other in this process: for debugging, tests and machines without Ray."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from mixopt.execute.base import ATTEMPTS, Event, attempt, failed
from mixopt.result import RunResult

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from mixopt.execute.base import Job, Trainer
    from mixopt.spec import RunSpec


class InlineExecutor:
    """An `Executor` without processes; the same retries and results as the pool's.

    Args:
        trainer: what trains; the real loop by default.
    """

    def __init__(self, trainer: Trainer | None = None) -> None:
        self._trainer = trainer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""

    def workers(self) -> int:
        """One run at a time."""
        return 1

    def run(self, jobs: Sequence[Job], on_event: Callable[[Event], None]) -> Generator[tuple[RunSpec, RunResult]]:
        """Train `jobs` in order; see `Executor.run`."""
        for job in jobs:
            yield job.spec, self._train(job, on_event)

    def _train(self, job: Job, on_event: Callable[[Event], None]) -> RunResult:
        run_id = job.spec.run_id
        started = time.monotonic()
        on_event(Event("started", run_id))
        error = ""
        for number in range(1, ATTEMPTS + 1):
            outcome = attempt(
                self._trainer, job.spec, job.runtime, lambda tokens: on_event(Event("progress", run_id, tokens))
            )
            if isinstance(outcome, RunResult):
                return outcome
            if outcome.fatal:
                raise outcome.fatal
            error = outcome.error
            if number < ATTEMPTS:
                on_event(Event("retry", run_id, message=error))
        return failed(job.spec, error, time.monotonic() - started)
