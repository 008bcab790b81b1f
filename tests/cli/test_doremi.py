"""`mixopt doremi` through its command line, on real training in this process."""

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
    *("--data", "DATA", "--model", "gpt2-0.2m", "--tokens", "6k", "--max-epochs", "50", "--executor", "inline"),
    *("--set", "model.context=32", "--set", "model.layers=1", "--set", "training.batch_tokens=256"),
    *("--set", "evaluation.tokens_per_domain=512"),
]


def test_from_data_to_a_mixture_that_other_commands_take(mixopt: Callable[..., Result]) -> None:
    result = mixopt("doremi", *SMALL)
    assert "round 1 reference, seed 0: mean loss" in result.stderr
    assert "round 1 proxy, seed 0: mean loss" in result.stderr
    assert "DoReMi, eta 1, round 1; objective worst excess loss; 2 runs" in result.stdout
    assert "predicted for" not in result.stdout
    again = mixopt("doremi", *SMALL, "--json")
    assert "1 of 1 runs are in the table already" in again.stderr
    answer = json.loads(again.stdout)
    assert sum(answer["weights"].values()) == pytest.approx(1)
    path = answer["evidence"]["rounds"][0]
    assert len(path["tokens"]) == len(path["alpha"]["chant"]) == 23  # one a step
    assert path["average"]["chant"][-1] == pytest.approx(answer["weights"]["chant"])
    names = {Path(file).name for file in answer["files"]}
    assert names == {"recommendation.json", "mixture.png", "weights.png"}
    plan = json.loads(
        mixopt("train", "--mixture", f"doremi:{answer['study'][:6]}", *SMALL, "--dry-run", "--json").stdout
    )
    assert [run["role"] for run in plan["runs"]] == [f"target doremi:{answer['study'][:6]}"]
    mixopt("report", "--out", "page.html")
    page = Path("page.html").read_text()
    assert "DoReMi, eta 1, round 1" in page


def test_rounds_and_a_verification(mixopt: Callable[..., Result]) -> None:
    words = [*SMALL, "--tokens", "2k", "--reference", "uniform", "--rounds", "2", "--eta", "0.1"]
    result = mixopt("doremi", *words, "--set", "method.verify_seeds=2", "--verify", "--json", "--quiet")
    answer = json.loads(result.stdout)
    first, second = answer["evidence"]["rounds"]
    assert second["reference"] == first["answer"]
    assert any(sentence.startswith("not converged") for sentence in answer["warnings"])
    recommended = answer["verification"]["mixtures"]["recommended"]
    assert recommended["predicted"] is None
    assert len(recommended["measured"]["seeds"]) == 2
    assert result.stderr == ""


def test_a_dry_run_prints_the_first_round_and_leaves_nothing(mixopt: Callable[..., Result]) -> None:
    result = mixopt("doremi", *SMALL, "--reference", "uniform", "--dry-run")
    assert "round 1 reference" in result.stdout
    assert "then a proxy of their length held against each; up to 2 more such rounds" in result.stdout
    assert "1 run to train" in result.stdout
    assert list(Path().iterdir()) == []
    plan = json.loads(mixopt("doremi", *SMALL, "--dry-run", "--json").stdout)
    assert [run["role"] for run in plan["runs"]] == ["round 1 reference"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--eta", "0"], "method.eta: expected greater than 0"),
        (["--eta", "-1"], "expected greater than 0, found"),
        (["--smoothing", "1"], "method.smoothing: "),
        (["--rounds", "0"], "method.rounds: "),
        (["--reference", "none.yaml"], "none.yaml"),
        (["--reference", "zero.json"], "method.reference: "),
        (["--sampling", "zero.json"], "method.sampling: "),
        (["--set", "data.eval_only=[chant, words]"], "found 'arithmetic' alone"),
        (["--tokens", "10M"], "`round 1 reference` asks for"),
        (["--results", "file"], "cannot write"),
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
    Path("zero.json").write_text('{"chant": 0.5, "arithmetic": 0.5, "words": 0}')
    given = [word.replace("DATA", str(data_dir)) for word in SMALL]
    monkeypatch.setattr("sys.argv", ["mixopt", "doremi", *given, *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr()
    assert exit_.value.code == 2
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.splitlines()[-1].startswith("mixopt: error: ")
    assert "Traceback" not in captured.err
