"""A worker gives each task to the evaluator of its kind, and names each outcome's task exactly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mixopt.evaluate import harness, worker
from mixopt.evaluate.base import EvalRuntime, EvalTask, Outcome
from mixopt.evaluate.suites import Suite
from mixopt.evaluate.worker import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TASKS = [
    EvalTask(name="glue_mrpc", kind="finetune", settings={"seed": 0}),
    EvalTask(name="sciq", kind="harness", settings={"shots": 0}),
    EvalTask(name="sciq", kind="harness", settings={"shots": 5}),
    EvalTask(name="glue_mrpc", kind="finetune", settings={"seed": 1}),
]


def evaluator(kind: str, calls: list[tuple[str, int]]) -> Callable[..., list[Outcome]]:
    def score(
        checkpoint: Path, tasks: Sequence[EvalTask], runtime: EvalRuntime, on_outcome: Callable[[Outcome], None]
    ) -> list[Outcome]:
        calls.append((kind, len(tasks)))
        outcomes = [Outcome(task=task.name, error=f"{checkpoint} {task.settings}") for task in tasks]
        for outcome in outcomes:
            on_outcome(outcome)
        return outcomes

    return score


def test_outcomes_are_in_the_tasks_order_and_told_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(harness, "score", evaluator("harness", calls))
    suite = Suite("masked", lambda *_, **__: [], score=evaluator("finetune", calls))
    monkeypatch.setattr(worker, "suite_of", lambda name: suite)
    told: list[Outcome] = []
    outcomes = evaluate(Path("model"), TASKS, EvalRuntime(), told.append)
    assert calls == [("finetune", 2), ("harness", 2)]
    assert [outcome.identity for outcome in outcomes] == [task.identity for task in TASKS]
    assert [outcome.error for outcome in outcomes] == [f"model {task.settings}" for task in TASKS]
    assert [outcome.identity for outcome in told] == [TASKS[i].identity for i in (0, 3, 1, 2)]


def test_an_error_of_the_whole_model_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> list[Outcome]:
        raise ValueError("no model")

    monkeypatch.setattr(harness, "score", broken)
    with pytest.raises(ValueError, match="no model"):
        evaluate(Path("model"), TASKS[1:2], EvalRuntime(), lambda _: None)
