"""The main flow: ask, train what has no row yet, record, until the method asks for nothing new."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mixopt.errors import ExecutorError
from mixopt.execute.base import Event, Job
from mixopt.methods.search_loop import search_loop
from mixopt.report.progress import Quiet
from mixopt.store.task_errors import by_label
from mixopt.study.expected import check_prepared
from mixopt.study.tasks import lacking, needed_tasks, record_scores, with_task_notes
from mixopt.trackers import Tracked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from mixopt.evaluate.base import EvalTask
    from mixopt.execute.base import Executor
    from mixopt.history import History
    from mixopt.methods.base import Proposal, Recommendation, Searcher
    from mixopt.report.progress import Watch
    from mixopt.spec import RunSpec
    from mixopt.store import Store
    from mixopt.study.study import Study


@dataclass(frozen=True)
class Planned:
    """A run of a study and what it is for.

    Attributes:
        spec: the run.
        role: what it is for, in the study's own words.
        keep: its trained model is needed as well as its numbers, and kept in `kept_model`.
    """

    spec: RunSpec
    role: str
    keep: bool = False

    @property
    def run_id(self) -> str:
        """The run's identity."""
        return self.spec.run_id


def run_study(
    study: Study, searcher: Searcher, store: Store, executor: Executor, watch: Watch | None = None
) -> Recommendation:
    """Do the runs that `searcher` asks for, and give its recommendation.

    Runs that the table has are not trained again, so a study that was interrupted goes on where it stood.

    Args:
        study: what to train, on what.
        searcher: the method.
        store: the results table.
        executor: where to train.
        watch: who is told how it goes.

    Raises:
        ConfigError: a run repeats its data too often, too few runs came through for the method, or its objective
            reads a task that the study does not measure.
        ExecutorError: there is no place to train, or not one run came through.
        StoreError: the table cannot be written.
    """
    store.check_writable()
    tasks = needed_tasks(study)
    curves = getattr(searcher, "wants_curves", False)
    asked: list[str] = []

    def do(runs: Sequence[Planned]) -> None:
        asked.extend(run.run_id for run in runs)
        train_missing(study, runs, store, executor, watch)
        _check_any_finished(study, asked, store)

    def history_of(run_ids: Sequence[str]) -> History:
        return store.history(run_ids, curves=curves, tasks=tasks)

    recommendation = search_loop(searcher, lambda proposals: plan_runs(study, proposals), do, history_of)
    return with_task_notes(study, recommendation, history_of(asked), tasks, store) if tasks else recommendation


def _check_any_finished(study: Study, run_ids: Collection[str], store: Store) -> None:
    """Where nothing came through the cause is common to all runs, and the method has nothing to say about it."""
    if any(map(store.has_finished, run_ids)):
        return
    rows = [row for row in store.rows(study=study.study_id) if row["run_id"] in run_ids]
    first = f" (the first: {rows[0]['error'] or rows[0]['status']})" if rows else ""
    raise ExecutorError(
        f"none of {len(run_ids)} runs finished{first}; `mixopt runs list --results {store.folder}` shows them; "
        "mend the cause and run the same command again"
    )


def plan_runs(study: Study, proposals: Iterable[Proposal]) -> list[Planned]:
    """Proposals as runs: whole batches, and no domain repeated more often than allowed."""
    planned = []
    for proposal in proposals:
        spec = study.sized(proposal.model).spec(proposal.mixture, proposal.tokens, proposal.seed)
        study.check_epochs(spec, proposal.role)
        if proposal.unique_tokens is not None:
            # After the check: such a run repeats a domain on purpose, as often as the final training will.
            limits = dict(zip(proposal.mixture.domains, proposal.unique_tokens, strict=True))
            ordered = tuple(limits.get(name) for name in spec.data.domains)
            spec = replace(spec, data=replace(spec.data, unique_tokens=ordered))
        planned.append(Planned(spec, proposal.role))
    return planned


def kept_model(study: Study, run_id: str) -> Path:
    """Where a run's trained model is, if it is kept; `from_pretrained` reads it."""
    return study.checkpoint_dir(run_id) / "final"


