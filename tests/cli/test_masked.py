"""Masked models through the command line: a study from its runs to its report, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mixopt.cli import main
from mixopt.results import load
from tests.cli.test_ddo import SMALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

MASKED = ["bert-nano" if word == "gpt2-0.2m" else word for word in SMALL]


def test_a_study_of_masked_models_beside_a_causal_one(mixopt: Callable[..., Result]) -> None:
    words = [*MASKED, "--set", "data.eval_only=words"]
    answer = json.loads(mixopt("ddo", "--data", "DATA", *words, "--quiet", "--json").stdout)
    assert len(answer["runs"]) == 5
    assert set(answer["weights"]) == {"chant", "arithmetic"}
    mixopt("ddo", "--data", "DATA", *SMALL, "--quiet")
    listed = mixopt("runs", "list").stdout
    header = listed.split("created")[0]
    assert {"mean", "masked", "loss"} <= set(header.split())
    assert "…" not in listed
    shown = mixopt("runs", "show", answer["runs"][0]).stdout
    assert "nats/masked token" in shown
    assert "perplexity" not in shown
    frame = load("results")
    masked = frame[frame["objective"] == "masked"]
    assert len(masked) == 5
    assert masked[[f"masked_loss.{name}" for name in ("chant", "arithmetic", "words")]].notna().all(axis=None)
    assert masked[[f"{kind}.chant" for kind in ("loss", "ppl", "bpb", "train_loss")]].isna().all(axis=None)
    table = mixopt("compare", "--data", "DATA", *words, "uniform", "natural", "--seeds", "1").stdout
    assert "loss, nats/masked token" in table
    mixopt("report", answer["study"], "--out", "page.html")
    assert "Losses are nats/masked token" in Path("page.html").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ddo", *SMALL, "--set", "training.whole_word=true"], "training.whole_word: only masked models"),
        (["ddo", *MASKED, "--set", "model.vocab_size=300"], "300 is below the 301 of the tokenizer"),
        (["compare", *MASKED, "--metric", "bits-per-byte"], "--metric bits-per-byte: 'uniform' is a masked model"),
    ],
)
def test_bad_input_gives_one_line_and_status_2(
    words: list[str], says: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["mixopt", *words, "--data", str(data_dir)])
    with pytest.raises(SystemExit) as raised:
        main()
    assert raised.value.code == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
