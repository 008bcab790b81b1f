"""Checkpoints are told apart by their content, and one whose parts do not fit says so in one line."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from mixopt.errors import DataError
from mixopt.evaluate import checkpoint as checkpoints
from mixopt.evaluate import harness_setup

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(checkpoint, tmp_path / "copy")


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_a_model_predicts_is_read_from_its_config(copy: Path) -> None:
    assert checkpoints.check(copy) == "causal"
    edit(copy / "config.json", architectures=["BertForMaskedLM"])
    assert checkpoints.check(copy) == "masked"


def test_the_digest_is_that_of_the_content(checkpoint: Path, copy: Path) -> None:
    digest = checkpoints.digest(checkpoint)
    assert len(digest) == 16
    (copy / "README.md").write_text("what people write beside it")
    assert checkpoints.digest(copy) == digest
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content + b" ")
        assert checkpoints.digest(copy) != digest
        (copy / name).write_bytes(content)
    assert checkpoints.digest(copy) == digest


def test_padded_rows_fit(copy: Path) -> None:
    edit(copy / "config.json", vocab_size=1024)
    assert checkpoints.check(copy) == "causal"


@pytest.mark.parametrize(
    ("breakage", "line"),
    [
        (lambda folder: (folder / "config.json").unlink(), "found no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json: cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), r"config .* found list"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"expected weights \(model.safetensors\)"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "expected a tokenizer"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "the tokenizer cannot be read"),
        (lambda folder: edit(folder / "config.json", vocab_size=100), r"ids up to 299 .*100 rows"),
        (
            lambda folder: edit(folder / "config.json", architectures=["T5ForConditionalGeneration"]),
            "found T5ForConditionalGeneration",
        ),
    ],
)
def test_a_broken_checkpoint_gives_one_line(copy: Path, breakage: object, line: str) -> None:
    breakage(copy)  # type: ignore[operator]
    with pytest.raises(DataError, match=line) as caught:
        checkpoints.check(copy)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_other_than_the_datas_is_refused(checkpoint: Path, data_dir: Path, copy: Path) -> None:
    checkpoints.check_tokenizer(checkpoint, data_dir)
    content = json.loads((copy / "tokenizer.json").read_text())
    content["model"]["merges"] = content["model"]["merges"][:-1]
    (copy / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="tokenizer is not the one"):
        checkpoints.check_tokenizer(copy, data_dir)


@pytest.mark.parametrize("word", ["./nowhere", "/nowhere/at/all", "nowhere", "a/b/c"])
def test_no_such_folder(word: str) -> None:
    with pytest.raises(DataError, match=r"run's id, a folder .*hub"):
        checkpoints.find(word)


def test_a_name_on_the_hub_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(harness_setup, "unreachable", lambda: "no network")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=r"owner/model: .*hub does not answer"):
        checkpoints.find("owner/model")
