"""Small evaluators for tests of executors: deterministic, and able to fail on request."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from mixopt.errors import DataError
from mixopt.evaluation import EvalRuntime, EvalTask, Outcome
from mixopt.score import Score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def task(name: str) -> EvalTask:
    """A task that only scores."""
    return EvalTask(name=name, kind="harness")


def scored(checkpoint: Path, tasks: Sequence[EvalTask], runtime: EvalRuntime) -> list[Outcome]:
    """A score for each task, known from the model's file and the task's name.

    `bad` always raises, `shy` the first time only, `fatal` is an error that concerns everything, and `deadly` kills
    its process (SIGKILL) the first time.
    """
    for one in tasks:
        tries = checkpoint / f"tries-{one.name}"
        first = not tries.exists()
        with tries.open("a") as file:
            file.write("x")
        if one.name == "bad" or (one.name == "shy" and first):
            raise RuntimeError("not\ntoday")
        if one.name == "fatal":
            raise DataError("checkpoint: of no use")
        if one.name == "deadly" and first:
            os.kill(os.getpid(), signal.SIGKILL)
    return [_outcome(checkpoint, one) for one in tasks]


def _outcome(checkpoint: Path, asked: EvalTask) -> Outcome:
    found = Score(
        task=asked.name,
        metric="acc",
        value=(int((checkpoint / "model").read_text()) + len(asked.name)) / 100,
        standard_error=0.01,
        items=10,
        identity=asked.identity,
        main=True,
        chance=0.25,
    )
    return Outcome(task=asked.name, scores=(found,), identity=asked.identity)
