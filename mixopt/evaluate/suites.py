"""Suites of tasks from other packages: from `mixopt_finetune`, for `mixopt[finetune]`, and from anybody's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mixopt.errors import ConfigError
from mixopt.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mixopt.evaluation import EvalTask, Evaluator
    from mixopt.model_spec import Prediction


class Resolve(Protocol):
    """Names to tasks, on the driver: what cannot be read is refused before anything is scored."""

    def __call__(  # noqa: D102 (documented above)
        self, names: Sequence[str], *, shots: int | None, limit: int | None, seeds: int, data: Path | None
    ) -> list[EvalTask]: ...


@dataclass(frozen=True)
class Suite:
    """Tasks that belong together.

    Attributes:
        prediction: the kind of model that they are for.
        resolve: what names stand for.
        names: of all tasks and groups; empty where they are known only once files are looked at.
        score: what scores those of kind `finetune`; None for tasks of kind `harness`, which lm-eval scores.
    """

    prediction: Prediction
    resolve: Resolve
    names: tuple[str, ...] = ()
    score: Evaluator | None = None


# By the first word of the tasks' names: `glue`, `glue_mrpc`.
SUITES: Registry[Suite] = Registry(
    "suite",
    "mixopt.evaluators",
    {
        "bigbench": "mixopt_finetune.bigbench:BIGBENCH",
        "glue": "mixopt_finetune.suite:SUITE",
        "squad": "mixopt_finetune.suite:SUITE",
    },
    base=Suite,
)


def suite_of(name: str) -> Suite | None:
    """The suite that a task's name belongs to; None where it is nobody's.

    Raises:
        ConfigError: its package, or a library that it needs, is not installed.
    """
    word = next((word for word in SUITES if name == word or name.startswith(f"{word}_")), None)
    if word is None:
        return None
    try:
        return SUITES.get(word)
    except ConfigError as error:
        hint = "; pip install 'mixopt[finetune]'" if word in SUITES.builtin else ""
        raise ConfigError(f"{error}{hint}") from error
