"""Jobs one after the other in this process: for debugging, tests and machines without Ray."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from mixopt.execute.base import ATTEMPTS, Event, attempt, given_up
from mixopt.result import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from mixopt.evaluation import Evaluator
    from mixopt.execute.base import Evaluation, J, Job, Trainer


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
