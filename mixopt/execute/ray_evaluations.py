"""Evaluation jobs on Ray: a worker holds its CPUs and GPUs, and lm-eval's import, from job to job."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from mixopt.errors import ExecutorError, MixoptError
from mixopt.execute.base import Failure, one_line
from mixopt.execute.evaluations import Remaining
from mixopt.execute.ray_pool import RayExecutor
from mixopt.execute.ray_worker import NeedsData, death, ship, shipped_folder, write_shipped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import ray

    from mixopt.evaluate.base import Evaluator, Outcome
    from mixopt.execute.evaluations import EvalJob
    from mixopt.execute.ray_worker import ShippedFiles

_POLL_SECONDS = 0.5


class EvalWorker:
    """An actor that evaluates.

    Args:
        evaluator: what scores; `mixopt.evaluate.worker.evaluate` by default.
    """

    def __init__(self, evaluator: Evaluator | None) -> None:
        self._evaluator = evaluator
        self._subject = ""
        self._outcomes: list[Outcome] = []

    def evaluate(self, job: EvalJob) -> Failure | NeedsData | None:
        """One attempt at a job; `outcomes` has what it gave, also while it works."""
        checkpoint = job.checkpoint if job.checkpoint.exists() else shipped_folder(job.digest)
        if not checkpoint.exists():
            return NeedsData()
        self._subject, self._outcomes = job.subject, []
        try:
            if self._evaluator is None:
                from mixopt.evaluate.worker import evaluate
            else:
                evaluate = self._evaluator
            evaluate(checkpoint, job.tasks, job.runtime, self._outcomes.append)
        except MixoptError as error:
            return Failure(str(error), fatal=error)
        except Exception as error:
            return Failure(one_line(error))
        finally:
            torch = sys.modules.get("torch")
            if torch and torch.cuda.is_available():
                torch.cuda.empty_cache()  # other workers share the GPU
        return None

    def outcomes(self, subject: str) -> list[Outcome]:
        """What the job on this model has given so far; answered while `evaluate` works, and before it has begun."""
        return self._outcomes if subject == self._subject else []

    def receive(self, digest: str, files: ShippedFiles) -> None:
        """Write a checkpoint that was shipped through Ray where this node's workers find it."""
        write_shipped(digest, files)


@dataclass(eq=False)
class _Hand:
    """A worker and what it is doing."""

    actor: Any
    remaining: Remaining
    asked: ray.ObjectRef | None = None  # for its outcomes
    supplied: bool = False  # with a checkpoint that its node does not see

    def ask(self) -> ray.ObjectRef:
        """What it has so far."""
        return self.actor.outcomes.options(concurrency_group="questions").remote(self.remaining.job.subject)


