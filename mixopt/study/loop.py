"""The main flow: ask, train what has no row yet, record, until the method asks for nothing new; and target runs."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from mixopt.errors import ConfigError, ExecutorError
from mixopt.execute.base import Evaluation, Event, Executor, Job, Quiet, Watch
from mixopt.methods.base import Proposal, Recommendation, Role, Searcher, search_loop
from mixopt.store import Store
from mixopt.store.task_errors import by_label
from mixopt.study.expected import check_prepared
from mixopt.study.tasks import lacking, needed_tasks, record_scores, with_task_notes
from mixopt.trackers import Tracked

if TYPE_CHECKING:
    from mixopt.evaluation import EvalTask
    from mixopt.history import History
    from mixopt.mixture import Mixture
    from mixopt.result import Run
    from mixopt.spec import RunSpec
    from mixopt.study.study import Study

# Enough points for the tokens at which a curve reaches a given loss to be read off between two of them.
POINTS = 20


def run_study(
    study: Study, searcher: Searcher, store: Store, executor: Executor, watch: Watch | None = None
) -> Recommendation:
    """Do the runs that `searcher` asks for, and give its recommendation.

    Runs that the table has are not trained again, so a study that was interrupted goes on where it stood.

    Raises:
        ConfigError: a run repeats its data too often, too few runs came through for the method, or its objective
            reads a task that the study does not measure.
        ExecutorError: there is no place to train, or not one run came through.
        StoreError: the table cannot be written.
    """
    store.check_writable()
    tasks = needed_tasks(study)
    wants = dict.fromkeys(searcher.wants, True)
    asked: dict[str, Job] = {}

    def do(jobs: Sequence[Job]) -> None:
        train_missing(study, jobs, store, executor, watch)
        asked.update({job.run_id: job for job in jobs})
        _check_any_finished(study, asked, store)

    def history_of(run_ids: Sequence[str]) -> History:
        return store.history(run_ids, tasks=tasks, **wants)

    try:
        recommendation = search_loop(searcher, lambda proposals: plan_runs(study, proposals), do, history_of)
    except ConfigError as error:
        lost = next((job for run_id, job in asked.items() if not store.has_finished(run_id)), None)
        if lost is None:
            raise
        raise ConfigError(
            f"{error}; {lost}, did not finish: `mixopt runs show {lost.run_id} --results {store.folder}` says why; "
            "mend the cause and run the same command again"
        ) from error
    if tasks:
        return with_task_notes(study, recommendation, history_of(list(asked)), tasks, store)
    return recommendation


def search(study: Study, watch: Watch | None = None) -> Recommendation:
    """The best mixture by the method that the study's `method` section names.

    Runs that the results table has are used again; the others are trained and recorded.

    Raises:
        MixoptError: something in the study, the data, the table or the executor has to be mended.
    """
    searcher = study.searcher()
    with Store(study.config.results) as store, study.executor() as executor:
        return run_study(study, searcher, store, executor, watch)


def ddo(study: Study, watch: Watch | None = None) -> Recommendation:
    """`search` by DDO: the best mixture at the study's scale."""
    return search(study.under("ddo"), watch)


def autoscale(study: Study, watch: Watch | None = None) -> Recommendation:
    """`search` by AutoScale: the best mixture for `method.target_tokens`, beyond what can be afforded."""
    return search(study.under("autoscale"), watch)


def doremi(study: Study, watch: Watch | None = None) -> Recommendation:
    """`search` by DoReMi: what a proxy that is held against a reference upweighs."""
    return search(study.under("doremi"), watch)


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


