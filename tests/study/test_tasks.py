"""Downstream scores as objectives of a study: measured after training, kept, missed, and minimised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mixopt.errors import ConfigError, ExecutorError, StoreError
from mixopt.execute.base import InlineExecutor
from mixopt.mixture import Mixture
from mixopt.report.html.gather import gather
from mixopt.store import Store, export_runs, import_runs
from mixopt.store.runs_csv import read_runs
from mixopt.study import Study, run_study
from mixopt.study.verify import verify
from tests.study.scored import BEST, TASKS, Scored, error, mean_error
from tests.study.test_study import make_study

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.methods.base import Recommendation


def scored_study(data_dir: Path, results: Path, **changes: Any) -> Study:
    """A study of both tasks that minimises their mean error."""
    evaluation = {"tasks": list(TASKS), **changes.pop("evaluation", {})}
    method = {"objective": "downstream", **changes.pop("method", {})}
    return make_study(data_dir, results, evaluation=evaluation, method=method, **changes)


def answer(study: Study, scored: Scored) -> Recommendation:
    with Store(study.config.results) as store:
        return run_study(study, study.searcher(), store, InlineExecutor(scored))


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Scored:
    return Scored().install(monkeypatch)


# What is left of the gain over uniform: DDO's law is additive in tokens, which these errors are not.
METHODS = {
    "ddo": ({"floor": 0.01, "factors": [1 / 9, 1 / 3, 3]}, 0.2),
    "loglinear": ({"runs": 24}, 0.001),
    "adso": ({"scales": ["1k", "4k"], "budget": 8, "batch": 4}, 0.01),
}


@pytest.mark.parametrize("name", METHODS)
def test_the_mixture_that_is_best_at_the_tasks_is_found(
    name: str, data_dir: Path, tmp_path: Path, scored: Scored
) -> None:
    method, share = METHODS[name]
    study = scored_study(data_dir, tmp_path, method={"name": name, **method})
    found = answer(study, scored)
    least, uniform = mean_error(BEST), mean_error(dict.fromkeys(BEST, 1 / 3))
    assert mean_error(found.mixture.to_dict()) - least < share * (uniform - least)
    assert found.objective == "downstream"
    assert found.units == "error"
    assert found.predicted["uniform"].value == pytest.approx(uniform, abs=0.01)
    assert any("points of learning curves are not used" in text for text in found.warnings) == (name == "adso")


def small(data_dir: Path, results: Path, **changes: Any) -> Study:
    """Seven runs."""
    return scored_study(data_dir, results, method={"name": "ddo"}, **changes)


def test_a_task_or_a_weighted_sum_with_losses_is_an_objective(data_dir: Path, tmp_path: Path, scored: Scored) -> None:
    weights = tmp_path / "goal.yaml"
    weights.write_text("{words: 0.5, 'task:singing': 0.5}")
    found = {}
    for name in ("task:spelling", "task:singing", f"weighted:{weights}"):
        method = {"name": "ddo", "objective": name, "floor": 0.01}
        found[name] = answer(scored_study(data_dir, tmp_path, method=method), scored)
    assert len(scored.trained) == len(scored.evaluated) == 7, "one sweep answers all of them"
    for task, (domain, *_) in TASKS.items():
        advised = found[f"task:{task}"].mixture.to_dict()
        assert advised[domain] > 0.75
        assert found[f"task:{task}"].predicted["uniform"].value == pytest.approx(
            error(task, dict.fromkeys(advised, 1 / 3)), abs=0.01
        )
    both = found[f"weighted:{weights}"]
    assert both.units == "nats/token and error"
    study = scored_study(data_dir, tmp_path)
    with Store(tmp_path) as store:
        base_run = [run for run, spec in scored.specs.items() if spec.mixture == study.reference]
        history = store.history(base_run, tasks=study.tasks)
    domains = history.eval_domains
    base = history.losses[0, domains.index("words")] + history.losses[0, domains.index("task:singing")]
    assert both.evidence.base_objective == pytest.approx(base / 2)


def test_scores_stand_beside_the_run_and_its_losses(data_dir: Path, tmp_path: Path, scored: Scored) -> None:
    study = small(data_dir, tmp_path)
    answer(study, scored)
    with Store(tmp_path) as store:
        runs = [row["run_id"] for row in store.rows()]
        history = store.history(runs, tasks=study.tasks)
        frame = store.frame(runs)
        store.scores.remove(runs[-1:])
        with pytest.raises(StoreError, match="no score of task 'spelling'"):
            store.history(runs, tasks=study.tasks)
    assert history.eval_domains == (*study.domains, "task:spelling", "task:singing")
    expected = [error("spelling", scored.specs[run].mixture.to_dict()) for run in runs]
    np.testing.assert_allclose(history.losses[:, 3], expected)
    np.testing.assert_allclose(frame["score.spelling"], 1 - np.array(expected))
    assert history.standard_errors is not None
    assert history.standard_errors[:, :3].max() == 0
    np.testing.assert_allclose(history.standard_errors[:, 3:], 0.001)
    assert not list((tmp_path / "checkpoints").glob("*/final")), "models go once they are evaluated"


def test_the_page_tells_the_objective_of_each_run(data_dir: Path, tmp_path: Path, scored: Scored) -> None:
    answer(small(data_dir, tmp_path), scored)
    with Store(tmp_path) as store:
        page = gather(store)
    assert (page.objective.name, page.objective.units) == ("downstream", "error")
    for run in page.runs:
        assert run.objective == pytest.approx(mean_error(scored.specs[run.run_id].mixture.to_dict()))


def test_exports_hold_the_scores(data_dir: Path, tmp_path: Path, scored: Scored) -> None:
    """As CSV for `mixopt recommend`, which then gives the study's answer; as JSON lines for another table."""
    study = small(data_dir, tmp_path / "here")
    found = answer(study, scored)
    with Store(tmp_path / "here") as store, Store(tmp_path / "there") as other:
        export_runs(store, tmp_path / "runs.csv")
        export_runs(store, tmp_path / "runs.jsonl")
        import_runs(other, tmp_path / "runs.jsonl")
        assert other.scores.of() == store.scores.of()
    history, _ = read_runs(tmp_path / "runs.csv")
    searcher = study.searcher()
    read = searcher.recommend(history)
    assert read.mixture.weights == pytest.approx(found.mixture.weights)
    assert read.predicted["uniform"].value == pytest.approx(found.predicted["uniform"].value)


