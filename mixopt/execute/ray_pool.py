"""Jobs on Ray: on this machine's CPUs and GPUs, or on a cluster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Self

from mixopt.errors import ExecutorError
from mixopt.execute.base import ATTEMPTS, Event, Failure, J, Trainer, given_up
from mixopt.execute.ray_session import ray_session
from mixopt.execute.ray_train import GroupWorker
from mixopt.execute.ray_worker import NeedsData, Worker, death, ship

if TYPE_CHECKING:
    import ray

    from mixopt.evaluation import Evaluator
    from mixopt.execute.ray_worker import ShippedFiles
    from mixopt.result import Ended

_POLL_SECONDS = 0.5


@dataclass(eq=False)
class _Turn(Generic[J]):
    """A job, how often it has failed, and when it was begun."""

    job: J
    failures: int = 0
    began: float | None = None


@dataclass(eq=False)
class _Hand:
    """A worker and what it is doing: nothing, starting (no turn) or a job."""

    actor: Any
    turn: _Turn[Any] | None = None
    asked: ray.ObjectRef | None = None  # for its progress
    holds: Path | None = None  # what it read last
    supplied: str = ""  # content that its node did not see


class RayExecutor:
    """An `Executor` on Ray; Ray starts with the first use and ends with the context.

    Args:
        address: a cluster (`host:port`, `ray://host:port`, `auto`); None for a private Ray on this machine.
        cpus_per_run: CPUs of one job, and so its threads; with several processes, of each.
        gpus_per_run: GPUs of one job, fractions allowed; None for one where there are GPUs, else none. With several
            processes, of each, and whole ones.
        processes_per_run: processes that train one run together (see `mixopt.execute.ray_train`).
        device: `cpu` never asks for a GPU, `cuda` always does.
        workers: most jobs at once; None for as many as fit.
        trainer: what trains; the real loop by default.
        evaluator: what scores; the real one by default.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        cpus_per_run: int = 1,
        gpus_per_run: float | None = None,
        processes_per_run: int = 1,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        workers: int | None = None,
        trainer: Trainer | None = None,
        evaluator: Evaluator | None = None,
    ) -> None:
        self._address, self._device = address, device
        self._trainer, self._evaluator = trainer, evaluator
        self._cpus, self._gpus, self._most = cpus_per_run, gpus_per_run, workers
        self._processes = processes_per_run
        self._exit = contextlib.ExitStack()
        self._capacity = 0
        self._idle: list[_Hand] = []
        self._shipped: dict[Path, ShippedFiles] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._idle.clear()
        self._shipped.clear()
        self._capacity = 0
        self._exit.close()

    def workers(self) -> int:
        """Jobs that fit at once; starts Ray.

        Raises:
            ExecutorError: none fits, or there is no Ray.
        """
        if not self._capacity:
            self._exit.enter_context(ray_session(self._address))
            self._capacity = min(self._fitting(), self._most or 2**31)
        return self._capacity

    def _fitting(self) -> int:
        """How many workers the nodes' resources allow; settles the GPUs that each gets."""
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        most_gpus = max((node.get("GPU", 0.0) for node in nodes), default=0.0)
        if self._gpus is None:
            wanted = self._device == "cuda" or (self._device == "auto" and most_gpus >= 1)
            self._gpus = 1.0 if wanted else 0.0
        if self._gpus > most_gpus:
            raise ExecutorError(
                f"gpus_per_run: {self._gpus:g} GPU asked for each run and Ray finds {most_gpus:g} on its largest "
                "node; use `--gpus-per-run 0` to train on CPUs"
            )
        if self._processes > 1 and 0 < self._gpus < 1:
            raise ExecutorError(
                f"gpus_per_run: each of {self._processes} processes of a run needs a GPU of its own, found "
                f"{self._gpus:g}; use 1, or 0 for CPUs"
            )
        fitting = 0
        for node in nodes:
            by_cpu = node.get("CPU", 0.0) / self._cpus
            by_gpu = node.get("GPU", 0.0) / self._gpus if self._gpus else by_cpu
            fitting += int(min(by_cpu, by_gpu) + 1e-9)
        if not fitting:
            most_cpus = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
            raise ExecutorError(
                f"cpus_per_run: {self._cpus} CPUs asked for each run and Ray's largest node has {most_cpus:g}"
            )
        if fitting < self._processes:
            raise ExecutorError(
                f"processes_per_run: {self._processes} processes of {self._cpus} CPU and {self._gpus:g} GPU asked "
                f"for each run and Ray has place for {fitting}"
            )
        return fitting // self._processes

    def run(self, jobs: Sequence[J], on_event: Callable[[Event], None]) -> Generator[tuple[J, Ended]]:
        """Do `jobs`; see `Executor.run`."""
        sweep = _Sweep(self, jobs, on_event, self.workers() if jobs else 0)
        try:
            yield from sweep.results()
        finally:
            sweep.stop()

    def hire(self) -> tuple[_Hand, ray.ObjectRef]:
        """A worker, kept from before or new, and the reference that resolves when it can work."""
        hand = self._idle.pop() if self._idle else _Hand(self._new_worker())
        return hand, hand.actor.ready.remote()

    def _new_worker(self) -> Any:
        import ray

        remote: Any = ray.remote  # its overloads do not know concurrency groups
        groups = {"questions": 1}
        if self._processes == 1:
            actor = remote(num_cpus=self._cpus, num_gpus=self._gpus, concurrency_groups=groups)(Worker)
            return actor.remote(self._trainer, self._evaluator)
        actor = remote(num_cpus=0, concurrency_groups=groups)(GroupWorker)
        return actor.remote(self._trainer, self._evaluator, self._processes, self._cpus, self._gpus)

    def keep(self, hand: _Hand) -> None:
        """Keep an idle worker for the next call of `run`."""
        self._idle.append(hand)

    def place(self, job: Any) -> Any:
        """The job with this executor's threads and device."""
        device = "cuda" if self._gpus else "cpu"
        return replace(job, runtime=replace(job.runtime, threads=self._cpus, device=device))

    def ship(self, folder: Path) -> ShippedFiles:
        """What is in a folder in Ray's object store, put there once."""
        if folder not in self._shipped:
            self._shipped[folder] = ship(folder)
        return self._shipped[folder]


