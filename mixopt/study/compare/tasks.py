"""Downstream scores of compared mixtures: which all of their runs have, and what each mixture got.

Symbols: S seeds (runs of a mixture), T tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats
from mixopt.comparison import Entry, Measured, TaskScore
from mixopt.errors import ConfigError
from mixopt.score import TASK_PREFIX, Score, error_of_mean, labels
from mixopt.store.task_errors import by_label, main_scores
from mixopt.study.loop import evaluate_kept, kept_model
from mixopt.study.tasks import lacking

if TYPE_CHECKING:
    from mixopt.evaluation import EvalTask
    from mixopt.execute.base import Watch
    from mixopt.result import Run
    from mixopt.store import Store
    from mixopt.study.study import Study

    Scores = Mapping[str, Sequence[Score]]


@dataclass(frozen=True)
class SharedTasks:
    """Tasks that every compared run has a score of, under the same identity."""

    scores: dict[str, dict[str, Score]]  # main scores of each run by identity
    identities: dict[str, tuple[str, ...]]  # of each task, by what it is called; a fine-tuning task has one a seed

    @classmethod
    def of(cls, runs: Iterable[str], scores: Scores, asked: Sequence[EvalTask] = ()) -> SharedTasks:
        """The tasks that all of `runs` have.

        Args:
            asked: only these; none for all that there are. Of a task with several settings (a limit of its items)
                that all runs have, the one with the most items counts.
        """
        found = {run: main_scores(scores.get(run, ())) for run in runs}
        shared = set.intersection(*(set(have) for have in found.values())) if found else set()
        if asked:
            named = {label: [task.identity for task in same] for label, same in by_label(asked).items()}
            kept = {label: tuple(same) for label, same in named.items() if shared.issuperset(same)}
            return cls(found, kept)
        some = next(iter(found.values()), {})
        chosen: dict[tuple[str, int], dict[int | None, Score]] = {}
        known = [some[identity] for identity in sorted(shared)]
        for score in sorted(known, key=lambda score: score.items):
            chosen.setdefault((score.task, score.shots), {})[score.seed] = score
        names = labels(sorted(chosen))
        return cls(found, {names[task]: tuple(score.identity for score in chosen[task].values()) for task in names})

    @property
    def domains(self) -> tuple[str, ...]:
        """As objectives name them: T of `task:NAME`."""
        return tuple(f"{TASK_PREFIX}{label}" for label in self.identities)

    def errors(self, runs: Sequence[str]) -> Floats:
        """(S, T) errors, 1 − score."""
        parts = [[self._of(run, label) for label in self.identities] for run in runs]
        means = [[np.mean([score.error for score in some]) for some in row] for row in parts]
        return np.array(means, dtype=np.float64).reshape(len(runs), len(self.identities))

    def measured(self, runs: Sequence[str]) -> dict[str, TaskScore]:
        """Each task of one mixture."""
        return {label: self._measured(runs, label) for label in self.identities}

    def mean(self, runs: Sequence[str]) -> Measured | None:
        """Mean score over tasks of which greater is better, seed by seed; None without one.

        With one seed its standard error takes the tasks' items as independent.
        """
        tasks = {label: task for label, task in self.measured(runs).items() if task.higher_is_better}
        if not tasks:
            return None
        values = np.mean([task.score.seeds for task in tasks.values()], axis=0)
        if len(runs) > 1:
            return Measured.of(values.tolist())
        known = [task.score.standard_error for task in tasks.values()]
        errors = [error for error in known if error is not None]
        whole = float(np.linalg.norm(errors)) / len(tasks) if len(errors) == len(tasks) else None
        return Measured(float(values[0]), whole, tuple(values.tolist()))

    def _of(self, run: str, label: str) -> list[Score]:
        return [self.scores[run][identity] for identity in self.identities[label]]

    def _measured(self, runs: Sequence[str], label: str) -> TaskScore:
        parts = [self._of(run, label) for run in runs]
        values = [float(np.mean([score.value for score in some])) for some in parts]
        score, over = Measured.of(values), "seeds"
        if len(runs) == 1:
            over = "items" if len(parts[0]) == 1 else "seeds"
            score = Measured(score.value, error_of_mean(parts[0]), score.seeds)
        first = parts[0][0]
        return TaskScore(
            metric=first.metric,
            score=score,
            over=over,
            higher_is_better=first.higher_is_better,
            items=first.items,
            shots=first.shots,
            chance=first.chance,
        )


def tally(own: Entry, baseline: Entry) -> tuple[int, int]:
    """Tasks whose mean score is better than the baseline's, and tasks where it is worse."""
    signs = [
        (task.score.value - baseline.tasks[label].score.value) * (1 if task.higher_is_better else -1)
        for label, task in own.tasks.items()
    ]
    return sum(sign > 0 for sign in signs), sum(sign < 0 for sign in signs)


def evaluate_runs(
    study: Study, runs: Mapping[str, Sequence[Run]], tasks: Sequence[EvalTask], store: Store, watch: Watch | None
) -> None:
    """Evaluate runs that are compared as they are, where they lack a score.

    Raises:
        ConfigError: a run lacks a score, and its model was not kept.
        ExecutorError: a task could not be had.
    """
    finished = [spec.run_id for some in runs.values() for spec, result in some if result.status == "finished"]
    lost = lacking(store, tasks, finished)
    for run, some in lost.items():
        if not kept_model(study, run).exists():
            raise ConfigError(
                f"run {run} has no score of task {next(iter(by_label(some)))!r} and its model was not kept: "
                "compare its mixture in place of the run, which is then trained again, or leave out --tasks"
            )
    if lost:
        with study.executor() as executor:
            evaluate_kept(study, lost, store, executor, watch)