def plan_runs(study: Study, proposals: Iterable[Proposal]) -> list[Job]:
    """Proposals as jobs: whole batches, and no domain repeated more often than allowed."""
    planned = []
    for proposal in proposals:
        spec = study.sized(proposal.model).spec(proposal.mixture, proposal.tokens, proposal.seed)
        study.check_epochs(spec, proposal.role)
        if proposal.unique_tokens is not None:
            # After the check: such a run repeats a domain on purpose, as often as the final training will.
            limits = dict(zip(proposal.mixture.domains, proposal.unique_tokens, strict=True))
            ordered = tuple(limits.get(name) for name in spec.data.domains)
            spec = replace(spec, data=replace(spec.data, unique_tokens=ordered))
        if proposal.policy is not None:
            spec = replace(spec, policy=replace(proposal.policy, weights=spec.policy.weights))
        planned.append(job_of(study, spec, proposal.role, keep=proposal.keep))
    return planned


def plan_targets(study: Study, mixtures: Mapping[str, Mixture], tokens: int, seeds: Sequence[int]) -> list[Job]:
    """The runs that train each of `mixtures` for `tokens` with each of `seeds`.

    Model and training settings are the study's; its limits of distinct tokens are not: they are for proxies.
    Tokens are rounded to whole batches. All mixtures have the same seeds, so that these pair up.

    Returns:
        The runs, mixture by mixture; `role` is `target NAME`. `study.loop.train_missing` trains them.

    Raises:
        ConfigError: a mixture names a domain that the study does not train on, or repeats one more often than
            `training.max_epochs` allows.
    """
    # Each point is on the tokens of a final loss, so that it can be held against another run's: tokens to reach it.
    own = study.evaluation
    evaluation = replace(own, points=max(POINTS, own.points), point_tokens_per_domain=own.tokens_per_domain)
    planned = []
    for name, mixture in mixtures.items():
        for seed in seeds:
            spec = study.spec(mixture, tokens, seed)
            # Limits of distinct tokens are the proxies'; the target has all the text.
            spec = replace(spec, data=replace(spec.data, unique_tokens=None), evaluation=evaluation)
            role = Role("target", name)
            study.check_epochs(spec, role)
            planned.append(job_of(study, spec, role))
    return planned


def job_of(study: Study, spec: RunSpec, role: Role, *, keep: bool = False) -> Job:
    """A run of a study as a job; its trained model is kept, in `kept_model`, where another run needs it."""
    runtime = study.runtime(spec.run_id, spec.policy.reference)
    return Job(spec=spec, role=role, runtime=runtime, keep=keep or study.config.executor.keep_checkpoints)


def kept_model(study: Study, run_id: str) -> Path:
    """Where a run's trained model is, if it is kept; `from_pretrained` reads it."""
    return study.checkpoint_dir(run_id) / "final"


def to_do(study: Study, jobs: Iterable[Job], store: Store) -> tuple[dict[str, tuple[EvalTask, ...]], list[Job]]:
    """What the table lacks of jobs.

    A model that a run of the table was to keep is not missed, as long as no run that is held against it is.

    Returns:
        The tasks of kept models that have no score, by run, and the runs to train, the longest first: the workers
        then end at about the same time.
    """
    by_id = {job.run_id: job for job in jobs}
    lost = lacking(store, study.tasks, by_id)
    kept = {run: some for run, some in lost.items() if store.has_finished(run) and kept_model(study, run).exists()}
    missing = [
        replace(job, tasks=lost.get(run, ()))
        for run, job in by_id.items()
        if run not in kept and (run in lost or not store.has_finished(run))
    ]
    return kept, sorted(missing, key=lambda job: -job.spec.flops)


def lost_references(study: Study, missing: Iterable[Job], store: Store) -> list[Job]:
    """Runs of the table that others are held against, and whose models were not kept: to be trained again."""
    named = sorted({job.spec.policy.reference or "" for job in missing})
    gone = [run for run in named if store.has_finished(run) and not kept_model(study, run).exists()]
    return [job_of(study, store.get(run)[0], Role("reference"), keep=True) for run in gone]


