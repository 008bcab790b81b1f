"""`mixopt train`, killed: the same command goes on from the checkpoint to the same numbers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from mixopt.cli import app
from mixopt.store import Store

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [
    *("train", "--mixture", "natural", "--executor", "inline", "--json", "-q"),
    *("--tokens", "40k", "--model", "gpt2-0.2m", "--max-epochs", "50", "--keep"),
    *("--set", "model.context=32", "--set", "training.batch_tokens=256"),
    *("--set", "executor.checkpoint_seconds=0.2"),
]


@pytest.mark.slow
def test_a_killed_target_ends_with_the_same_numbers(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(folder: Path) -> dict[str, Any]:
        monkeypatch.chdir(folder)
        result = CliRunner().invoke(app, [*COMMAND, "--data", str(data_dir)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    pipe, command = subprocess.PIPE, [sys.executable, "-m", "mixopt", *COMMAND, "--data", str(data_dir)]
    process = subprocess.Popen(command, cwd=tmp_path / "broken", stdout=pipe, stderr=pipe, text=True)
    while not list((tmp_path / "broken").glob("results/checkpoints/*/step-*/state.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    process.communicate()
    whole, broken = run(tmp_path / "whole"), run(tmp_path / "broken")

    assert broken["domains"] == whole["domains"]
    curves = []
    for folder, answer in ((tmp_path / "whole", whole), (tmp_path / "broken", broken)):
        with Store(folder / "results", read_only=True) as store:
            curves.append(store.get(answer["runs"][0])[1].curve)
    assert curves[0] == curves[1]
    (final,) = (tmp_path / "broken").glob("results/checkpoints/*")
    assert [path.name for path in final.iterdir()] == ["final"]
