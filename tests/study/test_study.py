"""A study resolves to specs, runs what the table lacks, and goes on where it was stopped."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mixopt
from mixopt.errors import ConfigError, DataError, ExecutorError
from mixopt.execute.base import InlineExecutor
from mixopt.methods.base import Proposal, Searcher
from mixopt.mixture import Mixture
from mixopt.objective import MeanLoss
from mixopt.role import Role
from mixopt.store import Store
from mixopt.study import Study, StudyConfig, run_study
from mixopt.study.plan import calibrate, makespan
from mixopt.study.verify import verify
from tests.execute.trainers import law as any_law
from tests.study.plans import first_plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mixopt.history import History
    from mixopt.result import RunResult
    from mixopt.spec import RunSpec


def make_study(data_dir: Path, results: Path, **changes: Any) -> Study:
    given = {"model": "gpt2-0.2m", "training": {"batch_tokens": 256, "max_epochs": 50}, "executor": {"kind": "inline"}}
    limits = changes.pop("data_limits", None)
    study = Study(data_dir, results=results, **{"tokens": "4k", **given, **changes})
    if limits:
        content = study.config.model_dump()
        return Study.of(StudyConfig.build({**content, "data": {"dir": str(data_dir), "unique_tokens": limits}}, "test"))
    return study


class Trainer:
    """The law of `tests.execute.trainers` on the study's own domains; counts its calls and can be interrupted."""

    def __init__(self, stop_after: int | None = None, lose: Callable[[RunSpec], bool] = lambda spec: False) -> None:
        self.calls: list[str] = []
        self._stop_after, self._lose = stop_after, lose

    def __call__(self, spec: RunSpec, runtime: Any, progress: Any = None) -> RunResult:
        if len(self.calls) == self._stop_after:
            raise KeyboardInterrupt
        self.calls.append(spec.run_id)
        if self._lose(spec):
            raise RuntimeError("lost")
        names = ("code", "prose", "legal")
        result = any_law(replace(spec, data=replace(spec.data, domains=names)), runtime)
        renamed = dict(zip(spec.data.domains, result.domains.values(), strict=True))
        return replace(result, run_id=spec.run_id, domains=renamed, curve={}, mixture={})


class TwoRounds(Searcher):
    """A searcher that asks for a second mixture when it has seen the first."""

    def ask(self, history: History) -> list[Proposal]:
        domains = ("chant", "arithmetic", "words")
        first = Proposal(Mixture.uniform(domains), 2000, 0, Role("first"))
        second = Proposal(Mixture(domains, (0.5, 0.25, 0.25)), 2000, 0, Role("second"))
        return [first, second] if len(history) else [first]

    def recommend(self, history: History) -> Any:
        return history.runs


def test_a_spec_has_whole_batches_and_the_studys_model(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path, model={"preset": "gpt2-0.2m", "layers": 2, "context": 64})
    spec = study.spec(Mixture.uniform(study.domains), 1000, seed=3)
    assert spec.tokens == 1024
    assert (spec.model.layers, spec.sequence_length, spec.seed) == (2, 64, 3)
    assert spec.model.vocab_size == study.manifest.vocab_size
    assert spec.data.fingerprint == study.manifest.fingerprint


def test_where_a_study_runs_does_not_change_what_it_is(data_dir: Path, tmp_path: Path) -> None:
    here = make_study(data_dir, tmp_path / "a")
    there = make_study(data_dir, tmp_path / "b", executor={"kind": "ray", "workers": 2})
    other = make_study(data_dir, tmp_path / "a", training={"batch_tokens": 256, "max_epochs": 50, "lr": 0.1})
    assert here.study_id == there.study_id != other.study_id


def test_a_study_is_known_by_what_its_files_say(data_dir: Path, tmp_path: Path) -> None:
    weights, ids = tmp_path / "weights.yaml", set()
    for share in (0.25, 0.5):
        weights.write_text(f"{{chant: {share}, words: {1 - share}}}")
        for method in ({"reference": str(weights)}, {"objective": f"weighted:{weights}"}):
            ids.add(make_study(data_dir, tmp_path, method=method).study_id)
    assert len(ids) == 4