def test_tasks_change_no_run_and_only_the_study_that_rests_on_them(data_dir: Path, tmp_path: Path) -> None:
    def study(objective: str, **evaluation: Any) -> Study:
        with pytest.MonkeyPatch.context() as patch:
            Scored().install(patch)
            made = make_study(data_dir, tmp_path, method={"objective": objective}, evaluation=evaluation)
            _ = made.study_id
            return made

    plain, beside = study("mean_ppl"), study("mean_ppl", tasks="spelling,singing")
    assert plain.study_id == beside.study_id
    uniform = Mixture.uniform(plain.domains)
    assert plain.spec(uniform, 4096, 0).run_id == beside.spec(uniform, 4096, 0).run_id


def test_the_study_that_minimises_scores_is_known_by_its_tasks(data_dir: Path, tmp_path: Path, scored: Scored) -> None:
    ids = [
        scored_study(data_dir, tmp_path, evaluation=changes).study_id
        for changes in ({}, {"task_limit": 50}, {"tasks": ["spelling"]})
    ]
    assert len(set(ids)) == 3


def test_runs_of_the_table_are_evaluated_from_kept_models_or_trained_again(
    data_dir: Path, tmp_path: Path, scored: Scored
) -> None:
    """Both end as a study that measured its tasks from the start."""
    whole = answer(small(data_dir, tmp_path / "whole"), scored)
    for name, kept in (("kept", True), ("gone", False)):
        executor = {"kind": "inline", "keep_checkpoints": kept}
        plain = make_study(data_dir, tmp_path / name, method={"name": "ddo"}, executor=executor)
        scored.trained.clear()
        answer(plain, scored)
        scored.evaluated.clear()
        found = answer(small(data_dir, tmp_path / name, executor=executor), scored)
        assert len(scored.trained) == (7 if kept else 14)
        assert len(set(scored.evaluated)) == 7
        assert found.to_dict() == whole.to_dict()
        assert len(list((tmp_path / name / "checkpoints").glob("*/final"))) == (7 if kept else 0)