class _Sweep(Generic[J]):
    """One call of `RayExecutor.run`: jobs waiting, hands busy."""

    def __init__(
        self, executor: RayExecutor, jobs: Sequence[J], on_event: Callable[[Event], None], workers: int
    ) -> None:
        self._executor, self._tell, self._workers = executor, on_event, workers
        self._waiting = [_Turn(job) for job in jobs]
        self._left = len(jobs)
        self._busy: dict[ray.ObjectRef, _Hand] = {}
        self._dead_starts = 0

    def results(self) -> Iterator[tuple[J, Ended]]:
        import ray

        while self._left:
            self._fill()
            done, _ = ray.wait(list(self._busy), timeout=_POLL_SECONDS)
            for ref in done:
                ended = self._take(self._busy.pop(ref), ref)
                if ended:
                    self._left -= 1
                    yield ended
            self._poll()

    def stop(self) -> None:
        """End the workers that are not idle: after a sweep that was left early."""
        import ray

        for hand in self._busy.values():
            with contextlib.suppress(Exception):
                ray.kill(hand.actor)

    def _fill(self) -> None:
        """Workers for the jobs that wait, as many as fit; one that starts counts for one job."""
        starting = sum(hand.turn is None for hand in self._busy.values())
        for _ in range(min(len(self._waiting) - starting, self._workers - len(self._busy))):
            hand, ref = self._executor.hire()
            self._busy[ref] = hand

    def _take(self, hand: _Hand, ref: ray.ObjectRef) -> tuple[J, Ended] | None:
        """Deal with one answer of a worker; a pair when it ends a job."""
        import ray
        from ray.exceptions import RayError

        turn, hand.turn = hand.turn, None
        try:
            answer = ray.get(ref)
        except RayError as error:
            with contextlib.suppress(Exception):
                ray.kill(hand.actor)
            if turn is None:
                self._count_dead_start(error)
                return None
            return self._end(turn, Failure(death(error)))
        if isinstance(answer, NeedsData):
            if turn and hand.supplied != turn.job.content:
                self._supply(hand, turn)
                return None
            answer = Failure("what the job reads could not be written on the worker's node")
        ended = self._end(turn, answer) if turn else None
        self._give(hand)
        return ended

    def _give(self, hand: _Hand) -> None:
        """The next job to a free hand; without one it is kept for later."""
        if not self._waiting:
            self._executor.keep(hand)
            return
        # A model stays loaded: first the jobs that read what this hand has read, then what no other hand has.
        held = {other.holds for other in self._busy.values()}
        folder = hand.holds
        turn = min(self._waiting, key=lambda one: 0 if one.job.folder == folder else 1 + (one.job.folder in held))
        self._waiting.remove(turn)
        self._start(hand, turn)
        if turn.began is None:
            turn.began = time.monotonic()
            self._tell(Event("started", turn.job.run_id))

    def _start(self, hand: _Hand, turn: _Turn[J]) -> None:
        hand.turn, hand.holds = turn, turn.job.folder
        self._busy[hand.actor.do.remote(self._executor.place(turn.job))] = hand

    def _supply(self, hand: _Hand, turn: _Turn[J]) -> None:
        """Send what a job reads to a node that does not see its folder, then the job again."""
        hand.supplied = turn.job.content
        hand.actor.receive.remote(turn.job.content, self._executor.ship(turn.job.folder))
        self._start(hand, turn)

    def _end(self, turn: _Turn[J], answer: Ended | Failure) -> tuple[J, Ended] | None:
        """The end of an attempt: of the job as well, or it is queued again."""
        job = turn.job
        if not isinstance(answer, Failure):
            return job, answer
        if answer.fatal:
            raise answer.fatal
        turn.failures += 1
        if turn.failures >= ATTEMPTS:
            return job, given_up(job, answer.error, time.monotonic() - (turn.began or 0.0))
        self._tell(Event("retry", job.run_id, message=answer.error))
        self._waiting.insert(0, turn)
        return None

    def _count_dead_start(self, error: Exception) -> None:
        self._dead_starts += 1
        if self._dead_starts >= ATTEMPTS:
            raise ExecutorError(f"Ray's workers die when they start ({death(error)})") from error

    def _poll(self) -> None:
        """Ask every busy worker how far it is; an answer may come at a later poll."""
        import ray
        from ray.exceptions import RayError

        for hand in self._busy.values():
            if hand.turn is None:
                continue
            if hand.asked is None:
                hand.asked = hand.actor.progress.options(concurrency_group="questions").remote()
            elif ray.wait([hand.asked], timeout=0)[0]:
                with contextlib.suppress(RayError):
                    self._tell(Event("progress", hand.turn.job.run_id, ray.get(hand.asked)))
                hand.asked = None