def is_done(study: Study, run: Planned, store: Store) -> bool:
    """Whether there is all that a run is for: its row, its model where that is needed, scores of its tasks."""
    run_id = run.spec.run_id
    if not store.has_finished(run_id) or (run.keep and not kept_model(study, run_id).exists()):
        return False
    return not lacking(store, study.tasks, [run_id])


def train_missing(
    study: Study, runs: Sequence[Planned], store: Store, executor: Executor, watch: Watch | None = None
) -> None:
    """Train those of `runs` that the table does not have, the longest first, and record each as it ends.

    Where the study has downstream tasks, each trained model is evaluated on them; that of a run which the table has
    without their scores is evaluated if it was kept, else the run is trained again.

    Raises:
        ExecutorError: a task could not be had; found at the first run.
    """
    check_prepared(study.config.data.dir)
    watch, trackers, tasks = watch or Quiet(), study.trackers(), study.tasks
    links = [(run.spec.run_id, run.role) for run in runs]
    store.save_study(study.study_id, study.config.method.name, study.resolved, links)
    evaluate_kept(study, runs, tasks, store, executor, watch)
    specs = {run.spec.run_id: run.spec for run in runs}
    keep = {run.spec.run_id for run in runs if run.keep or study.config.executor.keep_checkpoints}
    purposes = {run.spec.run_id: run.role for run in runs}
    roles = {run_id: f"{role}, seed {specs[run_id].seed}" for run_id, role in purposes.items()}
    # Longest first: the workers then end at about the same time.
    wanted = {run.spec.run_id: run.spec for run in runs if not is_done(study, run, store)}
    missing = sorted(wanted.values(), key=lambda spec: -spec.flops)
    again = [run_id for run_id in wanted if store.has_finished(run_id)]
    lost = lacking(store, tasks, wanted)
    jobs = [
        Job(
            spec,
            replace(
                study.runtime(spec.run_id, spec.policy.reference),
                keep_checkpoint=spec.run_id in keep or spec.run_id in lost,
                tasks=lost.get(spec.run_id, ()),
            ),
        )
        for spec in missing
    ]
    with (
        watch.sweep(missing, roles, found=len(specs) - len(missing)),
        # Closed here, so that the workers have ended when recording fails.
        contextlib.closing(executor.run(jobs, watch.event)) as results,
    ):
        for run_id in again:
            watch.event(Event("again", run_id, message="its trained model is needed and was not kept"))
        for spec, result in results:
            store.record(spec, result)
            trackers.log(Tracked(spec, result, study.study_id, purposes[spec.run_id]))
            watch.done(spec, result)
            record_scores(store, result, kept_model(study, spec.run_id))
            if result.status == "finished" and spec.run_id not in keep:
                shutil.rmtree(study.checkpoint_dir(spec.run_id), ignore_errors=True)


def evaluate_kept(
    study: Study,
    runs: Sequence[Planned],
    tasks: Sequence[EvalTask],
    store: Store,
    executor: Executor,
    watch: Watch | None = None,
) -> None:
    """Evaluate the kept models of those of `runs` that the table has without a score of one of `tasks`.

    Raises:
        ExecutorError: a task could not be had.
    """
    watch = watch or Quiet()
    trained = {run.spec.run_id: run.spec for run in runs if store.has_finished(run.spec.run_id)}
    lost = lacking(store, tasks, trained)
    jobs = [
        Job(trained[run_id], replace(study.runtime(run_id), tasks=some, result=store.get(run_id)[1]))
        for run_id, some in lost.items()
        if kept_model(study, run_id).exists()
    ]
    with contextlib.closing(executor.run(jobs, watch.event)) as results:
        for job in jobs:
            names = ", ".join(by_label(job.runtime.tasks))
            watch.event(
                Event("kept", job.spec.run_id, message=f"in the table, its kept model is evaluated on {names}")
            )
        for spec, result in results:
            record_scores(store, result, kept_model(study, spec.run_id))
