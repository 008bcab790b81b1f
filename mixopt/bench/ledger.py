"""The till of a replay: an executor that looks finished runs up, and hands out none that was not paid for."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from mixopt.errors import ConfigError
from mixopt.result import Ended, RunResult

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from mixopt.methods.search_loop import Run

R = TypeVar("R", bound="Run")

# A run that nobody waited for.
looked_up = partial(RunResult, train_seconds=0.0, seconds=0.0, device="table")


class Ledger:
    """What was spent of a budget, in target runs.

    Raises:
        ConfigError: the budget does not pay for a single target run.
    """

    def __init__(self, budget: float = math.inf) -> None:
        if not budget >= 1:
            raise ConfigError(f"budget: expected at least 1 (one run at the target), found {budget:g}")
        self.budget, self.spent = budget, 0.0

    def charge(self, cost: float) -> bool:
        """Pay for a run if the budget does, within rounding of the sum; whether it was paid for."""
        affordable = self.spent + cost <= self.budget * (1 + 1e-9)
        self.spent += cost if affordable else 0.0
        return affordable


class TableExecutor:
    """An `Executor` whose runs were made long ago.

    A job that there is no run for, or that the budget does not cover, has failed; its numbers stay where they are.

    Args:
        find: the run of an id, and its cost in target runs; None where there is none.
        ledger: pays.
    """

    def __init__(self, find: Callable[[str], tuple[RunResult, float] | None], ledger: Ledger | None = None) -> None:
        self._find, self.ledger = find, ledger or Ledger()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""

    def workers(self) -> int:
        """One look-up at a time."""
        return 1

    def run(self, jobs: Sequence[R], on_event: Callable[..., None]) -> Generator[tuple[R, Ended]]:  # noqa: ARG002
        """Look `jobs` up in order; see `Executor.run`. A look-up has no events."""
        for job in jobs:
            found = self._find(job.run_id)
            if found is not None and self.ledger.charge(found[1]):
                yield job, Ended(found[0])
                continue
            left = self.ledger.budget - self.ledger.spent
            error = f"it costs {found[1]:g} target runs, and {left:g} are left" if found else "there is no such run"
            lost = looked_up(
                run_id=job.run_id, status="failed", domains={}, tokens=0, parameters=0, flops=0.0, error=error
            )
            yield job, Ended(lost)
