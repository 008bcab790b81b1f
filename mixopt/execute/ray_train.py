"""Runs of several processes on Ray: Ray Train starts, connects and watches them; our loop trains in each.

Ray Train is asked for nothing else: its checkpoints, retries and storage stay unused, as a run's checkpoints are
its own and the pool counts attempts for runs of every kind. The first process' result comes back as a value.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mixopt.execute.base import Evaluation, Failure, Job, Trainer, attempt, one_line
from mixopt.execute.ray_worker import NeedsData, death, locate, write_shipped

if TYPE_CHECKING:
    from ray.train import TrainingFailedError

    from mixopt.evaluation import Evaluator
    from mixopt.execute.ray_worker import ShippedFiles
    from mixopt.result import Ended

_NOTE_SECONDS = 0.5

# How often Ray Train looks at its processes; its own 2 s are a good part of a small run.
_WATCH = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5"}


class GroupWorker:
    """What `Worker` is for runs of one process: an actor that does a job at a time, on a group that it starts.

    It holds no CPU or GPU itself; the processes of the group do. It dies with its driver, and they with it.

    Args:
        trainer: what trains; the real loop by default.
        evaluator: what scores, in the first process; the real one by default.
        processes: size of a group.
        cpus: CPUs of each process.
        gpus: GPUs of each process.
    """

    def __init__(
        self, trainer: Trainer | None, evaluator: Evaluator | None, processes: int, cpus: int, gpus: float
    ) -> None:
        self._trainer, self._evaluator = trainer, evaluator
        self._processes, self._cpus, self._gpus = processes, cpus, gpus
        self._tokens = 0
        self._files: ShippedFiles = []
        self._told: list[Failure | NeedsData] = []

    def ready(self) -> str:
        """Import what starting a group needs; the node's id."""
        import ray
        import ray.train.torch

        return ray.get_runtime_context().get_node_id()

    def do(self, job: Job | Evaluation) -> Ended | Failure | NeedsData:
        """One attempt at a job, on a new group."""
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchTrainer

        self._tokens, self._told = 0, []
        for name, value in _WATCH.items():
            os.environ.setdefault(name, value)
        resources = {"CPU": self._cpus, **({"GPU": self._gpus} if self._gpus else {})}
        # Ray Train insists on a folder, by default in the user's home. In that of Ray's session it goes with Ray if
        # this process is killed.
        with tempfile.TemporaryDirectory(dir=_session_folder()) as folder:
            trainer = TorchTrainer(
                train_in_group,
                train_loop_config={
                    "job": job,
                    "trainer": self._trainer,
                    "evaluator": self._evaluator,
                    "starter": ray.get_runtime_context().current_actor,
                },
                scaling_config=ScalingConfig(
                    num_workers=self._processes, use_gpu=self._gpus > 0, resources_per_worker=resources
                ),
                run_config=RunConfig(
                    name=job.run_id,
                    storage_path=folder,
                    failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
                ),
            )
            try:
                result: Any = trainer.fit().return_value  # of `train_in_group` in the first process
                return result
            except TrainingFailedError as error:
                return self._reason(error)

    def _reason(self, error: TrainingFailedError) -> Failure | NeedsData:
        """Why a group broke up: one process' error makes others fail that had no part in it."""
        from ray.exceptions import RayActorError
        from ray.train import WorkerGroupError

        for told in self._told:
            if isinstance(told, NeedsData) or told.fatal:
                return told
        if isinstance(error, WorkerGroupError):
            for failure in error.worker_failures.values():
                cause = getattr(failure, "health_check_failure", failure)
                if isinstance(cause, RayActorError):
                    return Failure(death(cause))
        return self._told[0] if self._told else Failure(one_line(error))

    def progress(self) -> int:
        """Training tokens done in the current job; answered while `do` works."""
        return self._tokens

    def receive(self, content: str, files: ShippedFiles) -> None:
        """Keep what was shipped through Ray for the processes whose node does not see its folder."""
        self._files = files

    def files(self) -> ShippedFiles:
        """What `receive` was given, for a process of the group."""
        return self._files

    def note(self, tokens: int) -> None:
        """The first process' progress."""
        self._tokens = tokens

    def tell(self, what: Failure | NeedsData) -> None:
        """Why a process of the group ends."""
        self._told.append(what)


def _session_folder() -> str:
    """Where this node's Ray keeps its logs."""
    from ray._private import worker

    assert worker._global_node is not None
    return worker._global_node.get_session_dir_path()


class GroupProcessError(Exception):
    """Ends a process of a group, and so the group; the reason was told to the actor that started it."""


def train_in_group(config: dict[str, Any]) -> Ended | None:
    """What Ray Train calls in each process of a group; the first one returns what the job gave."""
    import ray
    import ray.train

    job, starter = config["job"], config["starter"]
    first = ray.train.get_context().get_world_rank() == 0
    if not first:  # one process evaluates what all have trained
        if isinstance(job, Evaluation):
            return None
        job = replace(job, tasks=(), keep=job.keep or bool(job.tasks))

    def ask(method: str, *values: object) -> Any:
        # In a concurrency group of its own, as the actor's main thread waits for this very group.
        return getattr(starter, method).options(concurrency_group="questions").remote(*values)

    def fail(what: Failure | NeedsData, message: str) -> GroupProcessError:
        ray.get(ask("tell", what))
        return GroupProcessError(message)

    located = locate(job)
    if located is None:
        files = ray.get(ask("files"))
        if not files:
            raise fail(NeedsData(), "no data on this node")
        write_shipped(job.content, files)
        located = locate(job)
        if located is None:
            raise fail(Failure("the data could not be written on the worker's node"), "no data on this node")

    noted = time.monotonic()

    def note(tokens: int) -> None:
        nonlocal noted
        now = time.monotonic()
        if first and now - noted >= _NOTE_SECONDS:
            noted = now
            ask("note", tokens)

    ended = attempt(located, config["trainer"], config["evaluator"], note)
    if isinstance(ended, Failure):
        raise fail(ended, ended.error)
    return ended if first else None
