"""Target runs: a mixture trained for many tokens, measured so often and so well that its curve can be compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mixopt.errors import ConfigError, ExecutorError
from mixopt.role import Role
from mixopt.study.loop import job_of, kept_model, train_missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixopt.execute.base import Executor, Job, Watch
    from mixopt.mixture import Mixture
    from mixopt.result import Run
    from mixopt.store import Store
    from mixopt.study.study import Study

# Enough points for the tokens at which a curve reaches a given loss to be read off between two of them.
POINTS = 20


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
