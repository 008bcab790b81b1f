"""Runs of two processes on Ray Train: the numbers of one process, whoever is killed."""

from __future__ import annotations

import os
import shutil
import signal
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mixopt.errors import ConfigError, DataError, ExecutorError
from mixopt.execute.base import Event, Failure, InlineExecutor, Job
from mixopt.execute.ray_pool import RayExecutor
from mixopt.execute.ray_session import ray_session
from mixopt.execute.ray_train import GroupWorker
from mixopt.execute.ray_worker import NeedsData, shipped_folder
from mixopt.methods.base import Role
from mixopt.mixture import Mixture
from mixopt.study import Study
from mixopt.study.loop import job_of
from mixopt.train.device import Runtime
from tests.execute import trainers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mixopt.result import RunResult
    from mixopt.spec import RunSpec


@pytest.fixture(scope="module")
def one_ray() -> Iterator[None]:
    with ray_session():
        yield


def second_dies_once(spec: RunSpec, runtime: Runtime, progress: Callable[[int], None]) -> RunResult:
    """The real loop; halfway, the second process kills itself (SIGKILL), once."""
    from mixopt.train.loop import train

    folder = Path(runtime.checkpoint_dir or "").parent
    rank, half = os.environ["RANK"], spec.steps // 2 * spec.optim.batch_tokens
    with (folder / f"steps-{rank}").open("a") as steps:

        def note(tokens: int) -> None:
            steps.write(f"{tokens // spec.optim.batch_tokens} ")
            steps.flush()
            if rank == "1" and tokens == half and not (folder / "died").exists():
                (folder / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            progress(tokens)

        return train(spec, runtime, note)


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_process_changes_no_number(one_ray: None, data_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    study = Study(
        data_dir,
        tokens="10k",
        model={"preset": "gpt2-0.2m", "layers": 1, "context": 32},
        training={"batch_tokens": 256, "max_epochs": 50},
        evaluation={"tokens_per_domain": 640},
        results=tmp_path / "results",
        executor={"checkpoint_seconds": 1e-3, "keep_checkpoints": True},
    )
    spec = study.spec(study.reference, study.tokens, seed=0)
    runtime = study.runtime(spec.run_id)
    Path(runtime.checkpoint_dir or "").mkdir(parents=True)
    job, events = job_of(study, spec, Role("base")), list[Event]()
    with RayExecutor(processes_per_run=2, device="cpu", trainer=second_dies_once) as pool:
        assert pool.workers() >= 1
        ((_, ended),) = pool.run([job], events.append)
    alone = replace(runtime, checkpoint_dir=None)
    ((_, alone),) = InlineExecutor().run([replace(job, runtime=alone, keep=False)], events.append)
    result, expected = ended.result, alone.result
    assert result
    assert expected

    assert result.status == "finished", result.error
    assert result.losses() == pytest.approx(expected.losses(), rel=1e-5)
    assert result.curve["loss"] == pytest.approx(expected.curve["loss"], rel=1e-5)
    assert result.device == "cpu x1, 2 processes"
    (retry,) = [event.message for event in events if event.kind == "retry"]
    assert "process died" in retry
    half = spec.steps // 2
    steps = [int(step) for step in (tmp_path / "results" / "checkpoints" / "steps-1").read_text().split()]
    assert steps[:half] == list(range(1, half + 1))
    assert steps[half] > 1  # from the checkpoint, not from the start
    assert steps[-1] == spec.steps
    kept = AutoModelForCausalLM.from_pretrained(Path(runtime.checkpoint_dir or "") / "final")
    assert sum(parameter.numel() for parameter in kept.parameters()) == spec.model.parameters
    assert not Path("~/ray_results").expanduser().exists()


def reads_shipped_data(spec: RunSpec, runtime: Runtime, progress: object) -> RunResult:
    assert (Path(runtime.data_dir) / "tokens" / "a.bin").read_bytes() == bytes(range(256))
    assert "mixopt-data" in runtime.data_dir
    read = Path(runtime.checkpoint_dir or "")
    (read / os.environ["RANK"]).touch()
    if os.environ["RANK"] == "1":
        while not (read / "0").exists():
            time.sleep(0.02)
        raise DataError("tokens/a.bin: truncated")
    return trainers.law(spec, runtime)


@pytest.mark.ray
@pytest.mark.slow
def test_data_is_shipped_to_every_process_and_bad_data_ends_the_sweep(one_ray: None, tmp_path: Path) -> None:
    hidden, read, fingerprint = tmp_path / "hidden", tmp_path / "read", uuid.uuid4().hex
    (hidden / "tokens").mkdir(parents=True)
    (hidden / "tokens" / "a.bin").write_bytes(bytes(range(256)))
    read.mkdir()
    spec = trainers.make_spec(Mixture.uniform(trainers.DOMAINS).weights, name=fingerprint)
    try:
        with RayExecutor(processes_per_run=2, device="cpu", trainer=reads_shipped_data) as pool:
            pool.workers()
            pool.ship(hidden)
            hidden.rename(tmp_path / "moved")  # what the driver has read, no worker can find by its path
            runtime = Runtime(data_dir=str(hidden), checkpoint_dir=str(read))
            job = Job(spec=spec, role=Role("base"), runtime=runtime)
            with pytest.raises(DataError, match="truncated"):
                list(pool.run([job], lambda _: None))
        assert sorted(path.name for path in read.iterdir()) == ["0", "1"]
    finally:
        shutil.rmtree(shipped_folder(fingerprint))


def group_error(**failures: Exception) -> Exception:
    from ray.train import WorkerGroupError

    return WorkerGroupError("", dict(enumerate(failures.values())))


def test_the_reason_why_a_group_ends() -> None:
    """What concerns every run before a death, a death before the errors that it caused elsewhere."""
    from ray.exceptions import RayActorError

    lost, dead = Failure("RuntimeError: connection closed"), group_error(a=ValueError(), b=RayActorError())
    worker = GroupWorker(None, None, 2, 1, 0.0)
    worker.tell(lost)
    assert worker._reason(group_error(a=ValueError())) is lost
    assert "process died" in worker._reason(dead).error  # pyright: ignore[reportAttributeAccessIssue]
    fatal = Failure("bad", fatal=DataError("bad"))
    worker.tell(fatal)
    assert worker._reason(dead) is fatal
    needs = NeedsData()
    other = GroupWorker(None, None, 2, 1, 0.0)
    other.tell(needs)
    assert other._reason(dead) is needs


@pytest.mark.ray
@pytest.mark.slow
def test_more_processes_than_fit_are_refused(one_ray: None) -> None:
    with RayExecutor(processes_per_run=1000, device="cpu") as pool, pytest.raises(ExecutorError, match="has place"):
        pool.workers()


def test_processes_need_ray() -> None:
    with pytest.raises(ConfigError, match=r"processes_per_run: .*inline.*found 2"):
        Study("data", executor={"kind": "inline", "processes_per_run": 2})


def test_processes_and_sharding_are_no_part_of_a_run(data_dir: Path) -> None:
    one, two = (Study(data_dir, executor=executor) for executor in ({}, {"processes_per_run": 2, "sharding": "fsdp"}))
    assert two.runtime("r").sharding == "fsdp"
    assert one.spec(one.reference, 1000, 0).run_id == two.spec(two.reference, 1000, 0).run_id
    assert one.study_id == two.study_id
