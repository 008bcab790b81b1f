"""Plans for clusters: GPU hours from FLOPs, on data that is not there yet; training refuses such data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mixopt.errors import ConfigError, DataError
from mixopt.execute.base import InlineExecutor
from mixopt.store import Store
from mixopt.study import Study, StudyConfig, run_study
from mixopt.study.config import ExecutorSection
from mixopt.study.expected import PEAK_TFLOPS, AssumedSpeed
from tests.execute.trainers import law
from tests.study.plans import first_plan

if TYPE_CHECKING:
    from pathlib import Path


def expecting(folder: Path, **executor: Any) -> Study:
    content = {
        "data": {"dir": str(folder / "data"), "expected": {"web": "10M", "code": "1M"}},
        "model": {"preset": "gpt2-1m", "vocab_size": 1024},
        "training": {"tokens": "1M", "batch_tokens": 2048},
        "executor": {"kind": "inline"} | executor,
        "results": str(folder / "results"),
    }
    return Study.of(StudyConfig.build(content, "test"))


def no_training(*_: Any) -> Any:
    raise AssertionError("nothing is trained for a plan that assumes a GPU")


def test_gpu_hours_are_flops_over_the_share_of_the_peak(tmp_path: Path) -> None:
    study = expecting(tmp_path, gpu="h100", mfu=0.5)
    plan = first_plan(study, study.searcher(), None, no_training)
    evaluated = sum(len(study.domains) * (4 * 2048 + 16384) / 3 for _ in plan.runs)
    flops = plan.flops + evaluated * study.model.flops_per_token(study.sequence_length)
    assert plan.gpu_hours == pytest.approx(flops / (0.5 * 989.4e12) / 3600)
    assert plan.assumed == "at 50 % of the 989.4 TFLOP/s of H100"
    assert not plan.prepared
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "given", [{"gpus_per_run": 4.0}, {"gpus_per_run": 0.25}, {"processes_per_run": 8, "kind": "ray"}]
)
def test_more_gpus_a_run_take_the_same_gpu_hours(tmp_path: Path, given: dict[str, Any]) -> None:
    alone, shared = expecting(tmp_path, gpu="A100"), expecting(tmp_path, gpu="A100", **given)
    plans = [first_plan(s, s.searcher(), None, no_training) for s in (alone, shared)]
    assert plans[1].gpu_hours == pytest.approx(plans[0].gpu_hours)
    gpus = next(iter(given.values()))
    assert plans[0].seconds / plans[1].seconds == pytest.approx(gpus)


def test_workers_share_the_time(tmp_path: Path) -> None:
    study = expecting(tmp_path, gpu="B200", workers=5)
    plan = first_plan(study, study.searcher(), None, no_training)
    assert plan.workers == 5
    alone = first_plan(expecting(tmp_path, gpu="B200"), study.searcher(), None, no_training)
    longest = max(run.spec.tokens for run in plan.runs) / sum(run.spec.tokens for run in plan.runs)
    assert plan.seconds == pytest.approx(alone.seconds * longest, rel=0.02)  # evaluations cost each run the same
    assert plan.gpu_hours == alone.gpu_hours


def test_training_waits_for_the_data(tmp_path: Path) -> None:
    study = expecting(tmp_path)
    with Store(tmp_path / "results") as store, pytest.raises(DataError, match="make it with `mixopt data prepare`"):
        run_study(study, study.searcher(), store, InlineExecutor(law))
    with pytest.raises(DataError, match="make it with `mixopt data prepare`"):
        first_plan(study, study.searcher(), None, no_training)


def test_prepared_data_is_used_whatever_was_expected(data_dir: Path, tmp_path: Path) -> None:
    content = {"data": {"dir": str(data_dir), "expected": {"web": "10M"}}, "results": str(tmp_path)}
    assert Study.of(StudyConfig.build(content, "test")).domains != ("web",)


def test_what_is_expected_needs_a_vocabulary(tmp_path: Path) -> None:
    content = {"data": {"dir": str(tmp_path / "none"), "expected": {"web": "10M"}}}
    with pytest.raises(ConfigError, match=r"model\.vocab_size"):
        _ = Study.of(StudyConfig.build(content, "test")).model


@pytest.mark.parametrize(("given", "message"), [("H10O", "expected H100, found 'H10O'"), ("mine", "expected A100, A")])
def test_unknown_gpus_are_told_the_known_ones(given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AssumedSpeed.of(ExecutorSection(gpu=given))


def test_no_gpu_named_times_this_machine() -> None:
    assert AssumedSpeed.of(ExecutorSection()) is None
    assert all(AssumedSpeed.of(ExecutorSection(gpu=name)) for name in PEAK_TFLOPS)
