"""Target runs, and studies with domains that are only measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.execute.base import InlineExecutor
from mixopt.mixture import Mixture
from mixopt.objective import MeanPerplexity
from mixopt.store import Store, export_runs, import_runs
from mixopt.study import Study
from mixopt.study.loop import plan_targets, train_missing
from mixopt.study.plan import plan_of

if TYPE_CHECKING:
    from pathlib import Path


def make_study(data_dir: Path, results: Path, **sections: Any) -> Study:
    config = {
        "model": {"preset": "gpt2-0.2m", "layers": 1, "context": 32},
        "training": {"batch_tokens": 256, "max_epochs": 50},
        "evaluation": {"tokens_per_domain": 512},
        "executor": {"kind": "inline"},
        **sections,
    }
    return Study(data_dir, tokens="4k", results=results, **config)


def with_only(data_dir: Path, results: Path, *only: str) -> Study:
    study = make_study(data_dir, results)
    content = study.config.model_dump()
    return Study.of(type(study.config).build({**content, "data": {"dir": str(data_dir), "eval_only": only}}, "test"))


def test_targets_are_mixtures_times_seeds_with_comparable_curves(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)
    mixtures = {"uniform": Mixture.uniform(study.domains), "natural": study.natural}
    planned = plan_targets(study, mixtures, 10_000, seeds=(0, 5))
    assert [str(run.role) for run in planned] == ["target uniform"] * 2 + ["target natural"] * 2
    assert [run.spec.seed for run in planned] == [0, 5, 0, 5]
    assert {run.spec.tokens for run in planned} == {9984}
    for run in planned:
        assert run.spec.evaluation.points == 20
        assert run.spec.evaluation.point_tokens_per_domain == run.spec.evaluation.tokens_per_domain == 512
    more = make_study(data_dir, tmp_path, evaluation={"points": 33})
    assert plan_targets(more, mixtures, 10_000, (0,))[0].spec.evaluation.points == 33


def test_a_target_that_repeats_its_data_too_often_is_refused(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)
    with pytest.raises(ConfigError, match=r"run `target chant` asks for .*--max-epochs"):
        plan_targets(study, {"chant": Mixture(("chant",), (1.0,))}, 10**7, seeds=(0,))


def test_limits_of_distinct_tokens_are_for_proxies(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)
    content = study.config.model_dump()
    limits = {"dir": str(data_dir), "unique_tokens": {"chant": "500"}}
    limited = Study.of(type(study.config).build({**content, "data": limits}, "test"))
    uniform = {"uniform": Mixture.uniform(study.domains)}
    assert plan_targets(limited, uniform, 4000, (0,)) == plan_targets(study, uniform, 4000, (0,))
    proxy = limited.spec(uniform["uniform"], 4000, 0)
    assert limited.distinct(proxy)["chant"] == 500


@pytest.mark.slow
def test_targets_can_be_planned_before_they_are_trained(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)
    planned = plan_targets(study, {"natural": study.natural}, 2_000, seeds=(0, 1))
    plan = plan_of(study, planned, None, InlineExecutor())
    assert (plan.tokens, len(plan.runs), plan.found) == (2 * 2048, 2, frozenset())
    with Store(tmp_path) as store:
        train_missing(study, planned[:1], store, InlineExecutor())
        assert plan_of(study, planned, store, InlineExecutor()).found == {planned[0].spec.run_id}


def test_a_domain_that_is_only_measured_is_nowhere_trained_on(data_dir: Path, tmp_path: Path) -> None:
    study = with_only(data_dir, tmp_path, "arithmetic")
    assert study.domains == ("chant", "words")
    assert study.evaluation.only == ("arithmetic",)
    assert sum(study.natural.weights) == pytest.approx(1)
    assert set(study.available) == set(study.corpus) == {"chant", "words"}
    (run,) = plan_targets(study, {"natural": study.natural}, 2_000, seeds=(0,))
    with Store(tmp_path) as store:
        train_missing(study, [run], store, InlineExecutor())
        history = store.history()
        assert history.domains == ("chant", "words")
        assert history.eval_domains == ("chant", "words", "arithmetic")
        assert history.tokens_seen.sum() == run.spec.tokens
        frame = store.frame()
        assert np.isnan(frame["w.arithmetic"][0])
        assert frame["tokens.arithmetic"][0] == 0
        (row,) = store.rows()
        losses = [frame[f"loss.{name}"][0] for name in study.domains]
        assert row["mean_loss"] == pytest.approx(np.mean(losses))
        values = MeanPerplexity().value(history.losses, history.eval_domains, history.domains)
        assert values == pytest.approx([np.exp(losses).mean()])
        result = store.get(run.spec.run_id)[1]
        assert list(result.domains) == ["chant", "words", "arithmetic"]


def test_an_exported_table_gives_the_same_history(data_dir: Path, tmp_path: Path) -> None:
    from mixopt.store.runs_csv import read_runs

    study = with_only(data_dir, tmp_path, "words")
    with Store(tmp_path) as store:
        train_missing(study, plan_targets(study, {"n": study.natural}, 500, seeds=(0, 1)), store, InlineExecutor())
        export_runs(store, tmp_path / "runs.csv")
        export_runs(store, tmp_path / "runs.jsonl")
        ours = store.history()
    with Store(tmp_path / "elsewhere") as other:
        assert import_runs(other, tmp_path / "runs.jsonl") == 2
        again = other.history()
    assert (again.runs, again.domains, again.eval_domains) == (ours.runs, ours.domains, ours.eval_domains)
    np.testing.assert_array_equal(again.tokens_seen, ours.tokens_seen)
    np.testing.assert_array_equal(again.losses, ours.losses)
    theirs, notes = read_runs(tmp_path / "runs.csv")
    assert notes == []
    assert (theirs.domains, theirs.eval_domains) == (ours.domains, ours.eval_domains)
    np.testing.assert_allclose(theirs.tokens_seen, ours.tokens_seen)
    np.testing.assert_array_equal(theirs.losses, ours.losses)


def test_what_is_only_measured_is_part_of_a_study(data_dir: Path, tmp_path: Path) -> None:
    assert with_only(data_dir, tmp_path).study_id != with_only(data_dir, tmp_path, "words").study_id


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (("poems",), r"data\.eval_only: .*'poems'; .*chant, arithmetic, words"),
        (("chant", "words", "arithmetic"), "none to train on"),
    ],
)
def test_wrong_names_are_refused(data_dir: Path, tmp_path: Path, only: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _ = with_only(data_dir, tmp_path, *only).domains
