"""AutoScale on a study: scales, targets, distinct tokens of proxies, identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mixopt.errors import ConfigError
from mixopt.history import empty_history
from mixopt.methods.autoscale.searcher import AutoScale
from mixopt.methods.base import Proposal
from mixopt.mixture import Mixture
from mixopt.study import Study
from mixopt.study.loop import plan_runs
from tests.study.plans import first_plan
from tests.study.test_study import make_study

if TYPE_CHECKING:
    from pathlib import Path

TRAINING = {"batch_tokens": 256, "sequence_length": 64, "max_epochs": 60}


def make(data_dir: Path, folder: Path, training: dict | None = None, tokens: int = 4096, **method: object) -> Study:
    return Study(
        data_dir,
        model="gpt2-0.2m",
        tokens=tokens,
        results=folder,
        training={**TRAINING, **(training or {})},
        executor={"kind": "inline"},
        method={"name": "autoscale", "target_tokens": "80k", **method},
    )


def scales_of(study: Study) -> tuple[int, ...]:
    searcher = study.searcher()
    assert isinstance(searcher, AutoScale)
    return tuple(ddo.design.tokens for ddo in searcher.ddos)


def test_without_scales_a_quarter_of_the_tokens_and_all(data_dir: Path, tmp_path: Path) -> None:
    study = make(data_dir, tmp_path, tokens=16384)
    assert scales_of(study) == (study.tokens // 4 // 256 * 256, study.tokens)


def test_scales_are_rounded_to_whole_batches_and_trained_in_the_designs_runs(data_dir: Path, tmp_path: Path) -> None:
    study = make(data_dir, tmp_path, scales="2000,8k")
    assert scales_of(study) == (2048, 7936)
    runs = plan_runs(study, study.searcher().ask(empty_history()))
    assert [run.spec.tokens for run in runs if run.role.kind == "base"] == [2048, 7936]
    assert len({run.spec.run_id for run in runs}) == 2 * (2 * len(study.domains) + 1)


def test_runs_are_those_of_ddo_at_each_scale(data_dir: Path, tmp_path: Path) -> None:
    """The same run ids, so that the table serves both."""
    study = make(data_dir, tmp_path, scales="2048,7936")
    ours = {run.spec.run_id for run in plan_runs(study, study.searcher().ask(empty_history()))}
    for tokens in (2048, 7936):
        alone = make(data_dir, tmp_path, tokens=tokens)
        theirs = {run.spec.run_id for run in plan_runs(alone, alone.under("ddo").searcher().ask(empty_history()))}
        assert theirs <= ours


def test_proxies_that_match_epochs_repeat_each_domain_as_often_as_the_target(data_dir: Path, tmp_path: Path) -> None:
    target = 240_000
    study = make(data_dir, tmp_path, scales="4096,16384", target_tokens=target, match_epochs=True)
    runs = plan_runs(study, study.searcher().ask(empty_history()))
    for run in runs:
        if run.role.kind != "base":
            continue
        limits = run.spec.data.unique_tokens
        assert limits is not None
        for domain, limit, weight in zip(study.domains, limits, run.spec.mixture.weights, strict=True):
            assert limit is not None
            at_target = target * weight / study.available[domain]
            assert run.spec.tokens * weight / limit == pytest.approx(at_target, rel=0.02)
    # All runs of a scale draw on the same distinct tokens.
    assert len({run.spec.data.unique_tokens for run in runs}) == 2


def test_the_target_and_the_scales_are_part_of_the_identity(data_dir: Path, tmp_path: Path) -> None:
    ids = {
        make(data_dir, tmp_path, **method).study_id
        for method in ({}, {"target_tokens": "90k"}, {"scales": "1k,4k"}, {"predictor": "joint"},
                       {"match_epochs": True})
    }  # fmt: skip
    assert len(ids) == 5


def test_limits_of_a_proposal_follow_its_domains_wherever_they_stand(data_dir: Path, tmp_path: Path) -> None:
    study = make(data_dir, tmp_path)
    backwards = tuple(reversed(study.domains))
    proposal = Proposal(Mixture.uniform(backwards), 2048, 0, "base", unique_tokens=(300, None, 500))
    (run,) = plan_runs(study, [proposal])
    assert dict(zip(run.spec.data.domains, run.spec.data.unique_tokens or (), strict=True)) == dict(
        zip(backwards, (300, None, 500), strict=True)
    )


def test_a_dry_run_counts_the_epochs_that_matched_proxies_go_through(data_dir: Path, tmp_path: Path) -> None:
    study = make(data_dir, tmp_path, scales="4096,16384", target_tokens=240_000, match_epochs=True)

    def trainer(spec: object, runtime: object, progress: Any = None) -> Any:
        for tokens in (256, 512):
            progress(tokens)

    plan = first_plan(study, study.searcher(), None, trainer)
    # In the run with three times the domain: a third of the target, thrice.
    for domain, tokens in study.corpus.items():
        assert plan.repeated[domain] == pytest.approx(3 * 80_000 / tokens, rel=0.02)


@pytest.mark.parametrize(
    ("method", "training", "message"),
    [
        ({"target_tokens": None}, {}, "--target 10B"),
        ({"scales": "2k,2k"}, {}, "equal scales"),
        ({"scales": "2000,2040"}, {}, "equal scales"),
        ({"scales": "4k"}, {}, "autoscale needs two or more"),
        ({"target_tokens": "10M"}, {"max_epochs": 2}, r"caps: they sum to .*, below 1"),
        ({"scales": "2k,50M"}, {}, "run `base at 50M` asks for"),
        ({"fit": "joint"}, {}, r"`method\.fit` for the method autoscale; it is an option of ddo"),
        ({"match_epochs": True, "target_tokens": "10M", "scales": "1k,4k"}, {"max_epochs": 1e4},
         r"match-epochs: .*'chant' .*\d distinct tokens"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_before_training(
    method: dict, training: dict, message: str, data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        make(data_dir, tmp_path, training, **method).searcher()


def test_two_limits_of_distinct_tokens_are_refused(data_dir: Path, tmp_path: Path) -> None:
    method = {"name": "autoscale", "target_tokens": "80k", "match_epochs": True}
    study = make_study(data_dir, tmp_path, method=method, training=TRAINING, data_limits={"words": "2k"})
    with pytest.raises(ConfigError, match=r"match-epochs: data.unique_tokens limits .* already"):
        study.searcher()
