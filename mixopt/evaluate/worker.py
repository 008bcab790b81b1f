"""What a worker does with a model and its tasks: each to the evaluator of its kind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mixopt.evaluate.base import EvalRuntime, EvalTask, Evaluator, Kind, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def evaluate(
    checkpoint: Path,
    tasks: Sequence[EvalTask],
    runtime: EvalRuntime,
    on_outcome: Callable[[Outcome], None],
) -> list[Outcome]:
    """Score one model at tasks of any kind.

    Args:
        checkpoint: a folder that `from_pretrained` reads.
        tasks: what `mixopt.evaluate.tasks.resolve` gave.
        runtime: where and how.
        on_outcome: called with each outcome as it is there, so that a long evaluation can be recorded on the way.

    Returns:
        The outcome of each task, in their order.

    Raises:
        DataError: the checkpoint cannot be used for tasks of this kind.
        ExecutorError: a GPU was asked for and there is none.
    """
    found: dict[str, Outcome] = {}
    for kind in dict.fromkeys(task.kind for task in tasks):
        chosen = [task for task in tasks if task.kind == kind]
        told = iter(chosen)

        def tell(outcome: Outcome, told=told) -> None:  # noqa: ANN001
            named = replace(outcome, identity=next(told).identity)
            found[named.identity] = named
            on_outcome(named)

        _evaluator(kind)(checkpoint, chosen, runtime, tell)
    return [found[task.identity] for task in tasks]


def _evaluator(kind: Kind) -> Evaluator:
    if kind == "finetune":
        from mixopt.evaluate import finetune

        return finetune.score
    from mixopt.evaluate import harness

    return harness.score