def test_a_study_is_run_round_by_round_and_rows_are_used_again(data_dir: Path, tmp_path: Path) -> None:
    study, trainer = make_study(data_dir, tmp_path), Trainer()
    with Store(tmp_path) as store:
        first = run_study(study, TwoRounds(), store, InlineExecutor(trainer))
        assert len(first) == 2
        assert trainer.calls == list(first)
        assert run_study(study, TwoRounds(), store, InlineExecutor(trainer)) == first
        assert trainer.calls == list(first)
        (saved,) = store.studies()
    assert saved["config"] == json.loads(json.dumps(study.resolved))
    assert {str(role) for _, role in saved["runs"]} == {"first", "second"}


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [0, 1, 4, 6])
def test_an_interrupted_study_goes_on_to_the_same_recommendation(
    data_dir: Path, tmp_path: Path, stop_after: int
) -> None:
    study = make_study(data_dir, tmp_path)
    searcher = study.searcher()
    with Store(tmp_path / "whole") as store:
        whole = run_study(study, searcher, store, InlineExecutor(Trainer()))
    with Store(tmp_path / "broken") as store:
        with pytest.raises(KeyboardInterrupt):
            run_study(study, searcher, store, InlineExecutor(Trainer(stop_after)))
        assert len(store.rows(status="finished")) == stop_after
        rest = Trainer()
        broken = run_study(study, searcher, store, InlineExecutor(rest))
    assert len(rest.calls) == 7 - stop_after
    assert broken.to_dict() == whole.to_dict()


def test_a_failed_run_is_recorded_and_the_others_are_still_trained(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)

    def longest(spec: RunSpec) -> bool:
        return spec.tokens == study.tokens

    with Store(tmp_path) as store:
        # DDO cannot do without its base run, and says so once everything else has been trained.
        with pytest.raises(ConfigError, match=r"no base run.*base, seed 0, did not finish: `mixopt runs show"):
            run_study(study, study.searcher(), store, InlineExecutor(Trainer(lose=longest)))
        assert [row["error"] for row in store.rows(status="failed")] == ["RuntimeError: lost"]
        assert len(store.rows(status="finished")) == 6
        again = Trainer()
        run_study(study, study.searcher(), store, InlineExecutor(again))
        assert len(again.calls) == 1
        assert store.rows(status="failed") == []


def test_more_repetition_than_allowed_is_refused_before_training(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path, training={"batch_tokens": 256, "max_epochs": 0.1})
    trainer = Trainer()
    with (
        Store(tmp_path) as store,
        pytest.raises(ConfigError, match=r"chant x3.* epochs of .*the cap is 0\.1.*--max-epochs"),
    ):
        run_study(study, _AnyTokens(study), store, InlineExecutor(trainer))
    assert trainer.calls == []


@pytest.mark.parametrize(("over", "expected"), [(0.5, contextlib.nullcontext()), (2, pytest.raises(ConfigError))])
def test_a_mixture_at_its_cap_may_be_a_token_over_it(data_dir: Path, tmp_path: Path, over: float, expected) -> None:
    study = make_study(data_dir, tmp_path)
    spec = study.spec(study.reference, study.tokens, seed=0)
    domain, epochs = max(study.epochs(spec).items(), key=lambda item: item[1])
    cap = epochs - over / study.available[domain]
    with expected:
        make_study(data_dir, tmp_path, training={"batch_tokens": 256, "max_epochs": cap}).check_epochs(spec, "base")


class _AnyTokens(Searcher):
    def __init__(self, study: Study) -> None:
        self._study = study

    def ask(self, history: History) -> list[Proposal]:
        return [
            Proposal(
                Mixture.uniform(self._study.domains), self._study.tokens * 3, 0, Role("perturbed", "chant", "chant x3")
            )
        ]

    def recommend(self, history: History) -> Any:
        raise AssertionError


@pytest.mark.slow
def test_verification_compares_prediction_and_measurement_seed_by_seed(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path, method={"seeds": 3, "objective": "mean_loss"})
    searcher = study.searcher()
    with Store(tmp_path) as store:
        executor = InlineExecutor(Trainer())
        recommendation = run_study(study, searcher, store, executor)
        found = verify(study, recommendation, MeanLoss(), searcher.baselines, store, executor)
        frame = store.frame(found.runs)
    assert list(found.mixtures) == ["recommended", "reference", "uniform", "natural"]
    uniform = found.mixtures["uniform"]
    rows = frame[np.isclose(frame["w.chant"], 1 / 3)]
    losses = rows[[f"loss.{domain}" for domain in study.domains]].mean(axis=1)
    assert uniform.measured.value == pytest.approx(losses.mean())
    assert uniform.measured.standard_error == pytest.approx(losses.std(ddof=1) / np.sqrt(3))
    best = found.mixtures["recommended"]
    assert uniform.gain_measured is not None
    assert uniform.gain_measured.seeds == pytest.approx(
        [1 - a / b for a, b in zip(best.measured.seeds, uniform.measured.seeds, strict=True)]
    )
    assert uniform.predicted == recommendation.predicted["uniform"]
    assert json.loads(json.dumps(found.to_dict()))["mixtures"]["uniform"]["measured"]["seeds"]


