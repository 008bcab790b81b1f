"""A downstream task as the objective of real studies: trained, evaluated where the model lies, minimised."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mixopt.evaluate.tasks import evaluate
from mixopt.evaluation import EvalRuntime
from mixopt.role import Role
from mixopt.store import Store
from mixopt.study import Study, run_study
from mixopt.study.loop import job_of, train_missing

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.methods.base import Recommendation

TASKS = ["offline_continuation_words", "offline_brackets"]


def task_study(data_dir: Path, results: Path, **executor: object) -> Study:
    """Four runs of a tiny model, evaluated on twenty items of each task."""
    return Study(
        data_dir,
        model={"preset": "gpt2-0.2m", "context": 128, "layers": 1},
        tokens="8k",
        results=results,
        training={"batch_tokens": 512, "max_epochs": 50},
        evaluation={"tasks": TASKS, "task_limit": 20, "tokens_per_domain": 1024},
        method={"objective": "task:offline_continuation_words", "factors": [3]},
        executor={"keep_checkpoints": True, **executor},
    )


def answer(study: Study, results: Path) -> Recommendation:
    with Store(results) as store, study.executor() as executor:
        return run_study(study, study.searcher(), store, executor)


@pytest.mark.slow
def test_a_real_study_minimises_a_tasks_error(data_dir: Path, tmp_path: Path) -> None:
    study = task_study(data_dir, tmp_path, kind="inline")
    found = answer(study, tmp_path)
    with Store(tmp_path) as store:
        scores = store.scores.of(found.runs)
        history = store.history(found.runs, tasks=study.tasks)
    assert len(found.runs) == len(scores) == 4
    assert all({score.task for score in some} == set(TASKS) for some in scores.values())
    assert found.objective == "task:offline_continuation_words"
    assert 0 < found.predicted["recommended"].value <= 1
    assert sum(found.mixture.weights) == pytest.approx(1)
    # Twenty items tell no mixtures apart, and the answer says so.
    assert any("no evidence that the recommended mixture beats" in text for text in found.warnings)
    assert history.standard_errors is not None
    assert history.standard_errors[:, -2].min() > 0.05
    run = found.runs[0]
    model = study.checkpoint_dir(run) / "final"
    by_hand = evaluate(model, study.tasks, EvalRuntime(device="cpu"))
    key = {(score.task, score.metric): score.value for outcome in by_hand for score in outcome.scores}
    assert {(score.task, score.metric): score.value for score in scores[run]} == key
    assert json.loads(json.dumps(answer(study, tmp_path).to_dict())) == json.loads(json.dumps(found.to_dict()))


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("processes", [1, 2])
def test_ray_workers_evaluate_what_they_trained(processes: int, data_dir: Path, tmp_path: Path) -> None:
    """As the inline executor does; of a group of processes one evaluates."""
    study = task_study(data_dir, tmp_path / "ray", kind="ray", processes_per_run=processes, workers=1)
    spec = study.spec(study.reference, study.tokens, seed=0)
    with Store(tmp_path / "ray") as store, study.executor() as executor:
        train_missing(study, [job_of(study, spec, Role("base"))], store, executor)
        (scores,) = store.scores.of([spec.run_id]).values()
    assert {score.task for score in scores} == set(TASKS)
    model = study.checkpoint_dir(spec.run_id) / "final"
    by_hand = evaluate(model, study.tasks, EvalRuntime(device="cpu"))
    values = {(score.task, score.metric): score.value for outcome in by_hand for score in outcome.scores}
    assert {(score.task, score.metric): score.value for score in scores} == values
