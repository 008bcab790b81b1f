"""A worker gives each task to its evaluator, and names each outcome's task exactly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mixopt.evaluate import harness, worker
from mixopt.evaluate.tasks import Suite
from mixopt.evaluate.worker import evaluate
from mixopt.evaluation import EvalRuntime, EvalTask, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TASKS = [
    EvalTask(name="glue_mrpc", kind="finetune", settings={"seed": 0}),
    EvalTask(name="sciq", kind="harness", settings={"shots": 0}),
    EvalTask(name="sciq", kind="harness", settings={"shots": 5}),
    EvalTask(name="glue_mrpc", kind="finetune", settings={"seed": 1}),
]


def evaluator(kind: str, calls: list[tuple[str, int]]) -> Callable[..., list[Outcome]]:
    def score(checkpoint: Path, tasks: Sequence[EvalTask], runtime: EvalRuntime) -> list[Outcome]:
        calls.append((kind, len(tasks)))
        return [Outcome(task=task.name, error=f"{checkpoint} {task.settings}") for task in tasks]

    return score


def test_outcomes_are_in_the_tasks_order(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(harness, "score", evaluator("harness", calls))
    suite = Suite("masked", lambda *_, **__: [], score=evaluator("finetune", calls))
    monkeypatch.setattr(worker, "suite_of", lambda name: suite)
    outcomes = evaluate(Path("model"), TASKS, EvalRuntime())
    assert calls == [("finetune", 2), ("harness", 2)]
    assert [outcome.identity for outcome in outcomes] == [task.identity for task in TASKS]
    assert [outcome.error for outcome in outcomes] == [f"model {task.settings}" for task in TASKS]


def test_an_error_of_the_whole_model_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> list[Outcome]:
        raise ValueError("no model")

    monkeypatch.setattr(harness, "score", broken)
    with pytest.raises(ValueError, match="no model"):
        evaluate(Path("model"), TASKS[1:2], EvalRuntime())
