"""What a worker does with a model and its tasks: each to the evaluator of its kind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mixopt.evaluate.suites import suite_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mixopt.evaluate.base import EvalRuntime, EvalTask, Evaluator, Kind, Outcome


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
    kinds: list[Kind] = list(dict.fromkeys(task.kind for task in tasks))
    for kind in kinds:
        chosen = [task for task in tasks if task.kind == kind]
        _evaluator(chosen[0])(checkpoint, chosen, runtime, _named(chosen, found, on_outcome))
    return [found[task.identity] for task in tasks]


def _named(
    tasks: Sequence[EvalTask], found: dict[str, Outcome], on_outcome: Callable[[Outcome], None]
) -> Callable[[Outcome], None]:
    """What an evaluator tells its outcomes, which come in the order of `tasks`."""
    waiting = iter(tasks)

    def tell(outcome: Outcome) -> None:
        named = replace(outcome, identity=next(waiting).identity)
        found[named.identity] = named
        on_outcome(named)

    return tell


def _evaluator(task: EvalTask) -> Evaluator:
    suite = suite_of(task.name) if task.kind == "finetune" else None
    if suite and suite.score:
        return suite.score
    from mixopt.evaluate import harness

    return harness.score
