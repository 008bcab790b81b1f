"""Columns of downstream scores in tables of runs: `score.<task>`, `error.<task>` and `score_se.<task>`.

A score is a share from 0 to 1 of which greater is better, and its evaluation domain `task:<task>` has the error,
1 − score. `error.<task>` is of metrics of which lower is better (a perplexity), and is taken as it is. `score_se`
is the standard error of either, over the task's items.

Symbols: R runs, T tasks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixopt.errors import ConfigError
from mixopt.objective import tasks_of
from mixopt.score import TASK_PREFIX
from mixopt.task_objective import is_task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mixopt.arrays import Floats
    from mixopt.history import History
    from mixopt.objective import Objective
    from mixopt.store.csv_table import CsvTable

SCORE, ERROR, DEVIATION = "score", "error", "score_se"
KINDS = (SCORE, ERROR, DEVIATION)


@dataclass(frozen=True, eq=False)
class ScoreColumns:
    """What a table says of tasks.

    Attributes:
        errors: (R,) by task.
        deviations: (R,) standard errors by task; 0 where the table has none.
    """

    errors: dict[str, Floats]
    deviations: dict[str, Floats]

    @classmethod
    def of(cls, table: CsvTable) -> ScoreColumns:
        """Read the columns of tasks.

        Raises:
            ConfigError: a score is no share, a task has two columns, or a standard error no score.
        """
        found: dict[str, dict[str, Floats]] = {kind: {} for kind in KINDS}
        for name in table.columns:
            kind, dot, task = name.partition(".")
            if not dot or kind not in KINDS:
                continue
            values = np.array(table.numbers(name))
            # A correlation (Matthews) may be below 0.
            least, most = {SCORE: (-1.0, 1.0)}.get(kind, (0.0, np.inf))
            bad = np.flatnonzero((values < least) | (values > most))
            if bad.size:
                what = "a share from 0 to 1, not percent" if kind == SCORE else "a number of at least 0"
                raise ConfigError(
                    f"{table.where(int(bad[0]))}: column {name!r}: expected {what}, found {values[bad[0]]:g}"
                )
            found[kind][task] = values
        scores, errors, deviations = (found[kind] for kind in KINDS)
        for task in scores:
            if task in errors:
                raise ConfigError(f"{table.what} {table.path}: {task!r} has a score and an error; keep one column")
        for task in deviations:
            if task not in {**scores, **errors}:
                raise ConfigError(
                    f"{table.what} {table.path}: score_se.{task} has no column score.{task} beside it"
                )
        errors = {**{task: 1 - values for task, values in scores.items()}, **errors}
        zero = np.zeros(len(table.lines))
        return cls(errors, {task: deviations.get(task, zero) for task in errors})

    def beside(self, history: History) -> History:
        """The history with a domain for each task."""
        if not self.errors:
            return history
        return replace(
            history,
            eval_domains=(*history.eval_domains, *(f"{TASK_PREFIX}{task}" for task in self.errors)),
            losses=np.column_stack([history.losses, *self.errors.values()]),
            standard_errors=np.column_stack([np.zeros_like(history.losses), *self.deviations.values()]),
        )


def only_needed(history: History, objectives: Iterable[Objective]) -> History:
    """The history without the tasks that no objective reads: laws need not be fitted to them."""
    read = {task for objective in objectives for task in tasks_of(objective, history.eval_domains)}
    keep = [column for column, domain in enumerate(history.eval_domains) if domain in read or not is_task(domain)]
    deviations = history.standard_errors
    return replace(
        history,
        eval_domains=tuple(history.eval_domains[column] for column in keep),
        losses=history.losses[:, keep],
        standard_errors=None if deviations is None or not read else deviations[:, keep],
    )
