"""A study on a cluster of three nodes, one of which dies in the middle: the table is that of one process."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from typer.testing import CliRunner

from mixopt.cli import app
from mixopt.errors import StoreError
from mixopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

RAY = str(Path(sys.executable).with_name("ray"))
MIXOPT = str(Path(sys.executable).with_name("mixopt"))
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "RAY_AUTH_MODE": "disabled",  # otherwise `ray start` writes a token into the home folder
    "RAY_USAGE_STATS_ENABLED": "0",
    # How soon a killed node is noticed; Ray's own 15 seconds are long for a test. A slow one keeps its time.
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_health_check_failure_threshold": "3",
}


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.1)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with everything that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid)
        for child in [*family.children(recursive=True), family]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


class Cluster:
    """Nodes of one CPU each on this machine, as `docs/cluster.md` starts them on several."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.nodes: list[subprocess.Popen[bytes]] = []
        port, client = self.address.rpartition(":")[2], str(free_port())
        head = ["--head", "--port", port, "--ray-client-server-port", client, "--include-dashboard=false"]
        self.start(*head, "--temp-dir", str(folder))

    def start(self, *arguments: str) -> None:
        """Start a node, and wait until it has joined: two that start at once may pick the same ports."""
        memory = ["--object-store-memory", "100000000", "--node-ip-address", "127.0.0.1"]
        command = [RAY, "start", "--block", "--num-cpus", "1", "--dashboard-agent-listen-port", "0", *memory]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        node = subprocess.Popen([*command, *arguments], env=ENVIRONMENT, **pipes)
        self.nodes.append(node)
        assert node.stdout is not None
        assert any(b"Ray runtime started" in line for line in node.stdout), "the node did not start"

    def works_on(self, node: subprocess.Popen[bytes]) -> bool:
        """Whether the node has a worker."""
        try:
            children = psutil.Process(node.pid).children(recursive=True)
            return any(child.name().startswith("ray::Worker") for child in children)
        except psutil.NoSuchProcess:
            return False


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="mixopt-test-", dir="/tmp"))  # short, for the sockets in it
    made = Cluster(folder)
    try:
        for _ in range(2):
            made.start("--address", made.address)
        yield made
    finally:
        for node in reversed(made.nodes):
            end(node)
        shutil.rmtree(folder, ignore_errors=True)


def command(data: Path, results: Path, *where: str) -> list[str]:
    settings = ["training.batch_tokens=256", "training.max_epochs=50", "executor.checkpoint_seconds=0.2"]
    return [
        MIXOPT, "ddo", "--quiet", "--data", str(data), "--model", "gpt2-0.2m", "--tokens", "12k",
        "--results", str(results), *(part for pair in settings for part in ("--set", pair)), *where,
    ]  # fmt: skip


def table(results: Path) -> dict[str, list[tuple[str, float | None, int]]]:
    """Loss and tokens of every domain of every finished run."""
    with Store(results, read_only=True) as store:
        ids = sorted(row["run_id"] for row in store.rows(status="finished"))
        runs = {run_id: store.get(run_id)[1].domains.items() for run_id in ids}
    return {run_id: [(name, part.loss, part.tokens_seen) for name, part in some] for run_id, some in runs.items()}


def finished(results: Path) -> int:
    with contextlib.suppress(StoreError):
        return len(table(results))
    return 0


def test_a_lost_node_costs_no_run(cluster: Cluster, data_dir: Path, tmp_path: Path) -> None:
    on_cluster, alone, told = tmp_path / "cluster", tmp_path / "alone", tmp_path / "told"
    lost = cluster.nodes[-1]
    with told.open("wb") as output:
        study = subprocess.Popen(
            command(data_dir, on_cluster, "--ray-address", cluster.address),
            env=ENVIRONMENT,
            stdout=output,
            stderr=output,
        )
        try:
            wait_for(lambda: finished(on_cluster) >= 1 and cluster.works_on(lost))
            end(lost)
            done = finished(on_cluster)
            assert study.wait(timeout=120) == 0, told.read_text()
        finally:
            end(study)
    inline = command(data_dir, alone, "--executor", "inline")[1:]
    result = CliRunner().invoke(app, inline, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert 1 <= done < len(table(on_cluster))
    assert table(on_cluster) == table(alone)
