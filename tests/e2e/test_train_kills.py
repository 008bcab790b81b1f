"""`mixopt train`, killed: the same command goes on from the checkpoint to the same numbers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from mixopt.store import Store

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [
    *(sys.executable, "-m", "mixopt", "train", "--mixture", "natural", "--executor", "inline", "--json", "-q"),
    *("--tokens", "40k", "--model", "gpt2-0.2m", "--max-epochs", "50", "--keep"),
    *(
        "--set",
        "model.context=32",
        "--set",
        "training.batch_tokens=256",
        "--set",
        "executor.checkpoint_seconds=0.2",
    ),
]


def start(folder: Path, data_dir: Path) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    pipe = subprocess.PIPE
    command = [*COMMAND, "--data", str(data_dir)]
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.mark.slow
def test_a_killed_target_ends_with_the_same_numbers(data_dir: Path, tmp_path: Path) -> None:
    whole = finish(start(tmp_path / "whole", data_dir))
    process = start(tmp_path / "broken", data_dir)
    while not list((tmp_path / "broken").glob("results/checkpoints/*/step-*/state.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    process.communicate()
    broken = finish(start(tmp_path / "broken", data_dir))

    assert broken["domains"] == whole["domains"]
    curves = []
    for folder, answer in ((tmp_path / "whole", whole), (tmp_path / "broken", broken)):
        with Store(folder / "results", read_only=True) as store:
            curves.append(store.get(answer["runs"][0])[1].curve)
    assert curves[0] == curves[1]
    (final,) = (tmp_path / "broken").glob("results/checkpoints/*")
    assert [path.name for path in final.iterdir()] == ["final"]
