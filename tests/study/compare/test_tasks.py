"""Downstream scores in comparisons: which are shown, against hand values, and how missing ones are had."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from mixopt.comparison import Comparison, Measured
from mixopt.errors import ConfigError
from mixopt.execute.base import InlineExecutor
from mixopt.objective import MeanLoss, parse_objective
from mixopt.score import Score
from mixopt.store import Store
from mixopt.study.compare.compare import Question, compare, compare_runs
from mixopt.study.compare.tasks import SharedTasks
from tests.study.compare.test_compare import group
from tests.study.scored import TASKS, Scored, error
from tests.study.test_study import make_study

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.study import Study


def score(task: str, value: float, **changes: Any) -> Score:
    return Score(
        **{
            "task": task, "metric": "acc", "value": value, "standard_error": 0.02, "items": 100,
            "identity": f"{task} as asked", "main": True, "chance": 0.25, **changes,
        }
    )  # fmt: skip


# By mixture and seed. `surprise` is a perplexity-like score of which lower is better.
VALUES = {
    "uniform": {"recall": (0.30, 0.34, 0.32), "spelling": (0.50, 0.50, 0.50), "surprise": (9.0, 9.5, 10.0)},
    "better": {"recall": (0.36, 0.40, 0.38), "spelling": (0.40, 0.42, 0.41), "surprise": (8.0, 8.0, 8.5)},
}


def scored(seeds: int = 3) -> tuple[dict[str, list], dict[str, list[Score]]]:
    groups = {"uniform": group(60.0, seeds=seeds), "better": group(52.0, {"code": 0.3, "law": 0.7}, seeds=seeds)}
    scores = {
        runs[seed][1].run_id: [
            score(task, values[seed], higher_is_better=task != "surprise") for task, values in VALUES[name].items()
        ]
        for name, runs in groups.items()
        for seed in range(seeds)
    }
    return groups, scores


def compared(seeds: int = 3, objective: str = "mean_loss") -> Comparison:
    groups, scores = scored(seeds)
    return compare_runs(groups, parse_objective(objective), ["uniform"], scores=scores)


def test_scores_are_means_over_seeds_and_their_average_leaves_out_what_is_better_lower():
    entry = compared().entries["better"]
    assert entry.tasks["recall"].score == Measured.of([0.36, 0.40, 0.38])
    assert entry.tasks["recall"].over == "seeds"
    assert (entry.tasks["recall"].metric, entry.tasks["recall"].chance) == ("acc", 0.25)
    assert entry.task_mean is not None
    assert entry.task_mean.seeds == pytest.approx([0.38, 0.41, 0.395])


def test_tasks_are_won_in_the_direction_of_their_metric():
    versus = compared().entries["better"].versus["uniform"]
    assert (versus.task_wins, versus.task_losses) == (2, 1)  # recall, and the surprise that is lower


def test_one_seed_has_the_standard_error_of_the_items():
    entry = compared(seeds=1).entries["better"]
    assert entry.tasks["recall"].score == Measured(0.36, 0.02, (0.36,))
    assert entry.tasks["recall"].over == "items"
    assert entry.task_mean is not None
    assert entry.task_mean.standard_error == pytest.approx(math.hypot(0.02, 0.02) / 2)


def test_only_scores_that_every_run_has_are_shown():
    groups, scores = scored()
    last = groups["better"][-1][1].run_id
    scores[last] = [one for one in scores[last] if one.task != "recall"]
    scores[last].append(score("recall", 0.4, identity="recall with a limit"))
    found = compare_runs(groups, MeanLoss(), ["uniform"], scores=scores)
    assert list(found.entries["uniform"].tasks) == ["spelling", "surprise"]
    without = compare_runs(groups, MeanLoss(), ["uniform"])
    assert without.entries["uniform"].tasks == {}
    assert without.entries["uniform"].task_mean is None
    assert without.id != found.id


def test_shots_tell_tasks_apart_and_seeds_of_fine_tuning_go_together():
    runs = {
        "a": [
            score("copy", 0.2),
            score("copy", 0.6, shots=5, identity="five"),
            score("pairs", 0.7, seed=0, identity="first"),
            score("pairs", 0.9, seed=1, identity="second"),
            score("pairs", 0.1, seed=1, identity="second", metric="f1", main=False),
        ]
    }
    found = SharedTasks.of(["a"], runs).measured(["a"])
    assert {label: task.score.value for label, task in found.items()} == pytest.approx(
        {"copy@0": 0.2, "copy@5": 0.6, "pairs": 0.8}
    )


def test_of_a_task_with_several_limits_the_most_items_count():
    runs = {"a": [score("copy", 0.5, items=1000, identity="all"), score("copy", 0.1, items=10, identity="few")]}
    assert SharedTasks.of(["a"], runs).measured(["a"])["copy"].score.value == 0.5


def test_a_task_is_what_gains_are_told_in():
    found = compared(objective="task:recall")
    entry = found.entries["better"]
    assert found.units == "error"
    assert entry.objective.seeds == pytest.approx([0.64, 0.60, 0.62])
    expected = [1 - own / base for own, base in ((0.64, 0.70), (0.60, 0.66), (0.62, 0.68))]
    assert entry.versus["uniform"].gain.seeds == pytest.approx(expected)
    assert entry.curve is None
    assert entry.tokens_to_reach["uniform"].reason is not None
    assert "measured at the end of a run only" in entry.tokens_to_reach["uniform"].reason


def test_an_objective_that_was_not_measured_or_is_nought_is_refused():
    groups, scores = scored()
    with pytest.raises(ConfigError, match="'juggling', found recall, spelling, surprise"):
        compare_runs(groups, parse_objective("task:juggling"), ["uniform"], scores=scores)
    for some in scores.values():
        some[0] = score("recall", 1.0)
    with pytest.raises(ConfigError, match="task:recall: a run has 0"):
        compare_runs(groups, parse_objective("task:recall"), ["uniform"], scores=scores)


def test_bits_per_byte_leave_scores_as_they_are():
    groups, scores = scored()
    found = compare_runs(groups, parse_objective("downstream"), ["uniform"], "bits-per-byte", scores=scores)
    assert (found.objective, found.units) == ("downstream", "error")
    assert found.entries["better"].objective.seeds[0] == pytest.approx((0.64 + 0.60 + 8.0) / 3)


def test_a_comparison_with_scores_survives_json():
    import json

    found = compared()
    assert Comparison.from_json(json.dumps(found.to_dict(), allow_nan=False)) == found


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Scored:
    found = Scored().install(monkeypatch)
    monkeypatch.setattr("mixopt.study.Study.executor", lambda self: InlineExecutor(found))
    return found


def study_of(data_dir: Path, results: Path, *, keep: bool = False, tasks: tuple[str, ...] = tuple(TASKS)) -> Study:
    executor = {"kind": "inline", "keep_checkpoints": keep}
    return make_study(data_dir, results, executor=executor, evaluation={"tasks": list(tasks)})


def test_missing_scores_of_mixtures_and_of_runs_are_measured(data_dir: Path, tmp_path: Path, trainer: Scored) -> None:
    words = ("uniform", "natural")
    found = compare(study_of(data_dir, tmp_path, keep=True), Question(contenders=words, seeds=2))
    assert len(trainer.trained) == len(trainer.evaluated) == 4
    for entry in found.entries.values():
        expected = [1 - error("spelling", entry.weights)] * 2
        assert entry.tasks["spelling"].score.seeds == pytest.approx(expected, abs=1e-4)
    runs = tuple(run for entry in found.entries.values() for run in entry.runs)
    with Store(tmp_path) as store:
        store.scores.remove(runs[:1])
    quiet = compare(study_of(data_dir, tmp_path, tasks=()), Question(contenders=runs))
    assert all(not entry.tasks for entry in quiet.entries.values()), "not all runs have scores"
    again = compare(study_of(data_dir, tmp_path), Question(contenders=runs))
    assert [entry.tasks for entry in again.entries.values()] == [entry.tasks for entry in found.entries.values()]
    assert len(trainer.trained) == 4
    assert len(trainer.evaluated) == 6, "the two tasks of the kept model are jobs of their own"
    shown = compare(study_of(data_dir, tmp_path, tasks=()), Question(contenders=runs, train=False))
    assert [entry.tasks for entry in shown.entries.values()] == [entry.tasks for entry in found.entries.values()]


def test_a_run_whose_model_is_gone_is_refused_with_what_to_do(data_dir: Path, tmp_path: Path, trainer: Scored) -> None:
    plain = compare(study_of(data_dir, tmp_path, tasks=()), Question(contenders=("uniform", "natural"), seeds=1))
    runs = tuple(run for entry in plain.entries.values() for run in entry.runs)
    with pytest.raises(ConfigError, match=f"run {runs[0]} has no score of task 'spelling' and its model was not kept"):
        compare(study_of(data_dir, tmp_path), Question(contenders=runs))
    told = compare(study_of(data_dir, tmp_path), Question(contenders=runs, train=False))
    assert "task 'spelling' is left out: not every run has a score of it" in told.warnings
    assert not trainer.evaluated
