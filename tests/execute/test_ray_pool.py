"""The Ray pool trains like the inline executor, survives its workers, and cleans up."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from mixopt.errors import ExecutorError
from mixopt.execute.base import Event, InlineExecutor, Job
from mixopt.execute.ray_pool import RayExecutor
from mixopt.execute.ray_session import _require_answer, ray_session
from mixopt.methods.base import Role
from mixopt.train.device import Runtime
from tests.execute import trainers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mixopt.result import RunResult
    from mixopt.spec import RunSpec

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def one_ray_that_leaves_nothing_behind() -> Iterator[None]:
    before, abandoned = _traces(), _abandoned()
    with ray_session():
        yield
    assert _traces() == before
    assert _abandoned() <= abandoned


def _traces() -> tuple[bool, list[str], str | None]:
    """Ray's token file, child processes that still work, and its setting in the environment."""
    children = [child.name() for child in psutil.Process().children(recursive=True) if "ray" in child.name()]
    return Path("~/.ray/auth_token").expanduser().exists(), children, os.environ.get("RAY_AUTH_MODE")


def _abandoned() -> set[Path]:
    """Folders of Ray that nobody's lock says are in use; those of other drivers on this machine come and go."""
    found = set()
    for folder in Path("/tmp").glob(f"mixopt-ray-{os.getuid()}-*"):
        try:
            with (folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except FileNotFoundError:
            if not folder.exists():
                continue
        found.add(folder)
    return found


def jobs(folder: Path, specs: list[RunSpec]) -> list[Job]:
    return [
        Job(
            spec=spec,
            role=Role("base"),
            runtime=Runtime(data_dir=str(folder), checkpoint_dir=str(folder / spec.run_id)),
        )
        for spec in specs
    ]


def train(
    trainer: Callable[..., RunResult], work: list[Job], **options: object
) -> tuple[dict[str, RunResult | None], list[Event]]:
    events: list[Event] = []
    with RayExecutor(trainer=trainer, device="cpu", **options) as pool:
        results = {job.run_id: ended.result for job, ended in pool.run(work, events.append)}
    return results, events


def test_results_and_events_equal_those_of_the_inline_executor(tmp_path: Path) -> None:
    work = jobs(tmp_path, [trainers.uniform_spec(seed) for seed in range(4)])
    events: list[Event] = []
    inline = {job.run_id: ended.result for job, ended in InlineExecutor(trainers.law).run(work, events.append)}
    pooled, pool_events = train(trainers.law, work)
    assert pooled == inline
    assert {e.run_id for e in pool_events if e.kind == "started"} == set(inline)


def test_a_killed_worker_is_replaced_and_its_run_continues_from_the_checkpoint(tmp_path: Path) -> None:
    work = jobs(tmp_path, [trainers.uniform_spec(seed) for seed in range(3)])
    results, events = train(trainers.fragile, work)
    assert results == {job.spec.run_id: trainers.law(job.spec, job.runtime) for job in work}
    assert [(e.run_id, "died" in e.message) for e in events if e.kind == "retry"] == [(work[1].spec.run_id, True)]
    writers = [(tmp_path / work[1].spec.run_id / f"step-{step}").read_text() for step in range(4)]
    assert writers[0] == writers[1] != writers[2] == writers[3]


def test_progress_is_told_while_a_run_is_on(tmp_path: Path) -> None:
    work = jobs(tmp_path, [trainers.uniform_spec()])
    _, events = train(trainers.slow, work)
    assert any(0 < e.tokens < work[0].spec.tokens for e in events if e.kind == "progress")


def test_data_that_the_worker_does_not_see_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    hidden = tmp_path / "hidden"
    (hidden / "tokens").mkdir(parents=True)
    (hidden / "tokens" / "a.bin").write_bytes(bytes(range(256)) * 10)
    moved = tmp_path / "moved"

    def reads(spec: RunSpec, runtime: Runtime, progress: object) -> RunResult:
        assert (Path(runtime.data_dir) / "tokens" / "a.bin").read_bytes() == bytes(range(256)) * 10
        assert "mixopt-data" in runtime.data_dir
        return trainers.law(spec, runtime)

    with RayExecutor(trainer=reads, device="cpu") as pool:
        pool.workers()
        pool.ship(hidden)
        hidden.rename(moved)  # what the driver has read, no worker can find by its path
        work = jobs(hidden, [trainers.uniform_spec(seed) for seed in range(2)])
        results = [ended.result and ended.result.status for _, ended in pool.run(work, lambda _: None)]
    assert results == ["finished", "finished"]


def test_more_cpus_or_gpus_than_there_are_is_refused_before_work(tmp_path: Path) -> None:
    work = jobs(tmp_path, [trainers.uniform_spec()])
    with pytest.raises(ExecutorError, match="10000 CPUs asked for"):
        train(trainers.law, work, cpus_per_run=10_000)
    with (
        pytest.raises(ExecutorError, match=r"64 GPU asked for.*--gpus-per-run 0"),
        RayExecutor(gpus_per_run=64) as pool,
    ):
        pool.workers()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nowhere", "expected host:port"),
        ("127.0.0.1:1", "does not answer"),
        ("no-such-host.invalid:6379", "does not answer"),
    ],
)
def test_an_address_without_ray_is_an_error(address: str, message: str) -> None:
    with pytest.raises(ExecutorError, match=message):
        _require_answer(address)


def test_a_listener_that_never_speaks_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixopt.execute.ray_session._CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ExecutorError, match=f"{address} does not answer"):
            _require_answer(address)


def test_a_server_that_is_not_ray_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(ExecutorError, match="is not Ray"):
            _require_answer(f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()


def test_the_running_rays_address_answers() -> None:
    import ray

    _require_answer(ray.get_runtime_context().gcs_address)
