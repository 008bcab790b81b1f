"""Evaluation jobs: every task has one outcome whatever happens to its worker, inline and on Ray alike."""

from __future__ import annotations

import shutil
import uuid
from typing import TYPE_CHECKING

import pytest

from mixopt.errors import DataError
from mixopt.evaluate.base import EvalRuntime, EvalTask, Outcome
from mixopt.execute.evaluations import EvalJob, InlineEvaluations, split
from tests.execute import evaluators
from tests.execute.evaluators import task

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.execute.evaluations import Evaluations

RUNTIME = EvalRuntime()


def model(folder: Path, number: int) -> Path:
    place = folder / f"model-{number}"
    place.mkdir()
    (place / "model").write_text(str(number))
    return place


def done(
    evaluations: Evaluations, jobs: list[EvalJob]
) -> tuple[dict[tuple[str, str], float | str | None], list[str]]:
    """Value or error by model and task, and the retries' reasons."""
    found: dict[tuple[str, str], float | str | None] = {}
    retries: list[str] = []

    def take(job: EvalJob, outcome: Outcome) -> None:
        assert (job.subject, outcome.task) not in found, "each outcome is told once"
        found[job.subject, outcome.task] = outcome.scores[0].value if outcome.scores else outcome.error

    with evaluations as opened:
        opened.run(jobs, take, lambda _, reason: retries.append(reason))
    return found, retries


def test_tasks_that_only_score_share_a_models_loading_and_fine_tunings_are_jobs(tmp_path: Path) -> None:
    scored = [task(f"t{number}") for number in range(5)]
    tuned = [task("glue", "finetune", seed=seed) for seed in range(3)]
    places = {"a": (tmp_path, "d1"), "b": (tmp_path, "d2"), "c": (tmp_path, "d3")}

    def sizes(missing: dict[str, list[EvalTask]], workers: int) -> list[tuple[str, int]]:
        jobs = split(places, missing, workers, RUNTIME)
        told = [(job.subject, one.identity) for job in jobs for one in job.tasks]
        assert sorted(told) == sorted((s, one.identity) for s, tasks in missing.items() for one in tasks)
        return [(job.subject, len(job.tasks)) for job in jobs]

    assert sizes({"a": scored}, 1) == [("a", 5)]
    assert sizes({"a": scored}, 2) == [("a", 3), ("a", 2)]
    assert sizes({"a": scored, "b": scored, "c": []}, 2) == [("a", 5), ("b", 5)]
    assert sizes({"a": scored[:1]}, 4) == [("a", 1)]
    assert sizes({"a": tuned, "b": scored[:2]}, 1) == [("a", 1), ("a", 1), ("a", 1), ("b", 2)]


def test_a_task_that_fails_is_tried_again_and_then_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    tasks = tuple(map(task, ("good", "bad", "shy", "last")))
    found, retries = done(
        InlineEvaluations(evaluators.moody), [EvalJob("a", model(tmp_path, 7), "d", tasks, RUNTIME)]
    )
    assert found == {
        ("a", "good"): 0.11,
        ("a", "bad"): "given up after 3 attempts (RuntimeError: not today)",
        ("a", "shy"): 0.10,
        ("a", "last"): 0.11,
    }
    assert retries == ["RuntimeError: not today"] * 3
    # What was had before a failure is not scored again.
    assert (tmp_path / "model-7/tries-good").read_text() == "x"


def test_an_error_of_the_whole_model_ends_it(tmp_path: Path) -> None:
    jobs = [EvalJob("a", model(tmp_path, 7), "d", (task("good"), task("fatal")), RUNTIME)]
    with pytest.raises(DataError, match="of no use"):
        done(InlineEvaluations(evaluators.moody), jobs)


@pytest.mark.ray
@pytest.mark.slow
def test_on_ray_as_inline_with_killed_workers_and_a_checkpoint_that_the_node_does_not_see(tmp_path: Path) -> None:
    from mixopt.execute.ray_evaluations import RayEvaluations
    from mixopt.execute.ray_worker import shipped_folder

    first, second = model(tmp_path, 3), model(tmp_path, 5)
    tasks = tuple(map(task, ("one", "two")))
    jobs = [EvalJob("a", first, "d1", tasks, RUNTIME), EvalJob("b", second, "d2", tasks, RUNTIME)]
    inline, _ = done(InlineEvaluations(evaluators.simple), jobs)
    hidden = EvalJob("c", model(tmp_path, 4), f"test-{uuid.uuid4().hex}", tasks, RUNTIME)
    troubled = tuple(map(task, ("good", "deadly", "shy")))
    try:
        with RayEvaluations(device="cpu", workers=2, evaluator=evaluators.mortal) as evaluations:
            evaluations.workers()
            evaluations.ship(hidden)
            hidden.checkpoint.rename(tmp_path / "moved")  # what the driver has read, no worker finds by its path
            found, retries = done(evaluations, [*jobs, hidden, EvalJob("t", first, "d1", troubled, RUNTIME)])
    finally:
        shutil.rmtree(shipped_folder(hidden.digest), ignore_errors=True)
    assert {key: value for key, value in found.items() if key[0] in "ab"} == inline
    assert (found["c", "one"], found["c", "two"]) == (0.07, 0.07)
    assert (found["t", "good"], found["t", "shy"]) == (0.07, 0.06)
    assert "the worker's process died" in str(found["t", "deadly"])
    # Once for all of them, then each alone: twice for the one that always kills its worker, once for the shy one.
    assert len(retries) == 4
