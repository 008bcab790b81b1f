"""The example scripts of experiments/, as users run them."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")]
NUMBER = r"(\d\.\d+) \((\d+\.\d+|nan)\)"


def run(*command: object) -> str:
    """A command's output."""
    threads = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **threads, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_here(monkeypatch: pytest.MonkeyPatch, script: Path, *arguments: object) -> None:
    """A script in this process, which has long imported what a new one takes seconds for."""
    monkeypatch.setattr(sys, "argv", [str(part) for part in (script, *arguments)])
    runpy.run_path(str(script), run_name="__main__")


def test_plain_loop_goes_on_as_if_it_had_not_stopped(data_dir, tmp_path, monkeypatch, capsys) -> None:
    script = (EXPERIMENTS / "online_torch.py", data_dir, "--policy", "odm", "--workers", "1")
    run_here(monkeypatch, *script, "--steps", 6, "--checkpoint", tmp_path / "whole.pt")
    whole = capsys.readouterr().out.splitlines()
    run_here(monkeypatch, *script, "--steps", 4, "--checkpoint", tmp_path / "parts.pt")
    parts = capsys.readouterr().out.splitlines()
    parts += run(sys.executable, *script, "--steps", 6, "--checkpoint", tmp_path / "parts.pt").splitlines()
    assert [line.split()[1] for line in whole] == list("123456")
    assert parts == whole
    weights = [[float(weight) for weight, _ in re.findall(NUMBER, line)] for line in whole]
    assert all(sum(row) == pytest.approx(1, abs=0.01) for row in weights)
    assert weights[-1] != weights[0]


def entries(checkpoint: Path) -> list[dict[str, float]]:
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    return [entry for entry in state["log_history"] if "loss" in entry]


def test_trainer_on_two_processes_is_as_on_one_and_resumes(data_dir, tmp_path, monkeypatch) -> None:
    script = (EXPERIMENTS / "online_hf.py", data_dir, "--policy", "odm", "--steps", 8)
    run_here(monkeypatch, *script, "--batch", 4, "--out", tmp_path / "one")
    # --multi_gpu: accelerate's word for several processes; with --cpu it starts one, whatever --num_processes says.
    options = "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
    launch = (sys.executable, "-m", "accelerate.commands.launch", *options.split(), "--main_process_port", 0)
    twice = (Path(__file__).with_name("run_again.py"), tmp_path / "two", tmp_path, "6,8")
    run(*launch, *twice, *script, "--batch", 2)

    one = entries(tmp_path / "one" / "checkpoint-8")
    two, resumed = (entries(folder / "checkpoint-8") for folder in (tmp_path, tmp_path / "two"))
    assert len(one) == 8
    for left, right in zip(one, two, strict=True):
        assert left.keys() == right.keys()
        assert left == pytest.approx(right, rel=1e-3)
    mixtures = {tuple(value for key, value in entry.items() if key.startswith("mixture/")) for entry in two}
    assert len(mixtures) > 5
    assert resumed == two
    saved = [folder / "checkpoint-8" / "mixopt_online.json" for folder in (tmp_path, tmp_path / "two")]
    assert saved[0].read_text() == saved[1].read_text()