@pytest.mark.parametrize("stop_after", [0, 3])
def test_a_study_stopped_while_it_evaluates_goes_on_to_the_same_answer(
    data_dir: Path, tmp_path: Path, stop_after: int, scored: Scored
) -> None:
    whole = answer(small(data_dir, tmp_path / "whole"), scored)
    scored.trained.clear()
    scored.evaluated.clear()
    scored.stop_after = stop_after
    broken = small(data_dir, tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        answer(broken, scored)
    scored.stop_after = None
    assert answer(broken, scored).to_dict() == whole.to_dict()
    assert len(scored.evaluated) == 7
    assert len(scored.trained) == 8, "the one that was being evaluated is trained again"


def test_a_task_that_cannot_be_had_ends_the_study_at_its_first_run(
    data_dir: Path, tmp_path: Path, scored: Scored
) -> None:
    scored.refuse = {"singing": "its data needs the network"}
    study = small(data_dir, tmp_path)
    with pytest.raises(ExecutorError, match=r"'singing' .*for run \w+: .*network"):
        answer(study, scored)
    assert len(scored.trained) == 1
    scored.refuse = {}
    answer(study, scored)
    assert len(scored.trained) == 7, "the first run's model was kept and is only evaluated"


def test_an_evaluation_that_breaks_loses_no_training(
    data_dir: Path, tmp_path: Path, scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise MemoryError("no room for the logits")

    monkeypatch.setattr("mixopt.evaluate.tasks.evaluate", broken)
    study = small(data_dir, tmp_path)
    with pytest.raises(ExecutorError, match=r"'spelling' .*MemoryError: no room"):
        answer(study, scored)
    with Store(tmp_path) as store:
        assert [row["status"] for row in store.rows()] == ["finished"]


@pytest.mark.parametrize(
    ("objective", "tasks", "message"),
    [
        ("task:juggling", ["spelling"], r"'juggling', found spelling; .*evaluation"),
        ("task:spelling", [], "'spelling', found no task"),
        ("downstream", [], r"downstream: .*found no task"),
    ],
)
@pytest.mark.parametrize("method", ["ddo", "loglinear", "adso"])
def test_an_objective_without_its_task_is_refused_before_any_training(
    method: str, objective: str, tasks: list[str], message: str, data_dir: Path, tmp_path: Path, scored: Scored
) -> None:
    study = make_study(data_dir, tmp_path, method={"name": method, "objective": objective}, evaluation={"tasks": tasks})
    with pytest.raises(ConfigError, match=message):
        study.searcher()


def test_noise_is_not_sold_as_a_better_mixture(data_dir: Path, tmp_path: Path, scored: Scored) -> None:
    """Every run guesses: 100 items at 1 in 4, whatever the mixture."""
    rng = np.random.default_rng(1)
    scored.chance, scored.deviation = 0.25, 0.043
    scored.noise = lambda spec: 0.75 - error("spelling", spec.mixture.to_dict()) + rng.normal(0, 0.03)
    study = scored_study(
        data_dir, tmp_path, method={"name": "ddo", "objective": "task:spelling"}, evaluation={"tasks": ["spelling"]}
    )
    found = answer(study, scored)
    assert any("no evidence that the recommended mixture beats" in text for text in found.warnings)
    assert any("no run is two standard errors away from guessing (0.25)" in text for text in found.warnings)
    low, high = found.intervals["words"]
    assert high - low > 0.3


def test_verification_measures_the_tasks_of_the_recommended_mixture(
    data_dir: Path, tmp_path: Path, scored: Scored
) -> None:
    study = small(data_dir, tmp_path)
    searcher = study.searcher()
    with Store(tmp_path) as store:
        executor = InlineExecutor(scored)
        found = run_study(study, searcher, store, executor)
        baselines = {"uniform": Mixture.uniform(study.domains)}
        measured = verify(study, found, searcher.settings.objective, baselines, store, executor)
    mixtures = measured.mixtures
    assert mixtures["recommended"].measured.value == pytest.approx(mean_error(found.mixture.to_dict()), abs=1e-4)
    assert mixtures["uniform"].losses["task:spelling"] == pytest.approx(
        error("spelling", dict.fromkeys(study.domains, 1 / 3))
    )
