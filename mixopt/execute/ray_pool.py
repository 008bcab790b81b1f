"""Runs on Ray: on this machine's CPUs and GPUs, or on a cluster."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from mixopt.errors import ExecutorError
from mixopt.execute.base import ATTEMPTS, Event, Failure, failed
from mixopt.execute.ray_session import ray_session
from mixopt.execute.ray_train import GroupWorker
from mixopt.execute.ray_worker import NeedsData, Worker, death, ship

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    import ray

    from mixopt.execute.base import Job, Trainer
    from mixopt.execute.ray_worker import ShippedFiles
    from mixopt.result import RunResult
    from mixopt.spec import RunSpec

_POLL_SECONDS = 0.5


@dataclass(eq=False)
class _Hand:
    """A worker and what it is doing: nothing, starting (no job) or a job."""

    actor: Any
    job: Job | None = None
    asked: ray.ObjectRef | None = None  # for its progress
    supplied: bool = False  # with data that its node does not see


class RayExecutor:
    """An `Executor` on Ray; Ray starts with the first use and ends with the context.

    Args:
        address: a cluster (`host:port`, `ray://host:port`, `auto`); None for a private Ray on this machine.
        cpus_per_run: CPUs of one run, and so its threads; with several processes, of each.
        gpus_per_run: GPUs of one run, fractions allowed; None for one where there are GPUs, else none. With several
            processes, of each, and whole ones.
        processes_per_run: processes that train one run together (see `mixopt.execute.ray_train`).
        device: `cpu` never asks for a GPU, `cuda` always does.
        workers: most runs at once; None for as many as fit.
        trainer: what trains; the real loop by default.
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
    ) -> None:
        self._address, self._device, self._trainer = address, device, trainer
        self._cpus, self._gpus, self._most = cpus_per_run, gpus_per_run, workers
        self._processes = processes_per_run
        self._exit = contextlib.ExitStack()
        self._capacity = 0
        self._idle: list[_Hand] = []
        self._shipped: dict[str, ShippedFiles] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._idle.clear()
        self._shipped.clear()
        self._capacity = 0
        self._exit.close()

    def workers(self) -> int:
        """Runs that fit at once; starts Ray.

        Raises:
            ExecutorError: none fits, or there is no Ray.
        """
        if not self._capacity:
            self._exit.enter_context(ray_session(self._address))
            self._capacity = min(self._fitting(), self._most or 2**31)
        return self._capacity

    @property
    def resources(self) -> tuple[int, float]:
        """CPUs and GPUs of one run; `workers` settles the GPUs."""
        return self._cpus, self._gpus or 0.0

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

    def run(self, jobs: Sequence[Job], on_event: Callable[[Event], None]) -> Generator[tuple[RunSpec, RunResult]]:
        """Train `jobs`; see `Executor.run`."""
        sweep = _Sweep(self, jobs, on_event, self.workers() if jobs else 0)
        try:
            yield from sweep.results()
        finally:
            sweep.stop()

    def hire(self) -> tuple[_Hand, ray.ObjectRef]:
        """A worker, kept from before or new, and the reference that resolves when it can train."""
        hand = self._idle.pop() if self._idle else _Hand(self._new_worker())
        return hand, hand.actor.ready.remote()

    def _new_worker(self) -> Any:
        import ray

        remote: Any = ray.remote  # its overloads do not know concurrency groups
        groups = {"questions": 1}
        if self._processes == 1:
            actor = remote(num_cpus=self._cpus, num_gpus=self._gpus, concurrency_groups=groups)(Worker)
            return actor.remote(self._trainer)
        actor = remote(num_cpus=0, concurrency_groups=groups)(GroupWorker)
        return actor.remote(self._trainer, self._processes, self._cpus, self._gpus)

    def keep(self, hand: _Hand) -> None:
        """Keep an idle worker for the next call of `run`."""
        self._idle.append(hand)

    def place(self, job: Job) -> Job:
        """The job with this executor's threads and device."""
        device = "cuda" if self._gpus else "cpu"
        return replace(job, runtime=replace(job.runtime, threads=self._cpus, device=device))

    def ship(self, data_dir: str) -> ShippedFiles:
        """The data in Ray's object store, put there once."""
        if data_dir not in self._shipped:
            self._shipped[data_dir] = ship(data_dir)
        return self._shipped[data_dir]


