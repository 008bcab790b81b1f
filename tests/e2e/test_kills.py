"""`mixopt ddo` on Ray, killed in every way: the same command then gives the same table, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from mixopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.ray, pytest.mark.slow]

COMMAND = [
    *(
        sys.executable,
        "-m",
        "mixopt",
        "ddo",
        "--model",
        "gpt2-0.2m",
        "--tokens",
        "6k",
        "--max-epochs",
        "50",
        "--json",
    ),
    *("--set", "model.context=32", "--set", "training.batch_tokens=64", "--set", "evaluation.points=2"),
    *("--set", "evaluation.tokens_per_domain=512", "--set", "executor.checkpoint_seconds=0.2"),
]


class Driver:
    """A `mixopt ddo` in its own session, as a terminal would start it."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*COMMAND, "--data", str(data_dir)],
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

    def checkpoints(self) -> int:
        return len(list(self.folder.glob("results/checkpoints/*/step-*/state.json")))

    def workers(self) -> list[psutil.Process]:
        """Ray's processes that train."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [process for process in below if process.name().startswith("ray::Worker")]

    def everything(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

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


def assert_same_answer(answer: dict[str, object], expected: dict[str, object]) -> None:
    """Equal but for the last bits: solvers' sums depend on how the linear algebra library splits them."""
    assert answer["weights"] == pytest.approx(expected["weights"], abs=1e-9)
    assert (answer["runs"], answer["study"]) == (expected["runs"], expected["study"])


def ray_folders() -> set[Path]:
    return set(Path("/tmp").glob(f"mixopt-ray-{os.getuid()}-*"))


@pytest.fixture(scope="module")
def unbroken(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A study that nobody disturbed, and its answer."""
    folder = tmp_path_factory.mktemp("unbroken")
    before = ray_folders()
    status, out, err = Driver(folder, data_dir).end()
    assert status == 0, err
    assert ray_folders() <= before
    assert not Path("~/.ray/auth_token").expanduser().exists()
    return folder, json.loads(out)


def resume(folder: Path, data_dir: Path, unbroken: tuple[Path, dict[str, object]]) -> None:
    """Run the command again: same table, same recommendation."""
    status, out, err = Driver(folder, data_dir).end()
    assert status == 0, err
    assert numbers(folder) == numbers(unbroken[0])
    assert_same_answer(json.loads(out), unbroken[1])


def test_a_killed_worker_changes_nothing(data_dir: Path, tmp_path: Path, unbroken) -> None:
    driver = Driver(tmp_path, data_dir)
    driver.wait_for(lambda: driver.checkpoints() > 0)
    driver.workers()[0].send_signal(signal.SIGKILL)
    status, out, err = driver.end()
    assert status == 0, err
    assert "trying again from its checkpoint (the worker's process died" in err
    assert numbers(tmp_path) == numbers(unbroken[0])
    assert_same_answer(json.loads(out), unbroken[1])


def test_a_killed_driver_takes_its_workers_along_and_the_command_goes_on(
    data_dir: Path, tmp_path: Path, unbroken
) -> None:
    before = ray_folders()
    driver = Driver(tmp_path, data_dir)
    driver.wait_for(lambda: driver.finished_runs() >= 1 and driver.checkpoints() > 0)
    # Ray's two agents do no work, and end by themselves a minute after their server is gone.
    started = [process for process in driver.everything() if not process.name().endswith("Agent")]
    driver.process.send_signal(signal.SIGKILL)
    driver.end()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert alive == []
    assert driver.finished_runs() >= 1
    left = ray_folders() - before
    assert left
    time.sleep(2)  # a folder this young could belong to a driver that is just starting
    resume(tmp_path, data_dir, unbroken)
    assert not left & ray_folders()


def test_ctrl_c_keeps_finished_runs_and_ends_ray(data_dir: Path, tmp_path: Path, unbroken) -> None:
    before = ray_folders()
    driver = Driver(tmp_path, data_dir)
    driver.wait_for(lambda: driver.finished_runs() >= 1)
    started = driver.everything()
    os.killpg(driver.process.pid, signal.SIGINT)  # a terminal interrupts the whole group
    status, out, err = driver.end()
    assert status == 130
    assert out == ""
    assert (
        err.splitlines()[-1] == "mixopt: interrupted; what is finished is kept, the same command goes on from there"
    )
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(started, timeout=60)
    assert alive == []
    assert ray_folders() <= before
    resume(tmp_path, data_dir, unbroken)
