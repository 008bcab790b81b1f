"""What a worker does with a model and its tasks: each to its evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mixopt.evaluate.tasks import suite_of

if TYPE_CHECKING:
    from mixopt.evaluation import EvalRuntime, EvalTask, Evaluator, Outcome


def evaluate(checkpoint: Path, tasks: Sequence[EvalTask], runtime: EvalRuntime) -> list[Outcome]:
    """Score one model at tasks of any kind.

    Args:
        checkpoint: a folder that `from_pretrained` reads.

    Returns:
        The outcome of each task, in their order.

    Raises:
        DataError: the checkpoint cannot be used for tasks of this kind.
        ExecutorError: a GPU was asked for and there is none.
    """
    shares: dict[Evaluator, list[EvalTask]] = {}
    for task in tasks:
        shares.setdefault(_evaluator(task), []).append(task)
    found: dict[str, Outcome] = {}
    for score, share in shares.items():
        for task, outcome in zip(share, score(checkpoint, share, runtime), strict=True):
            found[task.identity] = replace(outcome, identity=task.identity)
    return [found[task.identity] for task in tasks]


def _evaluator(task: EvalTask) -> Evaluator:
    suite = suite_of(task.name) if task.kind == "finetune" else None
    if suite and suite.score:
        return suite.score
    from mixopt.evaluate import harness

    return harness.score
