"""What runs inside a Ray worker: one job at a time, in a process that is kept for the next one."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mixopt.execute.base import Evaluation, Failure, Job, Trainer, attempt, one_line

if TYPE_CHECKING:
    import ray

    from mixopt.evaluation import Evaluator
    from mixopt.result import Ended

    ShippedFiles = list[tuple[str, list[ray.ObjectRef]]]

_CHUNK_BYTES = 64 * 2**20


class NeedsData:
    """The answer of a worker that does not find what it is to read."""


class Worker:
    """An actor that trains and evaluates; it holds its CPUs and GPUs, and what it imported, from job to job.

    Args:
        trainer: what trains; the real loop by default.
        evaluator: what scores; the real one by default.
    """

    def __init__(self, trainer: Trainer | None, evaluator: Evaluator | None) -> None:
        self._trainer, self._evaluator = trainer, evaluator
        self._tokens = 0

    def ready(self) -> str:
        """Import what training needs (seconds, in all workers at once); the node's id."""
        import ray

        if self._trainer is None:
            import mixopt.train.loop  # noqa: F401
        return ray.get_runtime_context().get_node_id()

    def do(self, job: Job | Evaluation) -> Ended | Failure | NeedsData:
        """One attempt at a job."""
        located = locate(job)
        if located is None:
            return NeedsData()
        self._tokens = 0
        try:
            return attempt(located, self._trainer, self._evaluator, self._note)
        finally:
            torch = sys.modules.get("torch")
            if torch and torch.cuda.is_available():
                torch.cuda.empty_cache()  # other workers share the GPU

    def progress(self) -> int:
        """Training tokens done in the current job; answered while `do` works."""
        return self._tokens

    def receive(self, content: str, files: ShippedFiles) -> None:
        """Write what was shipped through Ray where this node's workers find it."""
        write_shipped(content, files)

    def _note(self, tokens: int) -> None:
        self._tokens = tokens


def locate(job: Job | Evaluation) -> Job | Evaluation | None:
    """The job with what it reads where this node sees it; None if it does not."""
    if job.folder.exists():
        return job
    copy = shipped_folder(job.content)
    return job.reading(copy) if copy.exists() else None


def write_shipped(content: str, files: ShippedFiles) -> None:
    """Write what was shipped through Ray where this node's workers find it; one of them is the first."""
    import ray

    folder = shipped_folder(content)
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        for name, chunks in files:
            path = unfinished / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for chunk in chunks:
                    file.write(ray.get(chunk))
        unfinished.rename(folder)
    except OSError:
        if not folder.exists():  # else another worker of this node was faster
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def death(error: Exception) -> str:
    """Ray's pages about a dead worker as one line."""
    from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

    if isinstance(error, OutOfMemoryError):
        return "the worker was killed because the node ran out of memory"
    if isinstance(error, RayTaskError):
        return one_line(error.cause if isinstance(error.cause, BaseException) else error)
    if isinstance(error, RayActorError):
        return "the worker's process died (killed by a signal, or by the system for want of memory)"
    return one_line(error)


def ship(folder: Path) -> ShippedFiles:
    """Put every file below `folder` into Ray's object store, in pieces: names and references."""
    import ray

    files: ShippedFiles = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                chunks = [ray.put(chunk) for chunk in iter(lambda file=file: file.read(_CHUNK_BYTES), b"")]
            files.append((str(path.relative_to(folder)), chunks))
    return files


def shipped_folder(content: str) -> Path:
    """Where a node keeps what was shipped to it, one folder for each content; the user's own."""
    return Path(tempfile.gettempdir()) / f"mixopt-data-{os.getuid()}" / content
