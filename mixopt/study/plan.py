"""`--dry-run`: what a study would train, what that costs, and how long it would take here."""

from __future__ import annotations

import contextlib
import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from mixopt.spec import PolicySpec, RunSpec
from mixopt.study.expected import AssumedSpeed, check_prepared, is_prepared
from mixopt.study.loop import lost_references, to_do

if TYPE_CHECKING:
    from mixopt.execute.base import Executor, Job, Trainer
    from mixopt.store import Store
    from mixopt.study.study import Study

_CALIBRATION_SECONDS = 3.0
_CALIBRATION_STEPS = 200

# A forward pass costs a third of a training step's FLOPs.
_FORWARD_COST = 1 / 3

# Parameters and both moments of AdamW in float32, twice while a new checkpoint replaces an old one.
_CHECKPOINT_BYTES = 3 * 4 * 2

# Measured on curves of 10 points and 7 domains: about 60 bytes a row and 5 kB for the file and the table's row.
_CURVE_ROW_BYTES, _RUN_BYTES = 60, 5000


@dataclass(frozen=True)
class Plan:
    """What a study would do."""

    runs: tuple[Job, ...]  # every run that the method asks for first, with its role
    found: frozenset[str]  # ids of those that the table has
    tokens: int  # training tokens of the others
    flops: float  # training FLOPs of the others
    # of one worker, measured on this machine or assumed; None with nothing to train, or one step only
    tokens_per_second: float | None
    workers: int  # runs at once
    seconds: float  # estimated wall time
    disk_bytes: float  # estimated disk, checkpoints included
    repeated: dict[str, float]  # most epochs of each domain that is gone through more than once, by name
    # GPUs times hours of the others, evaluations included; None where this machine was timed
    gpu_hours: float | None = None
    assumed: str | None = None  # what GPU hours rest on, in words
    prepared: bool = True  # whether the data is there; run ids depend on it

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        runs = [
            {
                "run": run.spec.run_id,
                "role": str(run.role),
                "seed": run.spec.seed,
                "tokens": run.spec.tokens,
                "flops": run.spec.flops,
                "found": run.spec.run_id in self.found,
            }
            for run in self.runs
        ]
        return {"runs": runs, **{one.name: getattr(self, one.name) for one in fields(self)[2:]}}


def plan_of(
    study: Study, runs: Sequence[Job], store: Store | None, executor: Executor, trainer: Trainer | None = None
) -> Plan:
    """The plan of runs that are known already. Nothing is recorded.

    `store` is None if there is no table yet; `trainer` is timed, the real loop by default.

    Raises:
        MixoptError: the study could not be run as it stands.
    """
    by_id = {run.run_id: run for run in runs}
    if store:
        missing = to_do(study, runs, store)[1]
        again = [run for run in lost_references(study, missing, store) if run.run_id in by_id]
        by_id = {run.run_id: run for run in (*missing, *again)}
    new = [run.spec for run in by_id.values()]
    found = frozenset(run.run_id for run in runs) - by_id.keys()
    assumed = AssumedSpeed.of(study.config.executor)
    if assumed:
        speed = assumed.tokens_per_second(study.model, study.sequence_length)
        workers = min(study.config.executor.workers or 1, len(new))
    else:
        if new:
            check_prepared(study.config.data.dir)
        speed = calibrate(study, new[0], trainer) if new else None
        # Processes of a run are taken to be as fast together as apart.
        speed = speed and speed * study.config.executor.processes_per_run
        workers = min(executor.workers(), len(new)) if new else 0
    costs = [(spec.tokens + _FORWARD_COST * _evaluated(study, spec)) / speed for spec in new] if speed else []
    kept = sum(_RUN_BYTES + _CURVE_ROW_BYTES * 3 * spec.evaluation.points * len(spec.measured) for spec in new)
    epochs = [study.epochs(run.spec) for run in runs]
    most = {domain: max(run[domain] for run in epochs) for domain in study.domains} if epochs else {}
    return Plan(
        runs=tuple(runs),
        found=found,
        tokens=sum(spec.tokens for spec in new),
        flops=sum(spec.flops for spec in new),
        tokens_per_second=speed,
        workers=workers,
        seconds=makespan(costs, workers),
        disk_bytes=kept + workers * study.model.parameters * _CHECKPOINT_BYTES,
        repeated={domain: times for domain, times in most.items() if times > 1},
        gpu_hours=sum(costs) * assumed.gpus / 3600 if assumed else None,
        assumed=str(assumed) if assumed else None,
        prepared=is_prepared(study.config.data.dir),
    )


def _evaluated(study: Study, spec: RunSpec) -> int:
    """Tokens of a run's forward passes alone: validation at all its points, and its reference's."""
    evaluation = spec.evaluation
    sizes = [entry.validation.tokens for entry in study.manifest.domains if entry.name in spec.measured]
    return (spec.tokens if spec.policy.reference else 0) + sum(
        (evaluation.points - 1) * min(evaluation.point_tokens_per_domain, size)
        + min(evaluation.tokens_per_domain, size)
        for size in sizes
    )


def calibrate(study: Study, spec: RunSpec, trainer: Trainer | None = None) -> float | None:
    """Training tokens a second of one worker: some real steps of the real model on this machine's device.

    None where a run is a single step, which takes no time worth telling.
    """
    if trainer is None:
        from mixopt.train.loop import train as trainer
    runtime = replace(study.runtime(spec.run_id), checkpoint_dir=None)
    if study.config.executor.gpus_per_run == 0:
        runtime = replace(runtime, device="cpu")
    watch = _Stopwatch()
    steps = min(spec.steps, _CALIBRATION_STEPS)
    short = replace(
        spec,
        # A reference's model may not be there yet.
        policy=PolicySpec(weights=spec.policy.weights) if spec.policy.reference else spec.policy,
        tokens=steps * spec.optim.batch_tokens,
        evaluation=replace(spec.evaluation, points=1, tokens_per_domain=1),
    )
    with contextlib.suppress(_EnoughError):
        trainer(short, runtime, watch)
    return watch.rate()


class _EnoughError(Exception):
    """Ends a calibration."""


class _Stopwatch:
    """A progress callback that measures from its first call on: the first step pays for warming up."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._marks: list[tuple[float, int]] = []

    def __call__(self, tokens: int) -> None:
        self._marks.append((self._clock(), tokens))
        if len(self._marks) > 2 and self._marks[-1][0] - self._marks[0][0] > _CALIBRATION_SECONDS:
            raise _EnoughError

    def rate(self) -> float | None:
        (begun, first), (ended, last) = self._marks[0], self._marks[-1]
        if last > first:
            return (last - first) / max(ended - begun, 1e-9)
        return None  # one step: too short to be measured


def makespan(seconds: Sequence[float], workers: int) -> float:
    """When the last of these jobs ends, each given to the worker that is free first, the longest first."""
    if not seconds:
        return 0.0
    ends = [0.0] * workers
    for cost in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + cost)
    return max(ends)
