"""`mixopt ddo` on Ray, killed in every way: in the end there is the table of one process, and nothing is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from typer.testing import CliRunner

from mixopt.cli import app
from mixopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.ray, pytest.mark.slow]

COMMAND = [
    *("ddo", "--model", "gpt2-0.2m", "--tokens", "6k", "--max-epochs", "50", "--json"),
    *("--set", "model.context=32", "--set", "training.batch_tokens=64", "--set", "evaluation.points=2"),
    *("--set", "evaluation.tokens_per_domain=512", "--set", "executor.checkpoint_seconds=0.2"),
]


class Driver:
    """A `mixopt ddo` in its own session, as a terminal would start it."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        self.folder, self.began = folder, time.time()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mixopt", *COMMAND, "--data", str(data_dir)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, there: Callable[[], bool]) -> None:
        while not there():
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)

    def finished_runs(self) -> int:
        if not (self.folder / "results" / "mixopt.db").exists():
            return 0
        with Store(self.folder / "results", read_only=True) as store:
            return len(store.rows(status="finished"))

    def trains(self) -> bool:
        """Whether it has written a checkpoint."""
        written = self.folder.glob("results/checkpoints/*/step-*/state.json")
        return any(file.stat().st_mtime > self.began for file in written)

    def workers(self) -> list[psutil.Process]:
        """Ray's processes that train."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [process for process in below if process.name().startswith("ray::Worker")]

    def everything(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def ray_folder(self) -> Path:
        """Where its Ray keeps its files, as the commands of its processes say."""
        commands = [" ".join(process.cmdline()) for process in self.everything()]
        (folder,) = {found for command in commands for found in re.findall(r"/tmp/mixopt-ray-\d+-\w+", command)}
        return Path(folder)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate()
        return self.process.returncode, out, err


def numbers(folder: Path) -> dict[str, tuple[object, ...]]:
    """What a table measured, without times."""
    with Store(folder / "results", read_only=True) as store:
        return {
            row["run_id"]: (row["status"], store.get(row["run_id"])[1].domains, store.get(row["run_id"])[1].curve)
            for row in store.rows()
        }


def test_whatever_is_killed_the_same_command_goes_on_to_the_same_table(data_dir: Path, tmp_path: Path) -> None:
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    broken.mkdir()
    unbroken.mkdir()

    # The driver is killed: its workers go with it, and its folder stays.
    driver = Driver(broken, data_dir)
    driver.wait_for(lambda: driver.finished_runs() >= 1 and driver.trains())
    left = driver.ray_folder()
    # Ray's two agents do no work, and end by themselves a minute after their server is gone.
    started = [process for process in driver.everything() if not process.name().endswith("Agent")]
    driver.process.send_signal(signal.SIGKILL)
    driver.end()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert alive == []
    finished = driver.finished_runs()
    assert finished >= 1
    assert left.exists()
    time.sleep(2)  # a folder this young could belong to a driver that is just starting

    # Ctrl-C: nothing is left, of the killed one neither.
    driver = Driver(broken, data_dir)
    driver.wait_for(lambda: driver.finished_runs() > finished)
    started, own = driver.everything(), driver.ray_folder()
    os.killpg(driver.process.pid, signal.SIGINT)  # a terminal interrupts the whole group
    status, out, err = driver.end()
    assert status == 130
    assert out == ""
    assert err.splitlines()[-1] == "mixopt: interrupted; what is finished is kept, the same command goes on from there"
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(started, timeout=60)
    assert alive == []
    assert driver.finished_runs() > finished
    assert not own.exists()
    assert not left.exists()

    # Its workers are killed: they are replaced.
    driver = Driver(broken, data_dir)
    driver.wait_for(driver.trains)
    own = driver.ray_folder()
    for worker in driver.workers():
        worker.send_signal(signal.SIGKILL)
    status, out, err = driver.end()
    assert status == 0, err
    assert "trying again from its checkpoint (the worker's process died" in err
    assert not own.exists()
    assert not Path("~/.ray/auth_token").expanduser().exists()

    # What nobody disturbs comes to the same, in one process.
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(unbroken)
        words = [*COMMAND, "--data", str(data_dir), "--executor", "inline"]
        result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert numbers(broken) == numbers(unbroken)
    answer, expected = json.loads(out), json.loads(result.stdout)
    # Equal but for the last bits: solvers' sums depend on how the linear algebra library splits them.
    assert answer["weights"] == pytest.approx(expected["weights"], abs=1e-9)
    assert (answer["runs"], answer["study"]) == (expected["runs"], expected["study"])
