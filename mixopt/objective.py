"""What is minimised: one number from a run's losses by domain. Computed, never stored in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixopt.arrays import Bools, Floats
from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.score import TASK_PREFIX

if TYPE_CHECKING:
    from mixopt.history import History


# Nats: no loss comes near, and exp of twice as much is a finite number.
_MOST = 300.0


class Objective(Protocol):
    """A number to minimise, from validation losses.

    Attributes:
        name: as it is written on the command line.
        units: of its values, for tables and axes.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 (documented above)

    @property
    def units(self) -> str: ...  # noqa: D102

    def value(self, losses: Floats, domains: Sequence[str], trained: Sequence[str]) -> Floats:
        """The objective of each run.

        Args:
            losses: (…, V) nats/token, and errors of the domains `task:NAME`.
            domains: V names, in the order of the last axis.
            trained: names of the training domains; the other ones of `domains` are only measured, and count only
                for an objective that names them.

        Returns:
            (…).
        """
        ...


def trained_losses(losses: Floats, domains: Sequence[str], trained: Sequence[str]) -> Floats:
    """The losses (…, V) of those domains that are trained on; all losses where none is.

    The last is for tables from elsewhere, whose validation sets have names of their own.

    Raises:
        ConfigError: there are scores of tasks, and no losses.
    """
    return losses[..., np.flatnonzero(counted_losses(domains, trained))]


def counted_losses(domains: Sequence[str], trained: Sequence[str]) -> Bools:
    """(V,) the domains of `trained_losses`."""
    loss = np.array([not is_task(domain) for domain in domains], dtype=np.bool_)
    if not loss.any():
        raise ConfigError(
            f"objective: expected losses, found scores of {', '.join(domains)} alone; use --objective downstream"
        )
    chosen = loss & np.array([domain in trained for domain in domains], dtype=np.bool_)
    return chosen if chosen.any() else loss


def perplexities(losses: Floats) -> Floats:
    """exp(loss), finite, and finite squared, for a law that is absurd far from its runs too."""
    return np.exp(np.minimum(losses, _MOST))


@dataclass(frozen=True)
class MeanPerplexity:
    """Arithmetic mean of the domains' perplexities exp(loss): AutoScale's, and the default."""

    name: str = "mean_ppl"
    units: str = "perplexity"

    def value(self, losses: Floats, domains: Sequence[str], trained: Sequence[str]) -> Floats:
        """Mean of exp(loss)."""
        return perplexities(trained_losses(losses, domains, trained)).mean(axis=-1)


@dataclass(frozen=True)
class MeanLoss:
    """Mean of the domains' losses (the logarithm of the geometric mean of perplexities)."""

    name: str = "mean_loss"
    units: str = "nats/token"

    def value(self, losses: Floats, domains: Sequence[str], trained: Sequence[str]) -> Floats:
        """Mean loss."""
        return trained_losses(losses, domains, trained).mean(axis=-1)


@dataclass(frozen=True)
class WorstLoss:
    """Loss of the domain where it is greatest."""

    name: str = "worst"
    units: str = "nats/token"

    def value(self, losses: Floats, domains: Sequence[str], trained: Sequence[str]) -> Floats:
        """Greatest loss."""
        return trained_losses(losses, domains, trained).max(axis=-1)


@dataclass(frozen=True)
class WeightedLoss:
    """Mean loss weighted by domain: Σ_v weight_v · loss_v; errors of tasks may be among the losses."""

    # a mixture over evaluation domains, trained on or not, and `task:NAME`; those that it does not name count nothing
    weights: Mixture
    name: str = "weighted"  # `weighted:FILE`
    units: str = "nats/token"

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that count, with their prefix."""
        return tuple(name for name, weight in self.weights.to_dict().items() if weight and is_task(name))

    def value(self, losses: Floats, domains: Sequence[str], trained: Sequence[str]) -> Floats:
        """Weighted loss.

        Raises:
            ConfigError: the weights name a domain with no loss.
        """
        if self.tasks:
            columns(self.name, self.tasks, domains)
        try:
            return losses @ self.weights.ordered(domains).array
        except ConfigError as error:
            raise ConfigError(f"objective {self.name}: {error}") from error


BUILT_IN: tuple[Objective, ...] = (MeanPerplexity(), MeanLoss(), WorstLoss())


_NAMES = f"{', '.join(objective.name for objective in BUILT_IN)}, task:NAME, downstream or weighted:FILE"


def parse_objective(text: str) -> Objective:
    """The objective named on a command line, as `mean_ppl`, `task:hellaswag` or `weighted:FILE`.

    Raises:
        ConfigError: none of these, or no mixture in the file.
    """
    for objective in (*BUILT_IN, Downstream()):
        if objective.name == text:
            return objective
    kind, _, rest = text.partition(":")
    if kind == "task" and rest:
        return TaskError(text)
    if kind == "weighted" and rest:
        return weighted(Mixture.from_file(rest), f"weighted:{Path(rest).name}")
    raise ConfigError(f"objective: expected {_NAMES}, found {text!r}")


def weighted(weights: Mixture, name: str) -> WeightedLoss:
    """A weighted sum of losses, of errors of tasks, or of both, which its units then say."""
    found = WeightedLoss(weights, name)
    if not found.tasks:
        return found
    counted = [domain for domain, weight in weights.to_dict().items() if weight]
    return replace(found, units=UNITS if len(counted) == len(found.tasks) else "nats/token and error")


def other_objectives(objective: Objective, domains: Sequence[str]) -> list[Objective]:
    """The other objectives of losses, where there are losses."""
    some = not all(map(is_task, domains))
    return [other for other in BUILT_IN if some and other.name != objective.name]


def tasks_of(objective: Objective, domains: Sequence[str]) -> tuple[str, ...]:
    """The tasks that an objective reads, with their prefix, of V evaluation domains or beside them."""
    if isinstance(objective, TaskError):
        return (objective.name,)
    if isinstance(objective, Downstream):
        return tuple(filter(is_task, domains))
    return objective.tasks if isinstance(objective, WeightedLoss) else ()


def score_noise(objective: Objective, history: History) -> float:
    """Standard error of one run's objective over the items of its tasks; 0 where it reads none.

    All runs see the same items, so that this is more than what tells two runs apart: an assumption on the safe
    side, for histories that repeat no run. Objectives are linear in errors, and tasks have items of their own.
    """
    tasks = tasks_of(objective, history.eval_domains)
    if not tasks or history.standard_errors is None or not len(history):
        return 0.0
    each = np.eye(len(history.eval_domains))
    shares = objective.value(each, history.eval_domains, history.domains)
    return float(np.sqrt(((shares * history.standard_errors) ** 2).sum(axis=1).mean()))


UNITS = "error"


def is_task(domain: str) -> bool:
    """Whether an evaluation domain is a downstream task."""
    return domain.startswith(TASK_PREFIX)


@dataclass(frozen=True)
class TaskError:
    """Error of one task."""

    name: str  # `task:NAME`
    units: str = UNITS

    def value(self, losses: Floats, domains: Sequence[str], trained: Sequence[str]) -> Floats:
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

    def value(self, losses: Floats, domains: Sequence[str], trained: Sequence[str]) -> Floats:
        """Mean error.

        Raises:
            ConfigError: no task was measured.
        """
        tasks = tuple(filter(is_task, domains))
        return losses[..., columns(self.name, tasks, domains)].mean(axis=-1)


def columns(objective: str, wanted: Sequence[str], domains: Sequence[str]) -> list[int]:
    """Where tasks stand among evaluation domains.

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