class _Sweep:
    """One call of `RayExecutor.run`: jobs waiting, hands busy, attempts counted."""

    def __init__(
        self, executor: RayExecutor, jobs: Sequence[Job], on_event: Callable[[Event], None], workers: int
    ) -> None:
        self._executor, self._tell, self._workers = executor, on_event, workers
        self._waiting, self._left = deque(jobs), len(jobs)
        self._busy: dict[ray.ObjectRef, _Hand] = {}
        self._attempts: Counter[str] = Counter()
        self._began: dict[str, float] = {}
        self._dead_starts = 0

    def results(self) -> Iterator[tuple[RunSpec, RunResult]]:
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
        starting = sum(hand.job is None for hand in self._busy.values())
        for _ in range(min(len(self._waiting) - starting, self._workers - len(self._busy))):
            hand, ref = self._executor.hire()
            self._busy[ref] = hand

    def _take(self, hand: _Hand, ref: ray.ObjectRef) -> tuple[RunSpec, RunResult] | None:
        """Deal with one answer of a worker; a pair when it ends a run."""
        import ray
        from ray.exceptions import RayError

        job, hand.job = hand.job, None
        try:
            answer = ray.get(ref)
        except RayError as error:
            with contextlib.suppress(Exception):
                ray.kill(hand.actor)
            if job is None:
                self._count_dead_start(error)
                return None
            return self._end(job, Failure(death(error)))
        if isinstance(answer, NeedsData):
            if job and not hand.supplied:
                self._supply(hand, job)
                return None
            answer = Failure("the data could not be written on the worker's node")
        ended = self._end(job, answer) if job else None
        self._give(hand)
        return ended

    def _give(self, hand: _Hand) -> None:
        """The next job to a free hand; without one it is kept for later."""
        if not self._waiting:
            self._executor.keep(hand)
            return
        job = hand.job = self._executor.place(self._waiting.popleft())
        self._busy[hand.actor.train.remote(job.spec, job.runtime)] = hand
        if job.spec.run_id not in self._began:
            self._began[job.spec.run_id] = time.monotonic()
            self._tell(Event("started", job.spec.run_id))

    def _supply(self, hand: _Hand, job: Job) -> None:
        """Send the data to a node that does not see its folder, then the job again."""
        hand.job, hand.supplied = job, True
        hand.actor.receive.remote(job.spec.data.fingerprint, self._executor.ship(job.runtime.data_dir))
        self._busy[hand.actor.train.remote(job.spec, job.runtime)] = hand

    def _end(self, job: Job, answer: RunResult | Failure) -> tuple[RunSpec, RunResult] | None:
        """The end of an attempt: of the run as well, or the job is queued again."""
        if not isinstance(answer, Failure):
            return job.spec, answer
        if answer.fatal:
            raise answer.fatal
        run_id = job.spec.run_id
        self._attempts[run_id] += 1
        if self._attempts[run_id] >= ATTEMPTS:
            return job.spec, failed(job.spec, answer.error, time.monotonic() - self._began[run_id])
        self._tell(Event("retry", run_id, message=answer.error))
        self._waiting.appendleft(job)
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
            if hand.job is None:
                continue
            if hand.asked is None:
                hand.asked = hand.actor.progress.options(concurrency_group="questions").remote()
            elif ray.wait([hand.asked], timeout=0)[0]:
                with contextlib.suppress(RayError):
                    self._tell(Event("progress", hand.job.spec.run_id, ray.get(hand.asked)))
                hand.asked = None
