"""Replays in several processes of one thread each. Each depends on its job alone, so order does not matter."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

from mixopt.bench.replay import COSTS, Replay, replay
from mixopt.bench.score import Truth
from mixopt.errors import ExecutorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mixopt.arrays import Floats
    from mixopt.bench.base import Table
    from mixopt.bench.registry import Asked
    from mixopt.methods.base import Searcher

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, eq=False)
class Job:
    """One method with one seed: the arguments of `replay`."""

    method: Asked
    table: Table
    objective: tuple[str, Floats]
    seed: int
    top: int
    budget: float | None

    def searcher(self) -> Searcher:
        """A new one, of the evaluation domains that count."""
        name, weights = self.objective
        used = weights > 0
        return self.method.searcher(self.table.only(used), (name, weights[used]), self.seed, self.budget)

    def run(self, least: float = COSTS[-1]) -> Replay:
        """Make the searcher and replay it; see `replay` for `least`."""
        truth, used = Truth.of(self.table, self.objective[1]), self.objective[1] > 0
        return replay(
            self.searcher(),
            self.table.only(used),
            truth,
            seed=self.seed,
            top=self.top,
            budget=self.budget,
            least=least,
        )


def run_jobs(jobs: Sequence[Job], workers: int, progress: Callable[[int, int], None]) -> list[Replay]:
    """Results in the order of `jobs`.

    Args:
        jobs: what to run.
        workers: processes; 1 for this one.
        progress: told of the jobs done, and of how many there are.

    Raises:
        ExecutorError: a process was killed.
    """
    if workers <= 1 or len(jobs) <= 1:
        found = []
        for job in jobs:
            found.append(job.run())
            progress(len(found), len(jobs))
        return found
    results: dict[int, Replay] = {}
    with _one_thread(), ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as processes:
        futures = {processes.submit(Job.run, job): i for i, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                progress(len(results), len(jobs))
        except BrokenProcessPool as error:
            raise ExecutorError(
                "a process of the replays was killed (is there enough memory?); use fewer --workers"
            ) from error
        except BaseException:
            processes.shutdown(wait=False, cancel_futures=True)
            raise
    return [results[i] for i in range(len(jobs))]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Environment that processes started inside inherit: numeric libraries read it when they are loaded."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
