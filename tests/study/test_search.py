"""What a study file says becomes a search: methods, designs, and an identity that older studies keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.history import empty_history
from mixopt.methods.names import command_of
from mixopt.methods.swarm.searcher import OneShot
from mixopt.study import Study
from mixopt.study.config_sections import MethodSection
from mixopt.study.resolution import shares_seen
from mixopt.study.search import SEARCHERS, search_config, searcher_of

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"training.batch_tokens": 256, "training.tokens": "4k", "training.max_epochs": 50}


def make_study(data_dir: Path, **method: Any) -> Study:
    flags = {f"method.{key}": value for key, value in method.items()}
    return Study.of(search_config(None, {"data.dir": str(data_dir), **SMALL, **flags}))


def searcher(data_dir: Path, **method: Any) -> OneShot:
    made = searcher_of(make_study(data_dir, **method))
    assert isinstance(made, OneShot)
    return made


def test_every_search_may_be_named_in_a_study_file():
    names = set(get_args(MethodSection.model_fields["name"].annotation))
    assert set(SEARCHERS) <= names
    assert command_of("gp") == "search --method gp"
    assert command_of("grid") == "grid"


def test_auto_is_what_a_file_that_names_no_search_gets(tmp_path: Path):
    template = tmp_path / "study.yaml"
    template.write_text("method: {name: ddo, runs: 20}")
    assert search_config(template, {}).method.name == "auto"
    assert search_config(template, {"method.name": "ddo"}).method.name == "ddo"
    template.write_text("method: {name: regmix}")
    assert search_config(template, {}).method.name == "regmix"
    template.write_text("method: {name: autoscale}")
    assert search_config(template, {}).method.name == "auto"


def test_settings_reach_the_search(data_dir: Path):
    made = searcher(
        data_dir, name="loglinear", runs=9, design="sobol", kl=0.05, pareto="mean_loss,worst", floor="0.3x"
    )
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
    study = Study.of(search_config(None, {**given, "method.name": "random", "method.target_tokens": "100k"}))
    made = searcher_of(study)
    assert isinstance(made, OneShot)
    most = max(proposal.mixture.to_dict()["chant"] for proposal in made.ask(empty_history()))
    assert most <= 4 * 500 / study.tokens + 1e-9
    assert made.bounds.caps[0] == pytest.approx(4 * study.corpus["chant"] / 100_000)


@pytest.mark.parametrize("design", ["dirichlet", "two-level", "sobol", "lattice"])
def test_mixtures_of_short_runs_differ_in_what_they_train(data_dir: Path, design: str):
    """As asked for 16 mixtures are different; in the whole sequences of such runs only some of them were."""
    flags = {"training.tokens": 2048, "method.name": "regmix", "method.runs": 21, "method.design": design}
    groups = {"a": ["chant", "words"]} if design == "two-level" else None
    study = Study.of(search_config(None, {"data.dir": str(data_dir), **SMALL, **flags, "method.groups": groups}))
    made = searcher_of(study)
    assert isinstance(made, OneShot)
    seen = np.array([shares_seen(study, proposal.mixture.array) for proposal in made.ask(empty_history())])
    assert len(np.unique(seen, axis=0)) == len(seen) >= 16
    assert np.abs(seen * study.tokens / study.sequence_length % 1).max() < 1e-9


def test_too_few_different_mixtures_are_refused_before_any_is_trained(data_dir: Path):
    short = {"data.dir": str(data_dir), **SMALL, "training.tokens": 256, "method.name": "regmix"}
    with pytest.raises(ConfigError, match="room for 6 different mixtures"):
        searcher_of(Study.of(search_config(None, short))).ask(empty_history())


def test_settings_of_searches_leave_older_studies_their_identity(data_dir: Path):
    config = {"batch_tokens": 256, "max_epochs": 50}
    plain = Study(data_dir, tokens="4k", training=config)
    named = Study(data_dir, tokens="4k", training=config, method={"kl": 0.0, "strengths": [0.1, 5], "runs": None})
    other = Study(data_dir, tokens="4k", training=config, method={"runs": 20})
    assert plain.study_id == named.study_id != other.study_id


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "grid", "design": "sobol"}, "lattice, found 'sobol'"),
        ({"name": "grid", "step": 0.5, "runs": 5}, "--step or --count"),
        ({"name": "random", "step": 0.5}, r"step: .*lattice"),
        ({"name": "loglinear", "groups": {"a": ["lint"]}}, r"'a' .*'lint'"),
        ({"name": "nothing"}, "--method: expected"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(data_dir: Path, method: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        _ = searcher(data_dir, **method).design
