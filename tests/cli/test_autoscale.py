"""`mixopt autoscale` and `mixopt recommend --method autoscale` through their command lines, on real training."""

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
    *("--model", "gpt2-0.2m", "--max-epochs", "50", "--executor", "inline"),
    *("--set", "model.context=32", "--set", "model.layers=1", "--set", "training.batch_tokens=128"),
    *("--set", "evaluation.points=1", "--set", "evaluation.tokens_per_domain=512"),
]
TWO = ["autoscale", "--data", "DATA", *SMALL, "--scales", "2k,8k", "--target", "60k"]
OPTIMA = "tokens,w.a,w.b\n200,0.5,0.5\n500,0.6,0.4\n"


@pytest.mark.slow
def test_from_data_to_a_target_again_from_the_table_and_from_its_export(mixopt: Callable[..., Result]) -> None:
    first = mixopt(*TWO)
    for words in ("Recommended mixture for 60k tokens", "Optimum at each scale", "geometric", "joint", "epochs"):
        assert words in first.stdout
    assert "14/14 runs done" in first.stderr

    again = mixopt(*TWO, "--json")
    assert "14 of 14 runs are in the table already" in again.stderr
    answer = json.loads(again.stdout)
    assert sum(answer["weights"].values()) == pytest.approx(1)
    assert len(answer["runs"]) == 14
    assert [scale["tokens"] for scale in answer["evidence"]["scales"]] == [2048, 7936]
    assert set(answer["evidence"]["predictors"]) == {"geometric", "joint"}
    files = {Path(file).name: Path(file) for file in answer["files"]}
    assert set(files) == {"recommendation.json", "mixture.png", "scaling.png", "law.png"}
    assert {file.parent for file in files.values()} == {Path("results/studies") / answer["study"]}
    assert json.loads(files["recommendation.json"].read_text())["weights"] == answer["weights"]

    # A third scale finds the runs of the others, and brings the hold-out check.
    third = mixopt(*(word.replace("2k,8k", "2k,4k,8k") for word in TWO))
    assert "14 of 21 runs are in the table already" in third.stderr
    assert "Hold-out: the optimum at 7.94k" in third.stdout
    assert "nearest scale" in third.stdout

    # What anybody's table of the same runs gives.
    mixopt("runs", "export", "runs.csv", "--study", answer["study"])
    found = json.loads(
        mixopt("recommend", "--method", "autoscale", "--runs", "runs.csv", "--target", "60k", "--json").stdout
    )
    assert [scale["tokens"] for scale in found["evidence"]["scales"]] == [2048, 7936]
    assert found["weights"] == pytest.approx(answer["weights"], abs=1e-3)
    assert Path("results/recommend/runs/scaling.png").stat().st_size


def test_a_dry_run_lists_the_runs_of_every_scale_and_leaves_nothing(mixopt: Callable[..., Result]) -> None:
    plan = json.loads(mixopt(*TWO, "--match-epochs", "--dry-run", "--json").stdout)
    assert [run["role"] for run in plan["runs"] if run["role"].startswith("base")] == ["base at 2.05k", "base at 7.94k"]
    assert len(plan["runs"]) == 14
    assert list(Path().iterdir()) == []


def test_optima_from_a_file_give_the_papers_example(mixopt: Callable[..., Result]) -> None:
    Path("optima.csv").write_text(OPTIMA)
    words = ["autoscale", "--from-optima", "optima.csv", "--target", "1300"]
    answer = json.loads(mixopt(*words, "--json").stdout)
    assert answer["weights"] == pytest.approx({"a": 9 / 13, "b": 4 / 13})
    shown = mixopt(*words).stdout
    assert "0.692" in shown
    assert "no predicted losses" in " ".join(shown.split())
    assert Path("results/recommend/optima/scaling.png").stat().st_size
    held = json.loads(mixopt(*words, "--pinned", "b", "--json", "--results", "elsewhere").stdout)
    assert held["weights"]["b"] == pytest.approx(0.4)
    assert Path("elsewhere/recommend/optima/recommendation.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "DATA"], "such as --target 10B; found none"),
        (["--data", "DATA", "--target", "soon"], "method.target_tokens: "),
        (["--data", "DATA", "--target", "60k", "--scales", "2k,2k"], "equal scales"),
        (["--data", "DATA", "--target", "60k", "--scales", "2k,much"], "method.scales: "),
        (["--data", "DATA", "--target", "60k", "--scales", "2k"], "autoscale needs two or more"),
        (["--data", "DATA", "--target", "60k", "--scales", "2k,8k", "--max-epochs", "0.5"], "caps: "),
        (["--data", "DATA", "--target", "60k", "--predictor", "best"], "'geometric' or 'joint'"),
        (["--data", "DATA", "--target", "60k", "--pinned", "a"], "--pinned: "),
        (["--from-optima", "optima.csv"], "--target 10B"),
        (["--from-optima", "optima.csv", "--target", "soon"], "--target: "),
        (["--from-optima", "none.csv", "--target", "9k"], "none.csv: cannot be read"),
        (["--from-optima", "optima.csv", "--target", "9k", "--pinned", "z"], "unknown domain 'z'"),
        (["--from-optima", "optima.csv", "--target", "9k", "--scales", "2k,8k"], "so --scales has no meaning"),
        (["--from-optima", "optima.csv", "--target", "9k", "--dry-run"], "so --dry-run has no meaning"),
        (["--from-optima", "optima.csv", "study.yaml"], "so study.yaml has no meaning"),
        (["--from-optima", "equal.csv", "--target", "9k"], "on line 2"),
    ],
)  # fmt: skip
def test_bad_input_gives_one_line_and_status_2(
    words: list[str],
    message: str,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("optima.csv").write_text(OPTIMA)
    Path("equal.csv").write_text(OPTIMA.replace("500", "200"))
    words = [word.replace("DATA", str(data_dir)) for word in words]
    settings = [] if "--from-optima" in words else ["--set", "model.context=32", "--set", "training.batch_tokens=128"]
    monkeypatch.setattr("sys.argv", ["mixopt", "autoscale", *settings, *words])
    assert message in _fails(capsys)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "such as --target 10B"),
        (["--target", "1M"], "one base run of 1k tokens"),
        (["--target", "1M", "--fit", "joint"], "--fit: an option of ddo"),
        (["--target", "1M", "--max-epochs", "4"], "--available is missing"),
    ],
)
def test_runs_that_do_not_do_give_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        "run,tokens,w.a,w.b,loss.a,loss.b",
        "base,1000,0.5,0.5,2,2",
        "up,2000,0.75,0.25,1.8,2",
        "low,2000,0.25,0.75,2,1.8",
    ]
    Path("runs.csv").write_text("\n".join(rows))
    monkeypatch.setattr("sys.argv", ["mixopt", "recommend", "--method", "autoscale", "--runs", "runs.csv", *words])
    assert message in _fails(capsys)


def _fails(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr()
    assert exit_.value.code == 2
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("mixopt: error: ")
    assert sum("error" in line for line in captured.err.splitlines()) == 1
    assert "Traceback" not in captured.err
    return captured.err
