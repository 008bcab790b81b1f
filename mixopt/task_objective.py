"""Objectives that read downstream scores: the error of a task, 1 − score, beside losses in a history.

A perplexity-like metric, of which lower is better, is taken as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixopt.errors import ConfigError
from mixopt.score import TASK_PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixopt.arrays import Floats

UNITS = "error"


def is_task(domain: str) -> bool:
    """Whether an evaluation domain is a downstream task."""
    return domain.startswith(TASK_PREFIX)


@dataclass(frozen=True)
class TaskError:
    """Error of one task.

    Attributes:
        name: `task:NAME`.
    """

    name: str
    units: str = UNITS

    def value(
        self,
        losses: Floats,
        domains: Sequence[str],
        trained: Sequence[str],  # noqa: ARG002
    ) -> Floats:
        """The task's error.

        Raises:
            ConfigError: it was not measured.
        """
        return losses[..., columns(self.name, (self.name,), domains)[0]]


@dataclass(frozen=True)
class Downstream:
    """Mean error of all tasks."""

    name: str = "downstream"
    units: str = UNITS

    def value(
        self,
        losses: Floats,
        domains: Sequence[str],
        trained: Sequence[str],  # noqa: ARG002
    ) -> Floats:
        """Mean error.

        Raises:
            ConfigError: no task was measured.
        """
        tasks = tuple(filter(is_task, domains))
        return losses[..., columns(self.name, tasks, domains)].mean(axis=-1)


def columns(objective: str, wanted: Sequence[str], domains: Sequence[str]) -> list[int]:
    """Where tasks stand among evaluation domains.

    Args:
        objective: who asks, for messages.
        wanted: the tasks, with their prefix.
        domains: V names.

    Raises:
        ConfigError: one of them was not measured, or none is wanted.
    """
    there = [domain for domain in domains if is_task(domain)]
    lost = [task for task in wanted if task not in there]
    if lost or not wanted:
        what = f"the task {lost[0].removeprefix(TASK_PREFIX)!r}" if lost else "a task"
        names = ", ".join(task.removeprefix(TASK_PREFIX) for task in there) or "no task"
        raise ConfigError(
            f"objective {objective}: expected scores of {what}, found {names}; name it in evaluation.tasks "
            "(--set evaluation.tasks=NAME), or in a table of runs add a column score.NAME"
        )
    return [list(domains).index(task) for task in wanted]
