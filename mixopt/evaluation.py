"""What is evaluated, and with what: tasks that the driver has resolved, which a worker needs nothing else for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mixopt.model_spec import Prediction
    from mixopt.score import Score

# Raised when a change of the code changes scores; old ones then stay, but are not reused.
NUMERICS = 1

Kind = Literal["harness", "finetune"]

# What kind of task each kind of model can be asked.
KIND_OF: dict[Prediction, Kind] = {"causal": "harness", "masked": "finetune"}


@dataclass(frozen=True, kw_only=True)
class EvalTask:
    """One task, resolved."""

    name: str  # the task's name, unique among all that mixopt and lm-eval know
    kind: Kind  # `harness` is scored by lm-eval as it is; `finetune` trains the model on the task first
    # JSON values that change the score: shots, limit, learning rate, seed and so on; None stands for the task's own
    settings: dict[str, Any] = field(default_factory=dict)
    # names and contents of the task's own files (a YAML, JSON lines); none for a task that lm-eval or `datasets` has by
    # name
    files: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    # where files lie that are too large to travel; the worker has to see it. Not part of the identity: `settings` then
    # has the files' digests.
    folder: str | None = None

    @property
    def identity(self) -> str:
        """16 hexadecimal digits from all of it; `Score.identity` of what it measures."""
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(self.files)}
        content = [NUMERICS, self.name, self.kind, self.settings, digests]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class EvalRuntime:
    """Where and how a model is evaluated: what does not change its scores beyond rounding."""

    device: Literal["auto", "cpu", "cuda"] = "auto"  # `auto` takes a GPU where there is one
    threads: int = 1  # CPU threads
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # `auto` is bfloat16 on a GPU, float32 on a CPU
    batch_size: int | None = None  # items in one forward pass; None for what suits the model and the device


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one task."""

    task: str  # its name
    scores: tuple[Score, ...] = ()  # what it measured; empty where it could not be had
    error: str | None = None  # why not, in one line with what to do; None where there are scores
    seconds: float = 0.0  # wall time
    # the task's, which tells the same task with other shots or another seed apart; `mixopt.evaluate.tasks.evaluate`
    # fills it in
    identity: str = ""


Evaluator = Callable[["Path", "Sequence[EvalTask]", EvalRuntime], list[Outcome]]
"""Scores the model in a folder at tasks of one kind: an outcome for each, in their order.

An error that concerns one task is its outcome, and the others go on.
"""
