"""Downstream scores beside the losses of a history, as numbers to minimise.

Symbols: R runs, V evaluation domains, T tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Floats
from mixopt.errors import StoreError
from mixopt.score import TASK_PREFIX, Score, error_of_mean, labels
from mixopt.store.schema import Database, among

if TYPE_CHECKING:
    from mixopt.evaluation import EvalTask
    from mixopt.history import History


def with_errors(history: History, tasks: Sequence[EvalTask], scores: Mapping[str, Sequence[Score]]) -> History:
    """The history with an evaluation domain `task:NAME` for each task: its error, 1 − score.

    Fine-tunings that differ in their seed count with their mean.

    Raises:
        StoreError: a run has no score of a task.
    """
    called = by_label(tasks)
    values = np.zeros((len(history), len(called)))
    deviations = np.zeros_like(values)
    for row, run in enumerate(history.runs):
        found = main_scores(scores.get(run, ()))
        for column, (label, same) in enumerate(called.items()):
            if any(task.identity not in found for task in same):
                raise StoreError(
                    f"run {run} has no score of task {label!r}; the command that asks for it evaluates the run's "
                    "kept model, or trains it again"
                )
            parts = [found[task.identity] for task in same]
            values[row, column] = np.mean([part.error for part in parts])
            deviations[row, column] = error_of_mean(parts) or 0.0
    return replace(
        history,
        eval_domains=(*history.eval_domains, *(f"{TASK_PREFIX}{label}" for label in called)),
        losses=np.hstack([history.losses, values]),
        standard_errors=np.hstack([np.zeros_like(history.losses), deviations]),
    )


def by_label(tasks: Iterable[EvalTask]) -> dict[str, list[EvalTask]]:
    """Tasks by what they are called (`mixopt.score.labels`); fine-tunings with several seeds go together."""
    asked = [((task.name, int(task.settings.get("shots") or 0)), task) for task in tasks]
    names = labels(pair for pair, _ in asked)
    found: dict[str, list[EvalTask]] = {}
    for pair, task in asked:
        found.setdefault(names[pair], []).append(task)
    return found


def main_scores(scores: Iterable[Score]) -> dict[str, Score]:
    """The score that stands for each task, by identity."""
    return {score.identity: score for score in scores if score.main}


def errors_of(named: Mapping[str, str], scores: Mapping[str, Sequence[Score]]) -> dict[str, dict[str, float]]:
    """Errors of runs as `with_errors` has them, `task:NAME` by run; a run that lacks one is left out."""
    found: dict[str, dict[str, float]] = {}
    for run, some in scores.items():
        have = main_scores(some)
        if named and named.keys() <= have.keys():
            parts: dict[str, list[float]] = {}
            for identity, label in named.items():
                parts.setdefault(f"{TASK_PREFIX}{label}", []).append(have[identity].error)
            found[run] = {task: float(np.mean(values)) for task, values in parts.items()}
    return found


def wide(run_ids: Sequence[str], scores: Mapping[str, Sequence[Score]]) -> dict[str, Floats]:
    """Columns (R,) of a frame: `score.NAME` (`error.NAME` where lower is better) and `score_se.NAME`.

    NaN where a run has no such score. Of several settings of a task the last that was measured counts; fine-tunings
    with several seeds count with their mean.
    """
    latest: dict[str, dict[tuple[str, int], dict[int | None, Score]]] = {}
    for run in run_ids:
        tasks = latest.setdefault(run, {})
        for score in scores.get(run, ()):
            if score.main:
                tasks.setdefault((score.task, score.shots), {})[score.seed] = score
    names = labels(task for tasks in latest.values() for task in tasks)
    columns: dict[str, Floats] = {}
    for row, run in enumerate(run_ids):
        for task, by_seed in latest[run].items():
            parts = list(by_seed.values())
            kind = "score" if parts[0].higher_is_better else "error"
            values = {kind: float(np.mean([part.value for part in parts])), "score_se": error_of_mean(parts)}
            for name, value in values.items():
                if value is None:
                    continue
                column = columns.setdefault(f"{name}.{names[task]}", np.full(len(run_ids), np.nan))
                column[row] = value
    return columns


_FIELDS = tuple(field.name for field in fields(Score))
_COLUMNS = ("subject", "source", "created", *_FIELDS)
_FLAGS = ("higher_is_better", "main")


class ScoreTable:
    """The table of scores; a subject is a run's id, or the digest of a checkpoint that no run of the table made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, subject: str, scores: Iterable[Score], *, source: str) -> None:
        """Write scores; those of the same task, metric and identity are replaced.

        Raises:
            StoreError: the table cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = [(subject, source, now, *(getattr(score, name) for name in _FIELDS)) for score in scores]
        places = ", ".join("?" * len(_COLUMNS))
        with self._database.transaction() as connection:
            connection.executemany(f"INSERT OR REPLACE INTO scores ({', '.join(_COLUMNS)}) VALUES ({places})", rows)

    def of(self, subjects: Iterable[str] | None = None) -> dict[str, list[Score]]:
        """Scores by subject (None: of all), in the order of tasks and metrics; only of subjects that have any."""
        return {
            subject: [Score(**{name: _value(row, name) for name in _FIELDS}) for row in rows]
            for subject, rows in self._rows(subjects).items()
        }

    def sources(self) -> dict[str, str]:
        """Where the model of each subject lay."""
        return {subject: rows[-1]["source"] for subject, rows in self._rows(None).items()}

    def remove(self, subjects: Iterable[str]) -> None:
        """Remove the scores of some subjects."""
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM scores WHERE subject = ?", [(subject,) for subject in subjects])

    def _rows(self, subjects: Iterable[str] | None) -> dict[str, list[Any]]:
        # A table of an older version that is only read has no scores.
        if not self._database.all("SELECT 1 FROM sqlite_master WHERE name = 'scores'"):
            return {}
        chosen, values = among("subject", subjects)
        found: dict[str, list[Any]] = {}
        order = "subject, task, shots, metric, seed, created"
        for row in self._database.all(f"SELECT * FROM scores WHERE {chosen} ORDER BY {order}", values):
            found.setdefault(row["subject"], []).append(row)
        return found


def _value(row: Any, name: str) -> Any:
    return bool(row[name]) if name in _FLAGS else row[name]