class RayEvaluations:
    """`Evaluations` on Ray; Ray starts with the first use and ends with the context.

    Args:
        address: a cluster (`host:port`, `ray://host:port`, `auto`); None for a private Ray on this machine.
        cpus_per_job: CPUs of one job, and so its threads.
        gpus_per_job: GPUs of one job, fractions allowed; None for one where there are GPUs, else none.
        device: `cpu` never asks for a GPU, `cuda` always does.
        workers: most jobs at once; None for as many as fit.
        evaluator: what scores; `mixopt.evaluate.worker.evaluate` by default.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        cpus_per_job: int = 1,
        gpus_per_job: float | None = None,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        workers: int | None = None,
        evaluator: Evaluator | None = None,
    ) -> None:
        # Its session and its count of what fits; a job here asks for the same as a run there.
        self._pool = RayExecutor(
            address=address, cpus_per_run=cpus_per_job, gpus_per_run=gpus_per_job, device=device, workers=workers
        )
        self._evaluator = evaluator
        self._shipped: dict[str, ShippedFiles] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._shipped.clear()
        self._pool.__exit__()

    def workers(self) -> int:
        """Jobs that fit at once; starts Ray.

        Raises:
            ExecutorError: none fits, or there is no Ray.
        """
        return self._pool.workers()

    def run(
        self,
        jobs: Sequence[EvalJob],
        on_outcome: Callable[[EvalJob, Outcome], None],
        on_retry: Callable[[EvalJob, str], None],
    ) -> None:
        """Do `jobs`; see `mixopt.execute.evaluations.Evaluations`."""
        if not jobs:
            return
        most = self.workers()
        cpus, gpus = self._pool.resources
        device = "cuda" if gpus else "cpu"
        placed = [replace(job, runtime=replace(job.runtime, threads=cpus, device=device)) for job in jobs]
        sweep = _Sweep(self, placed, on_outcome, on_retry)
        try:
            sweep.run(most)
        finally:
            sweep.stop()

    def ship(self, job: EvalJob) -> ShippedFiles:
        """The job's checkpoint in Ray's object store, put there once."""
        if job.digest not in self._shipped:
            self._shipped[job.digest] = ship(str(job.checkpoint))
        return self._shipped[job.digest]

    def new_worker(self) -> Any:
        """An actor that waits for a place."""
        import ray

        cpus, gpus = self._pool.resources
        remote: Any = ray.remote  # its overloads do not know concurrency groups
        return remote(num_cpus=cpus, num_gpus=gpus, concurrency_groups={"questions": 1})(EvalWorker).remote(
            self._evaluator
        )


class _Sweep:
    """One call of `RayEvaluations.run`: jobs waiting, workers busy or idle."""

    def __init__(
        self,
        evaluations: RayEvaluations,
        jobs: Sequence[EvalJob],
        on_outcome: Callable[[EvalJob, Outcome], None],
        on_retry: Callable[[EvalJob, str], None],
    ) -> None:
        self._waiting = deque(Remaining(job, on_outcome) for job in jobs)
        self._evaluations, self._on_retry = evaluations, on_retry
        self._busy: dict[ray.ObjectRef, _Hand] = {}
        self._idle: list[Any] = []

    def run(self, most: int) -> None:
        import ray

        while self._waiting or self._busy:
            while self._waiting and len(self._busy) < most:
                actor = self._idle.pop() if self._idle else self._evaluations.new_worker()
                self._start(_Hand(actor, self._waiting.popleft()))
            done, _ = ray.wait(list(self._busy), timeout=_POLL_SECONDS)
            for ref in done:
                self._end(self._busy.pop(ref), ref)
            self._poll()

    def stop(self) -> None:
        """End every worker."""
        import ray

        for actor in (*self._idle, *(hand.actor for hand in self._busy.values())):
            with contextlib.suppress(Exception):
                ray.kill(actor)

    def _start(self, hand: _Hand) -> None:
        left = hand.remaining.left
        self._busy[hand.actor.evaluate.remote(left)] = hand

    def _end(self, hand: _Hand, ref: ray.ObjectRef) -> None:
        """Deal with the end of an attempt."""
        import ray
        from ray.exceptions import RayError

        try:
            answer = ray.get(ref)
            if isinstance(answer, NeedsData):
                self._supply(hand)
                return
            for outcome in ray.get(hand.ask()):
                hand.remaining.take(outcome)
        except RayError as error:
            with contextlib.suppress(Exception):
                ray.kill(hand.actor)
            self._retry(hand.remaining, death(error), died=True)
            return
        self._idle.append(hand.actor)
        if isinstance(answer, Failure):
            if answer.fatal:
                raise answer.fatal
            self._retry(hand.remaining, answer.error)

    def _retry(self, remaining: Remaining, reason: str, *, died: bool = False) -> None:
        """Queue what is left of a job whose attempt ended early."""
        left = remaining.left
        if left is None:
            return
        if died and len(left.tasks) > 1:
            # Which task brought the worker down is not known: what it told last may be lost. Each gets its own.
            self._on_retry(remaining.job, reason)
            self._waiting.extendleft(reversed(remaining.singly()))
            return
        if remaining.fail(reason):
            self._on_retry(remaining.job, reason)
        if remaining.left:
            self._waiting.appendleft(remaining)

    def _supply(self, hand: _Hand) -> None:
        """Send the checkpoint to a node that does not see its folder, then the job again.

        Raises:
            ExecutorError: the node did not keep it.
        """
        job = hand.remaining.job
        if hand.supplied:
            raise ExecutorError(f"checkpoint {job.checkpoint}: it could not be written on the worker's node")
        hand.supplied = True
        hand.actor.receive.remote(job.digest, self._evaluations.ship(job))
        self._start(hand)

    def _poll(self) -> None:
        """Ask every busy worker what it has so far; an answer may come at a later poll."""
        import ray
        from ray.exceptions import RayError

        for hand in self._busy.values():
            if hand.asked is None:
                hand.asked = hand.ask()
            elif ray.wait([hand.asked], timeout=0)[0]:
                with contextlib.suppress(RayError):
                    for outcome in ray.get(hand.asked):
                        hand.remaining.take(outcome)
                hand.asked = None
