"""`mixopt ddo` through its command line, on real training in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mixopt.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

SMALL = [
    *("--model", "gpt2-0.2m", "--tokens", "2k", "--max-epochs", "50", "--executor", "inline"),
    *("--set", "model.context=32", "--set", "model.layers=1", "--set", "training.batch_tokens=256"),
    *("--set", "evaluation.points=1", "--set", "evaluation.tokens_per_domain=512"),
]


def test_from_data_to_a_recommendation_and_again_from_the_table(mixopt: Callable[..., Result]) -> None:
    first = mixopt("ddo", "--data", "DATA", *SMALL)
    assert "Recommended mixture" in first.stdout
    assert "7/7 runs done" in first.stderr
    answer = json.loads(mixopt("ddo", "--data", "DATA", *SMALL, "--quiet", "--json").stdout)
    assert {"weights", "intervals", "predicted", "warnings", "runs", "study", "files"} <= answer.keys()
    assert sum(answer["weights"].values()) == pytest.approx(1)
    assert len(answer["runs"]) == 7
    assert {Path(file).name for file in answer["files"]} == {"recommendation.json", "mixture.png", "curves.png"}
    assert all(Path(file).stat().st_size for file in answer["files"])
    again = mixopt("ddo", "--data", "DATA", *SMALL)
    assert "7 of 7 runs are in the table already" in again.stderr
    assert again.stdout == first.stdout
    assert not list(Path("results/checkpoints").glob("*"))


def test_the_joint_law_takes_the_same_runs(mixopt: Callable[..., Result]) -> None:
    lines = json.loads(mixopt("ddo", "--data", "DATA", *SMALL, "--quiet", "--json").stdout)
    result = mixopt("ddo", "--data", "DATA", *SMALL, "--fit", "joint", "--json")
    assert "7 of 7 runs are in the table already" in result.stderr
    joint = json.loads(result.stdout)
    assert joint["method"].startswith("DDO, joint law ")
    assert sorted(joint["runs"]) == sorted(lines["runs"])
    assert joint["study"] != lines["study"]
    assert set(joint["evidence"]["joint"]["cross_validation"]) == {"additive", "per_domain"}


def test_verify_reports_predicted_against_measured(mixopt: Callable[..., Result]) -> None:
    words = ["ddo", "--data", "DATA", *SMALL, "--verify"]
    result = mixopt(*words)
    assert "Predicted against measured" in result.stdout
    answer = json.loads(mixopt(*words, "--json", "-q").stdout)
    mixtures = answer["verification"]["mixtures"]
    assert list(mixtures) == ["recommended", "uniform", "natural"]
    assert mixtures["uniform"]["measured"]["value"] > 1
    study = answer["study"]
    assert "verify natural" in result.stderr
    assert len(mixtures["natural"]["measured"]["seeds"]) == 3
    # Seven of the sweep, and three mixtures with three seeds that the sweep had not.
    runs = json.loads(mixopt("runs", "list", "--study", study[:6], "--json").stdout)
    assert sorted(run["seed"] for run in runs) == sorted([0] * 7 + [1, 2, 3] * 3)


def test_trained_models_are_kept_on_request(mixopt: Callable[..., Result]) -> None:
    from transformers import AutoModelForCausalLM

    mixopt("ddo", "--data", "DATA", *SMALL, "--set", "executor.keep_checkpoints=true")
    kept = sorted(Path("results/checkpoints").glob("*/final"))
    assert len(kept) == 7
    assert AutoModelForCausalLM.from_pretrained(kept[0]).config.n_positions == 32


def test_a_dry_run_prints_the_plan_and_leaves_nothing(mixopt: Callable[..., Result]) -> None:
    result = mixopt("ddo", "--data", "DATA", *SMALL, "--dry-run")
    assert "chant x3" in result.stdout
    assert "7 runs to train" in result.stdout
    assert list(Path().iterdir()) == []
    plan = json.loads(mixopt("ddo", "--data", "DATA", *SMALL, "--dry-run", "--json").stdout)
    assert len(plan["runs"]) == 7
    assert not any(run["found"] for run in plan["runs"])
    assert plan["tokens_per_second"] > 0


def test_init_writes_a_study_that_ddo_reads(mixopt: Callable[..., Result]) -> None:
    mixopt("init", "my.yaml")
    plan = mixopt("ddo", "my.yaml", "--data", "DATA", *SMALL, "--dry-run", "--json")
    assert len(json.loads(plan.stdout)["runs"]) == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "nowhere"], "no prepared data"),
        (["--data", "DATA", "--tokens", "10M"], "epochs of"),
        (["--data", "DATA", "--tokens", "few"], "training.tokens: "),
        (["--data", "DATA", "--model", "gpt2-9m"], "unknown preset 'gpt2-9m'; nearest"),
        (["--data", "DATA", "--reference", "none.yaml"], "none.yaml': no such file"),
        (["--data", "DATA", "--objective", "best"], "expected mean_ppl"),
        (["--data", "DATA", "--factors", "1"], "that differ from 1"),
        (["--data", "DATA", "--floor", "0.9"], "floors: "),
        (["--data", "DATA", "--fit", "curves"], "'lines' or 'joint'"),
        (["--data", "DATA", "--fit", "joint", "--preset", "paper"], "preset: 'paper' "),
        (["--data", "DATA", "--set", "model.layer=3"], "did you mean `layers`?"),
        (["--data", "DATA", "--set", "model.layers"], "--set: expected KEY=VALUE"),
        (["--data", "DATA", "--set", "training.batch_tokens=1000"], "batch_tokens: "),
        (["--data", "DATA", "--results", "file"], "cannot write"),
        (["--data", "DATA", "--gpus-per-run", "-1"], "gpus_per_run"),
        (["--data", "DATA", "--executor", "inline", "--set", "executor.device=cuda"], "a GPU was asked for"),
        (["--data", "DATA", "--ray-address", "127.0.0.1:1"], "Ray at 127.0.0.1:1 does not answer"),
        (["bad.yaml"], "`trainning`; did you mean `training`?"),
    ],
)
def test_bad_input_gives_one_line_and_status_2(
    words: list[str],
    message: str,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("bad.yaml").write_text("trainning: {}")
    words = [word.replace("DATA", str(data_dir)) for word in words]
    monkeypatch.setattr("sys.argv", ["mixopt", "ddo", "--tokens", "8k", "--set", "model.context=32", *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr()
    assert exit_.value.code == 2
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.splitlines()[-1].startswith("mixopt: error: ")
    assert sum("error" in line for line in captured.err.splitlines()) == 1
    assert "Traceback" not in captured.err
