"""`mixopt compare` through its command line, on real training in this process."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mixopt.cli import main
from mixopt.errors import ConfigError, DataError, StoreError
from mixopt.results import load_comparison

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

SMALL = [
    *("--model", "gpt2-0.2m", "--tokens", "4k", "--max-epochs", "50", "--executor", "inline"),
    *("--set", "model.context=32", "--set", "model.layers=1", "--set", "training.batch_tokens=256"),
    *("--set", "evaluation.tokens_per_domain=256"),
]


def test_missing_mixtures_are_trained_and_then_found(mixopt: Callable[..., Result]) -> None:
    Path("mine.yaml").write_text("chant: 0.2\narithmetic: 0.5\nwords: 0.3\n")
    words = ["compare", "mine.yaml", "natural", "--data", "DATA", *SMALL, "--seeds", "2"]
    first = mixopt(*words)
    assert "3 mixtures, 4.1k tokens, 2 seeds" in first.stdout
    assert "6/6 runs done" in first.stderr
    content = json.loads(mixopt(*words, "-q", "--format", "json", "--no-plots").stdout)
    assert list(content["entries"]) == ["uniform", "mine", "natural"]
    assert content["baselines"] == ["uniform", "natural"]
    assert len(content["entries"]["mine"]["curve"]["tokens"]) == 16  # a point a step: fewer steps than points
    folder = Path("results/comparisons") / content["id"]
    assert {path.suffix for path in folder.iterdir()} == {".json", ".md", ".csv", ".tex", ".png"}
    found = load_comparison(folder)
    assert found.entries["mine"].weights == {"chant": 0.2, "arithmetic": 0.5, "words": 0.3}
    for entry in found.entries.values():
        assert entry.curve is not None
        assert entry.curve.comparable
        # The last point is the final value, bit for bit.
        assert tuple(values[-1] for values in entry.curve.values) == entry.objective.seeds
    again = mixopt(*words, "--no-plots")
    assert "6 of 6 runs are in the table already" in again.stderr
    assert again.stdout.split("wrote")[0] == first.stdout.split("wrote")[0]


def test_runs_that_are_there_are_compared_without_the_data(mixopt: Callable[..., Result]) -> None:
    words = ["compare", "uniform", "natural", "--data", "DATA", *SMALL, "--seeds", "2", "-q"]
    trained = json.loads(mixopt(*words, "--format", "json").stdout)
    runs = [run for entry in trained["entries"].values() for run in entry["runs"]]
    compared = mixopt("compare", *(run[:9] for run in runs), "--format", "csv", "--out", "out")
    rows = list(csv.DictReader(io.StringIO(compared.stdout)))
    (row,) = [row for row in rows if (row["row"], row["mixture"]) == ("perplexity", "natural")]
    assert float(row["value"]) == trained["entries"]["natural"]["mean_ppl"]["value"]
    assert load_comparison("out").id == trained["id"]


def test_a_study_file_may_stand_among_the_mixtures(mixopt: Callable[..., Result], data_dir: Path) -> None:
    Path("study.yaml").write_text(
        f"data: {data_dir}\nmodel: {{preset: gpt2-0.2m, context: 32, layers: 1}}\nexecutor: inline\n"
        "training: {tokens: 2k, batch_tokens: 256, max_epochs: 50}\nevaluation: {tokens_per_domain: 256}\n"
        "method: {objective: worst}\n"
    )
    Path("data.yaml").write_text("chant: 0.5\nwords: 0.5\n")
    result = mixopt("compare", "half=data.yaml", "study.yaml", "--seeds", "1", "--format", "markdown", "-q")
    assert "2 mixtures, 2.05k tokens, 1 seed; objective worst" in result.stdout
    assert re.search(r"\| +\| +uniform \| +half \|", result.stdout)
    with pytest.raises(ConfigError, match=r"one study file.*study.yaml and study.yaml"):
        mixopt("compare", "study.yaml", "study.yaml")


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["nonsense", "--data", "DATA"], ConfigError, "mixture 'nonsense': no such file"),
        (["uniform", "natural", "--data", "nowhere"], DataError, "nowhere: no prepared data here"),
        (["3fa9", "81c0"], StoreError, "no results table at"),
        (["uniform", "--data", "DATA"], ConfigError, "expected two mixtures or more to compare, found uniform"),
        (["--format", "xml"], ConfigError, "--format: expected terminal, markdown, csv, latex, json, found 'xml'"),
        (["--metric", "bpb"], ConfigError, "--metric: expected perplexity, bits-per-byte, found 'bpb'"),
        (["uniform", "natural", "--tokens", "lots"], ConfigError, "--tokens: expected a count such as 800k"),
        (["a=uniform", "a=natural", "--data", "DATA"], ConfigError, "two mixtures are called 'a'"),
        (["uniform", "--seeds", "0"], ConfigError, "--seeds: expected at least 1, found 0"),
        (["gone.yaml", "--data", "DATA"], ConfigError, "mixture 'gone.yaml': no such file"),
    ],
)
def test_a_mistake_gives_one_line(
    mixopt: Callable[..., Result], words: list[str], error: type[Exception], message: str
) -> None:
    small = [] if "--tokens" in words else SMALL
    with pytest.raises(error, match=r"^[^\n]*$") as caught:
        mixopt("compare", *words, *small)
    assert message in str(caught.value)


def test_no_train_refuses_what_was_asked_for_and_is_not_there(mixopt: Callable[..., Result]) -> None:
    mixopt("compare", "uniform", "natural", "--data", "DATA", *SMALL, "--seeds", "1", "-q", "--no-plots")
    words = ["compare", "--data", "DATA", *SMALL, "--no-train", "-q", "--no-plots"]
    shown = mixopt(*words, "--seeds", "2").stdout
    assert "warning: 'uniform': the table has no run of seed 1 (--no-train)" in shown
    with pytest.raises(ConfigError, match="'uniform': none of its 3 runs"):
        mixopt(*words, "uniform", "natural", "--tokens", "8k")
    with pytest.raises(ConfigError, match=r"found none; .*--no-train"):
        mixopt(*words, "--tokens", "8k")


def test_the_exit_status_is_two(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mixopt", "compare", "3fa9", "81c0"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("mixopt: error: no results table at results/mixopt.db")
