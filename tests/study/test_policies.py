"""Online policies as they are asked for, and the runs that train with them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.policy import make_policy
from mixopt.role import Role
from mixopt.spec import RunSpec
from mixopt.study.loop import plan_targets
from mixopt.study.policies import PolicyAsked, plan_policies
from tests.study.test_target import make_study

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.study import Study


@pytest.fixture
def study(data_dir: Path, tmp_path: Path) -> Study:
    """Runs of 4,000 tokens have 16 steps of 8 sequences of 32 tokens."""
    return make_study(data_dir, tmp_path)


def planned(study: Study, name: str, **options: Any) -> RunSpec:
    (run,) = plan_policies(study, {"it": PolicyAsked(name, options=options)}, 4000, (0,))
    assert run.role == Role("target", "it")
    return run.spec


@pytest.mark.parametrize(
    ("word", "asked"),
    [
        ("ado", PolicyAsked("ado")),
        ("ado:paper", PolicyAsked("ado", options={"preset": "paper"})),
        (
            "ado:paper,s=1,refit=false@uniform",
            PolicyAsked("ado", "uniform", {"preset": "paper", "s": 1, "refit": False}),
        ),
        ("odm:code@mix.yaml", PolicyAsked("odm", "mix.yaml", {"variant": "code"})),
        ("odm:smoothing=0.5", PolicyAsked("odm", options={"smoothing": 0.5})),
        ("custom:function=mine:mixture", PolicyAsked("custom", options={"function": "mine:mixture"})),
    ],
)
def test_a_word_names_a_policy_its_options_and_its_prior(word: str, asked: PolicyAsked) -> None:
    assert PolicyAsked.is_word(word)
    assert PolicyAsked.parse(word) == asked


@pytest.mark.parametrize("word", ["uniform", "static", "ddo:3fa9", "ado=uniform", "adopt", "pile-doremi", "3fa9"])
def test_mixtures_and_runs_are_no_policies(word: str) -> None:
    assert not PolicyAsked.is_word(word)


def test_options_that_follow_from_the_run_are_filled_in(study: Study) -> None:
    assert planned(study, "ado").policy.options == {"total_steps": 16, "tokens_per_sample": 32}
    assert planned(study, "odm").policy.options == {"total_steps": 16}
    pieces = '[[1000, {"chant": 1.0}]]'
    assert planned(study, "schedule", pieces=pieces).policy.options == {"tokens_per_step": 256, "pieces": pieces}
    assert planned(study, "ado", total_steps=60_000, s=1.0).policy.options == {
        "total_steps": 60_000, "tokens_per_sample": 32, "s": 1.0,
    }  # fmt: skip


def test_a_variant_that_is_the_default_makes_the_same_run(study: Study) -> None:
    assert planned(study, "ado", preset="robust") == planned(study, "ado")
    assert planned(study, "odm", variant="paper") == planned(study, "odm")
    assert planned(study, "ado", preset="paper").run_id != planned(study, "ado").run_id


def test_a_static_policy_is_the_target_of_its_prior(study: Study) -> None:
    (fixed,) = plan_targets(study, {"natural": study.natural}, 4000, (0,))
    assert planned(study, "static") == fixed.spec


def test_seeds_pair_up_and_curves_are_those_of_targets(study: Study) -> None:
    asked = {"ado": PolicyAsked(), "odm": PolicyAsked("odm", Mixture.uniform(study.domains))}
    runs = plan_policies(study, asked, 4000, (0, 3))
    assert [(str(run.role), run.spec.seed) for run in runs] == [
        ("target ado", 0), ("target ado", 3), ("target odm", 0), ("target odm", 3),
    ]  # fmt: skip
    assert runs[0].spec.mixture == study.natural
    assert runs[2].spec.mixture == Mixture.uniform(study.domains)
    assert {run.spec.evaluation.points for run in runs} == {20}


def test_a_planned_policy_survives_json_and_can_be_made(study: Study) -> None:
    spec = planned(study, "ado", preset="official", gamma2=0.5, refit=True)
    again = RunSpec.from_json(spec.to_json())
    assert (again, again.run_id) == (spec, spec.run_id)
    assert make_policy(again.policy.name, again.mixture, dict(again.policy.options)).weights(0).shape == (3,)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adoo", {}, r"policy: expected ado .*found 'adoo'"),
        ("ado", {"preset": "best"}, r"ado: preset: .*found 'best'"),
        ("ado", {"gama1": 0.1}, r"ado: .*'gama1'.*nearest: gamma1"),
        ("ado", {"refit_interval": 0}, r"ado: refit_interval: .*found 0"),
        ("ado", {"delta_min": 0.5}, r"ado: delta_min: .*found 0\.5"),
        ("ado", {"max_drift": math.inf}, r"policy ado: max_drift: .*finite"),
        ("ado", {"s": [1, 2]}, r"policy ado: s: .*found \[1, 2\]"),
        ("odm", {"interval": 0}, r"odm: interval: .*found 0"),
        ("odm", {"preset": "paper"}, r"policy odm: .*'preset'"),
        ("schedule", {"pieces": "half"}, "schedule: pieces: expected JSON"),
        ("custom", {}, r"policy custom: .*'function'"),
        ("custom", {"function": "nowhere:mixture"}, r"custom policy: function nowhere:mixture"),
    ],
)
def test_mistakes_are_found_before_training(study: Study, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        planned(study, name, **options)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("ado:paper,quick", "OPTION=VALUE, found 'quick'"),
        ("custom:paper", "expected OPTION=VALUE, found 'paper'"),
        ("ado:s=[", r"policy: s: '\[' .*YAML"),
        ("Ado!", r"policy: expected ado .*found 'Ado!'"),
    ],
)
def test_words_that_are_not_understood_say_how_they_are_written(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PolicyAsked.parse(word)


def test_a_prior_that_is_not_there_is_named(study: Study) -> None:
    with pytest.raises(ConfigError, match="mixture 'none': no such file"):
        plan_policies(study, {"ado": PolicyAsked(prior="none")}, 4000, (0,))
