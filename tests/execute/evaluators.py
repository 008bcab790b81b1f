"""Small evaluators for tests of evaluation jobs: deterministic, and able to fail on request."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from mixopt.errors import DataError
from mixopt.evaluate.base import EvalRuntime, EvalTask, Outcome
from mixopt.score import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Tell = Callable[[Outcome], None]


def task(name: str, kind: str = "harness", **settings: object) -> EvalTask:
    """A task of this kind."""
    return EvalTask(name=name, kind=kind, settings=settings)


def outcome(checkpoint: Path, asked: EvalTask) -> Outcome:
    """A score that is known from the model's file and the task's name."""
    value = (int((checkpoint / "model").read_text()) + len(asked.name)) / 100
    found = Score(
        task=asked.name,
        metric="acc",
        value=value,
        standard_error=0.01,
        items=10,
        identity=asked.identity,
        seed=asked.settings.get("seed"),
        main=True,
        chance=0.25,
    )
    return Outcome(task=asked.name, scores=(found,), identity=asked.identity)


def simple(checkpoint: Path, tasks: Sequence[EvalTask], runtime: EvalRuntime, on_outcome: Tell) -> list[Outcome]:
    """Score every task."""
    outcomes = []
    for one in tasks:
        outcomes.append(outcome(checkpoint, one))
        on_outcome(outcomes[-1])
    return outcomes


def moody(checkpoint: Path, tasks: Sequence[EvalTask], runtime: EvalRuntime, on_outcome: Tell) -> list[Outcome]:
    """`simple`, but `bad` always raises, `shy` the first time only, and `fatal` ends everything."""
    for one in tasks:
        _count(checkpoint, one)
        if one.name == "bad" or (one.name == "shy" and _tries(checkpoint, one) == 1):
            raise RuntimeError("not\ntoday")
        if one.name == "fatal":
            raise DataError("checkpoint: of no use")
        simple(checkpoint, [one], runtime, on_outcome)
    return []


def mortal(checkpoint: Path, tasks: Sequence[EvalTask], runtime: EvalRuntime, on_outcome: Tell) -> list[Outcome]:
    """`simple`, but the process is killed (SIGKILL) at `deadly` always and at `shy` the first time."""
    for one in tasks:
        _count(checkpoint, one)
        if one.name == "deadly" or (one.name == "shy" and _tries(checkpoint, one) == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        simple(checkpoint, [one], runtime, on_outcome)
    return [outcome(checkpoint, one) for one in tasks]


def _count(checkpoint: Path, one: EvalTask) -> None:
    with (checkpoint / f"tries-{one.name}").open("a") as file:
        file.write("x")


def _tries(checkpoint: Path, one: EvalTask) -> int:
    return len((checkpoint / f"tries-{one.name}").read_text())
