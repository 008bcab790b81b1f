"""The example scripts of experiments/, as users run them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
NUMBER = r"(\d\.\d+) \((\d+\.\d+|nan)\)"


def run(*command: object) -> str:
    threads = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **threads, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_plain_loop_goes_on_as_if_it_had_not_stopped(data_dir, tmp_path) -> None:
    script = (sys.executable, EXPERIMENTS / "online_torch.py", data_dir, "--policy", "odm", "--workers", "1")
    whole = run(*script, "--steps", 6, "--checkpoint", tmp_path / "whole.pt").splitlines()
    parts = run(*script, "--steps", 4, "--checkpoint", tmp_path / "parts.pt").splitlines()
    parts += run(*script, "--steps", 6, "--checkpoint", tmp_path / "parts.pt").splitlines()
    assert [line.split()[1] for line in whole] == list("123456")
    assert parts == whole
    weights = [[float(weight) for weight, _ in re.findall(NUMBER, line)] for line in whole]
    assert all(sum(row) == pytest.approx(1, abs=0.01) for row in weights)
    assert weights[-1] != weights[0]


def entries(folder: Path, step: int) -> list[dict[str, float]]:
    state = json.loads((folder / f"checkpoint-{step}" / "trainer_state.json").read_text())
    return [entry for entry in state["log_history"] if "loss" in entry]


@pytest.mark.slow
def test_trainer_on_two_processes_is_as_on_one_and_resumes(data_dir, tmp_path) -> None:
    script = (EXPERIMENTS / "online_hf.py", data_dir, "--policy", "odm", "--steps", 8)
    # --multi_gpu: accelerate's word for several processes; with --cpu it starts one, whatever --num_processes says.
    options = "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
    launch = (sys.executable, "-m", "accelerate.commands.launch", *options.split(), "--main_process_port", 0)
    run(sys.executable, *script, "--batch", 4, "--out", tmp_path / "one")
    run(*launch, *script, "--batch", 2, "--out", tmp_path / "two")
    one, two = (entries(tmp_path / name, 8) for name in ("one", "two"))
    assert len(one) == 8
    for left, right in zip(one, two, strict=True):
        assert left.keys() == right.keys()
        assert left == pytest.approx(right, rel=1e-3)
    mixtures = {tuple(value for key, value in entry.items() if key.startswith("mixture/")) for entry in two}
    assert len(mixtures) > 5

    saved = (tmp_path / "two" / "checkpoint-8" / "mixopt_online.json").read_text()
    for step in (6, 8):
        (tmp_path / "two" / f"checkpoint-{step}").rename(tmp_path / f"kept-{step}")
    run(*launch, *script, "--batch", 2, "--out", tmp_path / "two", "--resume")
    assert (tmp_path / "two" / "checkpoint-8" / "mixopt_online.json").read_text() == saved
    assert entries(tmp_path / "two", 8) == two
