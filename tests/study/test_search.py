"""What a study file says becomes a search: methods, designs, and an identity that follows from the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.history import empty_history
from mixopt.methods.registry import method_named
from mixopt.methods.swarm.searcher import OneShot
from mixopt.study import Study, StudyConfig
from mixopt.study.study import problem_of

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"training.batch_tokens": 256, "training.tokens": "4k", "training.max_epochs": 50}


def make_study(data_dir: Path, **method: Any) -> Study:
    flags = {f"method.{key}": value for key, value in method.items()}
    return Study.of(StudyConfig.load(None, {"data.dir": str(data_dir), **SMALL, **flags}))


def searcher(data_dir: Path, **method: Any) -> OneShot:
    made = make_study(data_dir, **method).searcher()
    assert isinstance(made, OneShot)
    return made


def test_a_method_knows_its_command():
    assert method_named("gp").command_line == "search --method gp"
    assert method_named("grid").command_line == "grid"
    assert method_named("adso").command_line == "search --method adso"


def test_settings_reach_the_search(data_dir: Path):
    made = searcher(data_dir, name="loglinear", runs=9, design="sobol", kl=0.05, pareto="mean_loss,worst", floor="0.3x")
    assert made.settings.design.kind == "sobol"
    assert [objective.name for objective in made.settings.pareto] == ["mean_loss", "worst"]
    assert made.settings.kl == 0.05
    assert len(made.ask(empty_history())) == 9
    assert made.bounds.floors == pytest.approx([0.1] * 3)
    assert len(searcher(data_dir, name="auto").design) == 16
    assert searcher(data_dir, name="grid", step=0.25).settings.design.kind == "lattice"
    grouped = searcher(data_dir, name="gp", groups={"a": ["chant", "words"]})
    assert grouped.settings.design.kind == "two-level"


def test_runs_are_capped_by_what_proxies_see_and_answers_by_what_there_is(data_dir: Path):
    given = {"data.dir": str(data_dir), **SMALL, "training.max_epochs": 4, "data.unique_tokens": {"chant": 500}}
    study = Study.of(StudyConfig.load(None, {**given, "method.name": "random", "method.target_tokens": "100k"}))
    made = study.searcher()
    assert isinstance(made, OneShot)
    most = max(proposal.mixture.to_dict()["chant"] for proposal in made.ask(empty_history()))
    assert most <= 4 * 500 / study.tokens + 1e-9
    assert made.bounds.caps[0] == pytest.approx(4 * study.corpus["chant"] / 100_000)


@pytest.mark.parametrize("design", ["dirichlet", "two-level", "sobol", "lattice"])
def test_mixtures_of_short_runs_differ_in_what_they_train(data_dir: Path, design: str):
    """As asked for 16 mixtures are different; in the whole sequences of such runs only some of them were."""
    flags = {"training.tokens": 2048, "method.name": "regmix", "method.runs": 21, "method.design": design}
    groups = {"a": ["chant", "words"]} if design == "two-level" else None
    study = Study.of(StudyConfig.load(None, {"data.dir": str(data_dir), **SMALL, **flags, "method.groups": groups}))
    made = study.searcher()
    assert isinstance(made, OneShot)
    problem = problem_of(study)
    assert problem.training is not None
    seen = np.array(
        [problem.training.seen(proposal.mixture.array, study.tokens) for proposal in made.ask(empty_history())]
    )
    assert len(np.unique(seen, axis=0)) == len(seen) >= 16
    assert np.abs(seen * study.tokens / study.sequence_length % 1).max() < 1e-9


@pytest.mark.slow
def test_too_few_different_mixtures_are_refused_before_any_is_trained(data_dir: Path):
    short = {"data.dir": str(data_dir), **SMALL, "training.tokens": 256, "method.name": "regmix"}
    with pytest.raises(ConfigError, match="room for 6 different mixtures"):
        Study.of(StudyConfig.load(None, short)).searcher().ask(empty_history())


def test_a_study_s_identity_changes_with_what_changes_its_answer_alone(data_dir: Path):
    def study(**sections: Any) -> Study:
        training = {"batch_tokens": 256, "max_epochs": 50, **sections.pop("training", {})}
        return Study(data_dir, tokens="4k", training=training, **sections)

    plain = study()
    same = [
        study(method={"verify_seeds": 5}),
        study(method={"name": "ddo", "factors": [1 / 3, 3]}),
        study(method={"reference": "uniform"}, executor={"kind": "inline"}),
        study(training={"lr": plain.optim.lr}),
    ]
    assert {other.study_id for other in same} == {plain.study_id}
    others = [
        study(method={"factors": [2]}),
        study(method={"objective": "worst"}),
        study(method={"reference": "natural"}),
        study(method="regmix"),
        study(training={"max_epochs": 49}),
    ]
    assert len({plain.study_id, *(other.study_id for other in others)}) == 6


def test_a_file_of_weights_is_read_once(data_dir: Path, tmp_path: Path):
    """Edited while its study runs, it must not change where the answer is saved."""
    goal = tmp_path / "goal.yaml"
    goal.write_text("{chant: 0.5, words: 0.5}")
    study = Study(data_dir, tokens="4k", method={"objective": f"weighted:{goal}"})
    before = study.study_id
    goal.write_text("{chant: 0.1, words: 0.9}")
    assert study.study_id == before
    assert study.objective.weights.to_dict()["chant"] == 0.5
    assert Study.of(study.config).study_id != before


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "grid", "design": "sobol"}, "`method.design` for the method grid; it is an option of auto"),
        ({"name": "grid", "step": 0.5, "runs": 5}, "leave --step or --count out"),
        ({"name": "random", "step": 0.5}, "`method.step` for the method random; it is an option of grid"),
        ({"name": "loglinear", "groups": {"a": ["lint"]}}, "'a' names an unknown domain 'lint'"),
        ({"name": "nothing"}, "expected .* found 'nothing'"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(data_dir: Path, method: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        _ = searcher(data_dir, **method).design