def test_a_plan_counts_what_is_there_and_what_is_not(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)
    searcher = study.searcher()
    with Store(tmp_path) as store:
        with pytest.raises(KeyboardInterrupt):
            run_study(study, searcher, store, InlineExecutor(Trainer(3)))
        plan = first_plan(study, searcher, store, Ticking())
        assert len(plan.runs) == 7
        assert len(plan.found) == 3
        new = [run.spec for run in plan.runs if run.spec.run_id not in plan.found]
        assert plan.tokens == sum(spec.tokens for spec in new)
        assert plan.flops == sum(spec.flops for spec in new)
        assert plan.seconds > plan.tokens / plan.tokens_per_second > 0
        run_study(study, searcher, store, InlineExecutor(Trainer()))
        done = first_plan(study, searcher, store, Ticking())
    assert (done.tokens, done.seconds, done.tokens_per_second) == (0, 0.0, None)


def test_a_study_of_which_no_run_comes_through_says_why(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)
    with Store(tmp_path) as store, pytest.raises(ExecutorError, match=r"none of 7 runs .*RuntimeError: lost"):
        run_study(study, study.searcher(), store, InlineExecutor(Trainer(lose=lambda spec: True)))


@pytest.mark.parametrize(("gpus", "device"), [(None, "auto"), (0, "cpu"), (1, "cuda")])
def test_gpus_asked_for_decide_the_device_without_ray_too(
    data_dir: Path, tmp_path: Path, gpus: int | None, device: str
) -> None:
    study = make_study(data_dir, tmp_path, executor={"kind": "inline", "gpus_per_run": gpus})
    assert study.runtime("run").device == device


def test_a_run_of_one_step_is_too_short_to_time(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)
    assert calibrate(study, study.spec(study.reference, 256, 0), Ticking()) is None


class Ticking:
    """A trainer that only reports progress, a batch at a time."""

    def __call__(self, spec: RunSpec, runtime: Any, progress: Callable[[int], None]) -> None:
        assert runtime.checkpoint_dir is None
        for step in range(spec.steps):
            progress((step + 1) * spec.optim.batch_tokens)


@pytest.mark.slow
def test_calibration_runs_the_real_model(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)
    speed = calibrate(study, study.spec(study.reference, 4000, 0))
    assert speed is not None
    assert 100 < speed < 1e9
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("seconds", "workers", "expected"), [([], 2, 0.0), ([3, 2, 1], 1, 6), ([3, 3, 2, 2, 2], 2, 7), ([5], 4, 5)]
)
def test_the_makespan_gives_the_longest_job_to_the_first_free_worker(seconds, workers, expected) -> None:
    assert makespan(seconds, workers) == expected


def test_the_library_form_is_light_to_import_and_lazy() -> None:
    heavy = "{'torch', 'ray', 'pandas', 'scipy'}"
    code = f"import sys, mixopt; mixopt.Mixture; mixopt.results.load; print({heavy} & sys.modules.keys())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"
    with pytest.raises(AttributeError, match="nothing"):
        _ = mixopt.nothing


def test_mistakes_of_a_study_are_named(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no prepared data"):
        _ = make_study(tmp_path / "none", tmp_path).manifest
    with pytest.raises(ConfigError, match=r"unknown preset 'gpt2-0\.3m'"):
        _ = make_study(data_dir, tmp_path, model="gpt2-0.3m").model
    with pytest.raises(ConfigError, match=r"vocab_size: 10 is below"):
        _ = make_study(data_dir, tmp_path, model={"vocab_size": 10}).model
    weights = tmp_path / "weights.yaml"
    weights.write_text("poems: 1.0")
    with pytest.raises(ConfigError, match="does not have 'poems'"):
        _ = make_study(data_dir, tmp_path, method={"reference": str(weights)}).reference
    with pytest.raises(ConfigError, match="did you mean `tokens`"):
        make_study(data_dir, tmp_path, training={"token": 3})
