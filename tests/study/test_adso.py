"""ADSO on a study: its scales and their costs, interruption, and the command's plan."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from mixopt.cli import app
from mixopt.errors import ConfigError
from mixopt.execute.base import InlineExecutor
from mixopt.methods.adso.searcher import Adso
from mixopt.store import Store
from mixopt.study import run_study
from tests.study.test_study import Trainer, make_study

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.methods.adso.scales import Ladder
    from mixopt.study import Study

SIZES = {"name": "adso", "sizes": ["gpt2-0.2m", "gpt2-0.4m"], "scales": ["1k", "4k"], "budget": "2.5x", "batch": 3}


def adso_study(data_dir: Path, results: Path, **method: Any) -> Study:
    return make_study(data_dir, results, method={**SIZES, **method})


def ladder_of(study: Study) -> Ladder:
    searcher = study.searcher()
    assert isinstance(searcher, Adso)
    return searcher.ladder


def test_the_largest_size_and_the_most_tokens_are_the_target(data_dir: Path, tmp_path: Path) -> None:
    study = adso_study(data_dir, tmp_path)
    assert study.config.model.preset == "gpt2-0.4m"
    assert study.tokens == 4096
    ladder = ladder_of(study)
    assert [(scale.model, scale.tokens) for scale in ladder.scales] == [
        ("gpt2-0.2m", 1024),
        ("gpt2-0.4m", 1024),
        ("gpt2-0.2m", 4096),
        ("gpt2-0.4m", 4096),
    ]
    target = study.spec(study.natural, 4096, seed=0)
    cheap = study.sized("gpt2-0.2m").spec(study.natural, 1024, seed=0)
    assert ladder.scales[0].cost == pytest.approx(cheap.flops / target.flops)
    assert ladder.scales[0].parameters == cheap.model.parameters
    assert cheap.model.vocab_size == target.model.vocab_size


def test_a_study_of_its_own_size_is_itself(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)
    assert study.sized(None) is study
    assert study.sized("gpt2-0.2m") is study


def test_baselines_train_at_fewer_scales(data_dir: Path, tmp_path: Path) -> None:
    lengths = {"name": "tokens-only", "scales": ["1k", "4k"]}
    tokens_only = ladder_of(make_study(data_dir, tmp_path, model="gpt2-0.4m", method=lengths))
    assert {scale.model for scale in tokens_only.scales} == {"gpt2-0.4m"}
    assert len(tokens_only.scales) == 2
    single = ladder_of(make_study(data_dir, tmp_path, method="single-fidelity"))
    assert single.costs.tolist() == [1.0]
    for method in ({"name": "tokens-only"}, {"name": "adso", "sizes": ["gpt2-0.4m"]}):
        with pytest.raises(ConfigError, match=f"{method['name']}: expected two scales or more, found one"):
            ladder_of(make_study(data_dir, tmp_path, method={**method, "scales": ["4k"]}))


@pytest.mark.slow
@pytest.mark.parametrize("budget", [1.6, 4.6])
def test_an_interrupted_study_ends_as_one_that_was_not(data_dir: Path, tmp_path: Path, budget: float) -> None:
    answers = []
    for name, stops in (("whole", [None]), ("parts", [3, 2, None])):
        study = adso_study(data_dir, tmp_path / name, budget=budget)
        searcher = study.searcher()
        for stop in stops:
            trainer = Trainer(stop_after=stop)
            with Store(tmp_path / name) as store:
                if stop is not None:
                    with pytest.raises(KeyboardInterrupt):
                        run_study(study, searcher, store, InlineExecutor(trainer))
                    continue
                answers.append(run_study(study, searcher, store, InlineExecutor(trainer)))
                sizes = {spec["parameters"] for spec in store.rows()}
                roles = [str(role) for found in store.studies() for _, role in found["runs"]]
        assert len(sizes) == 2
        # Runs this short round their mixtures coarsely, and the baseline comes once all the same.
        assert sum("the baseline to beat" in role for role in roles) == (budget > 4)
    assert answers[0].to_dict() == answers[1].to_dict()
    assert budget - 0.6 < answers[0].evidence.spent <= budget


def test_points_of_learning_curves_reach_the_searcher(data_dir: Path, tmp_path: Path) -> None:
    study = adso_study(data_dir, tmp_path)
    spec = study.spec(study.natural, 4096, seed=0)
    trainer = Trainer()
    result = trainer(spec, study.runtime(spec.run_id))
    losses = list(result.losses().values())
    points = {
        "step": [4] * 3 + [8] * 2 + [16] * 3,
        "tokens": [1024] * 3 + [2048] * 2 + [4096] * 3,
        "split": ["validation"] * 8,
        "domain": [*study.domains, *study.domains[:2], *study.domains],
        "loss": [9.0, 8.0, 7.0, 6.0, 6.0, *losses],
    }
    with Store(tmp_path) as store:
        assert store.history([], curves=True).curves is not None
        store.record(spec, replace(result, curve=points))
        history = store.history(curves=True)
        assert store.history().curves is None
    # The point that lacks a domain is left out.
    assert history.curves is not None
    assert history.curves.tokens.tolist() == [1024, 4096]
    assert history.curves.losses[0].tolist() == [9.0, 8.0, 7.0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--budget", "0.5"], "budget"),
        (["--sizes", "gpt2-0.2m,gpt2-9m"], "unknown preset 'gpt2-9m'"),
        (["--scales", "4k,4100"], "is there twice"),
    ],
)
def test_mistakes_get_one_line(data_dir: Path, tmp_path: Path, flags: list[str], message: str) -> None:
    command = ["search", "--method", "adso", "--data", str(data_dir), "--results", str(tmp_path), "--dry-run"]
    result = CliRunner().invoke(app, [*command, "--set", "training.batch_tokens=256", *flags])
    assert result.exit_code != 0
    assert message in str(result.exception) + result.output


def test_the_plan_shows_scales_costs_and_the_initial_design(data_dir: Path, tmp_path: Path) -> None:
    command = ["search", "--method", "adso", "--data", str(data_dir), "--results", str(tmp_path), "--dry-run"]
    command += ["--sizes", "gpt2-0.2m,gpt2-0.4m", "--scales", "1k,4k", "--budget", "3x", "--executor", "inline"]
    settings = ["training.batch_tokens=256", "training.max_epochs=50", "executor.gpu=A100"]
    for setting in settings:
        command += ["--set", setting]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    for expected in ("4.1k tokens (target): costs 1 target runs", "budget: 3 target runs", "initial design"):
        assert expected in result.output
    as_json = CliRunner().invoke(app, [*command, "--json"])
    assert all(run["tokens"] == 1024 for run in json.loads(as_json.output)["runs"])