def train_missing(
    study: Study, jobs: Sequence[Job], store: Store, executor: Executor, watch: Watch | None = None
) -> None:
    """Train those of `jobs` that the table does not have, the longest first, and record each as it ends.

    Where the study has downstream tasks, each trained model is evaluated on them; that of a run which the table has
    without their scores is evaluated if it was kept, else the run is trained again.

    Raises:
        ExecutorError: a task could not be had; found at the first run.
    """
    check_prepared(study.config.data.dir)
    links = [(job.run_id, job.role) for job in jobs]
    store.save_study(study.study_id, study.config.method.name, study.resolved, links)
    kept, missing = to_do(study, jobs, store)
    again = lost_references(study, missing, store)
    if again:
        _sweep(study, again, store, executor, watch)
    found = len(dict(links)) - len(missing)
    _sweep(study, [*_evaluations(study, kept), *missing], store, executor, watch, found)


def train_targets(
    study: Study, planned: Sequence[Job], store: Store, executor: Executor, watch: Watch | None = None
) -> list[Run]:
    """Train what the table lacks of `planned`, and give those that finished.

    With `executor.keep_checkpoints` their models are kept as well, in `kept_model`.

    Raises:
        ConfigError: models are to be kept, and that of a run in the table is gone.
        ExecutorError: not one run came through.
    """
    ids = [run.spec.run_id for run in planned]
    if study.config.executor.keep_checkpoints:
        gone = [run_id for run_id in ids if store.has_finished(run_id) and not kept_model(study, run_id).exists()]
        if gone:
            raise ConfigError(
                f"--keep: run {gone[0]} is in the table and its model was not kept; `mixopt runs rm {gone[0]} "
                f"--results {store.folder}` and the same command train it again, or leave out --keep"
            )
    train_missing(study, planned, store, executor, watch)
    finished = [store.get(run_id) for run_id in ids if store.has_finished(run_id)]
    if not finished:
        raise ExecutorError(
            f"none of {len(ids)} target runs finished; `mixopt runs show {ids[0]} --results {store.folder}` says "
            "why; mend the cause and run the same command again"
        )
    return finished


def evaluate_kept(
    study: Study, lost: Mapping[str, Sequence[EvalTask]], store: Store, executor: Executor, watch: Watch | None = None
) -> None:
    """Evaluate kept models on tasks, by run; an ExecutorError says that a task could not be had."""
    _sweep(study, _evaluations(study, lost), store, executor, watch)


def _evaluations(study: Study, lost: Mapping[str, Sequence[EvalTask]]) -> list[Evaluation]:
    return [
        Evaluation(
            run_id=run,
            folder=kept_model(study, run),
            content=run,
            tasks=(task,),
            runtime=study.config.executor.evaluations,
        )
        for run, some in lost.items()
        for task in some
    ]


def _sweep(
    study: Study,
    jobs: Sequence[Job | Evaluation],
    store: Store,
    executor: Executor,
    watch: Watch | None,
    found: int = 0,
) -> None:
    """Do jobs, and record what each gives."""
    watch, trackers = watch or Quiet(), study.trackers()
    new = [job for job in jobs if isinstance(job, Job)]
    kept = [job for job in jobs if isinstance(job, Evaluation)]
    with (
        watch.sweep(new, found),
        # Closed here, so that the workers have ended when recording fails.
        contextlib.closing(executor.run(jobs, watch.event)) as results,
    ):
        for job in new:
            if store.has_finished(job.run_id):
                watch.event(Event("again", job.run_id, message="its trained model is needed and was not kept"))
        for run, some in groupby(kept, lambda job: job.run_id):
            names = ", ".join(by_label(task for job in some for task in job.tasks))
            watch.event(Event("kept", run, message=f"in the table, its kept model is evaluated on {names}"))
        for job, ended in results:
            result = ended.result
            if isinstance(job, Job) and result is not None:
                store.record(job.spec, result)
                trackers.log(Tracked(job.spec, result, study.study_id, str(job.role)))
                watch.done(job, result)
            record_scores(store, job.run_id, ended.outcomes, kept_model(study, job.run_id))
            if isinstance(job, Job) and not job.keep and result is not None and result.status == "finished":
                shutil.rmtree(study.checkpoint_dir(job.run_id), ignore_errors=True)
