"""`mixopt train` through its command line, on real training in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mixopt.cli import app, main
from mixopt.role import Role
from mixopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

SMALL = [
    *("--model", "gpt2-0.2m", "--tokens", "3k", "--max-epochs", "50", "--executor", "inline"),
    *("--set", "model.context=32", "--set", "model.layers=1", "--set", "training.batch_tokens=256"),
    *("--set", "evaluation.tokens_per_domain=512"),
]


@pytest.fixture
def mixopt(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `mixopt train` in an empty folder; `status` is how it is expected to end."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def run(*words: str, status: int = 0) -> Result:
        result = runner.invoke(app, ["train", "--data", str(data_dir), *SMALL, *words], catch_exceptions=False)
        assert result.exit_code == status, result.output
        return result

    return run


def test_a_mixture_is_trained_with_every_seed_and_kept(mixopt: Callable[..., Result]) -> None:
    from transformers import AutoModelForCausalLM

    words = ["--mixture", "natural", "--seeds", "2", "--keep", "--set", "data.eval_only=[words]"]
    first = mixopt(*words)
    assert "target natural, seed 1" in first.stderr
    assert "mean of training domains" in first.stdout
    assert "only measured" in first.stdout
    again = mixopt(*words, "--json")
    assert "2 of 2 runs are in the table already" in again.stderr
    answer = json.loads(again.stdout)
    assert (answer["mixture"], answer["tokens"], answer["seeds"]) == ("natural", 3072, [0, 1])
    assert sum(answer["weights"].values()) == pytest.approx(1)
    assert {name: part["trained"] for name, part in answer["domains"].items()} == {
        "chant": True, "arithmetic": True, "words": False,
    }  # fmt: skip
    assert sum(part["tokens"] for part in answer["domains"].values()) == 3072
    means = [answer["domains"][name]["loss"]["value"] for name in ("chant", "arithmetic")]
    assert answer["mean_loss"]["value"] == pytest.approx(sum(means) / 2)
    assert Path(answer["files"][0]).read_bytes().startswith(b"\x89PNG")
    for path in answer["models"]:
        assert path in first.stdout.replace("\n", "")
        assert AutoModelForCausalLM.from_pretrained(path).config.n_positions == 32


def test_a_killed_run_goes_on_from_its_checkpoint(
    mixopt: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mixopt.train import loop

    trained: list[int] = []
    step = loop._Run.train_step

    def counted(run: loop._Run) -> None:
        if len(trained) == 7:
            trained.append(0)
            raise KeyboardInterrupt
        step(run)
        trained.append(run.step)

    monkeypatch.setattr(loop._Run, "train_step", counted)
    words = ["--mixture", "uniform", "--set", "executor.checkpoint_seconds=1e-6"]
    mixopt(*words, status=130)
    result = mixopt(*words, "--json")
    assert trained == [*range(1, 8), 0, *range(8, 13)]
    assert json.loads(result.stdout)["tokens"] == 3072


def test_a_file_and_a_label_name_the_mixture(mixopt: Callable[..., Result]) -> None:
    Path("best.yaml").write_text("{chant: 0.25, words: 0.75}")
    answer = json.loads(mixopt("--mixture", "mine=best.yaml", "-q", "--json").stdout)
    assert answer["mixture"] == "mine"
    assert answer["weights"] == {"chant": 0.25, "arithmetic": 0.0, "words": 0.75}
    with Store("results", read_only=True) as store:
        (study,) = store.studies()
    assert study["runs"] == [(answer["runs"][0], Role("target", "mine"))]


def test_a_dry_run_prints_the_plan_and_leaves_nothing(mixopt: Callable[..., Result]) -> None:
    result = mixopt("--mixture", "uniform", "--seeds", "3", "--dry-run")
    assert "target uniform" in result.stdout
    assert "3 runs to train" in result.stdout
    assert list(Path().iterdir()) == []
    plan = json.loads(mixopt("--mixture", "uniform", "--seeds", "3", "--dry-run", "--json").stdout)
    assert plan["tokens"] == 3 * 3072


def test_a_model_that_was_not_kept_is_not_promised(mixopt: Callable[..., Result]) -> None:
    from mixopt.errors import ConfigError

    mixopt("--mixture", "uniform")
    with pytest.raises(ConfigError, match=r"--keep: run \w+ .*not kept; `mixopt runs"):
        mixopt("--mixture", "uniform", "--keep")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mixture", "none"], "'none': no such file"),
        (["--mixture", "uniform", "--seeds", "0"], "--seeds: "),
        (["--mixture", "uniform", "--tokens", "many"], "--tokens: "),
        (["--mixture", "uniform", "--tokens", "10M"], "`target uniform` asks for"),
        (["--mixture", "uniform", "--processes-per-run", "2"], "inline executor"),
        (["--mixture", "uniform", "--set", "executor.sharding=zero"], "executor.sharding: "),
        (["--mixture", "uniform", "--set", "data.eval_only=[poems]"], "unknown domain 'poems'"),
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
    monkeypatch.setattr("sys.argv", ["mixopt", "train", "--data", str(data_dir), *SMALL[:-2], *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr()
    assert exit_.value.code == 2
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.splitlines()[-1].startswith("mixopt: error: ")
    assert "Traceback" not in captured.err
