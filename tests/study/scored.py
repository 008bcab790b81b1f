"""Studies whose tasks' errors are known functions of the mixture: nothing is trained, nothing is scored."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixopt.evaluation import EvalTask, Outcome
from mixopt.score import Score
from tests.study.test_study import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from mixopt.result import RunResult
    from mixopt.spec import RunSpec

# error = 0.1 + amplitude · exp(−rate · weight): one task for each of two domains.
TASKS = {"spelling": ("words", 0.8, 3.0), "singing": ("chant", 0.6, 2.0)}
# The mean of both is least where 0.8 · 3 · exp(−3 a) = 0.6 · 2 · exp(−2 (1 − a)), a being the share of words.
BEST = {"words": (2 + math.log(2)) / 5, "chant": (3 - math.log(2)) / 5, "arithmetic": 0.0}


def error(task: str, weights: dict[str, float]) -> float:
    """The task's error under a mixture."""
    domain, amplitude, rate = TASKS[task]
    return 0.1 + amplitude * math.exp(-rate * weights[domain])


def mean_error(weights: dict[str, float]) -> float:
    """What `downstream` is."""
    return sum(error(task, weights) for task in TASKS) / len(TASKS)


@dataclass
class Scored:
    """A trainer that keeps models as the loop does, and a worker's evaluation of them.

    Attributes:
        stop_after: evaluations after which it is interrupted.
        refuse: why a task cannot be had, by name.
        deviation: standard error of every score.
        noise: what is added to an error.
    """

    stop_after: int | None = None
    refuse: dict[str, str] = field(default_factory=dict)
    deviation: float | None = 0.001
    noise: Callable[[RunSpec], float] = lambda spec: 0.0
    chance: float | None = None
    specs: dict[str, RunSpec] = field(default_factory=dict)
    trained: list[str] = field(default_factory=list)
    evaluated: list[str] = field(default_factory=list)

    def install(self, patch: pytest.MonkeyPatch) -> Scored:
        """In place of the harness, for names of `TASKS`."""

        def resolve(names: Sequence[str], objective: str, **settings: Any) -> list[EvalTask]:
            return [EvalTask(name=name, kind="harness", settings={"limit": settings["limit"]}) for name in names]

        patch.setattr("mixopt.evaluate.tasks.resolve", resolve)
        patch.setattr("mixopt.evaluate.tasks.evaluate", self.evaluate)
        return self

    def __call__(self, spec: RunSpec, runtime: Any, progress: Any = None) -> RunResult:
        self.trained.append(spec.run_id)
        self.specs[spec.run_id] = spec
        if runtime.keep_checkpoint:
            (Path(runtime.checkpoint_dir) / "final").mkdir(parents=True, exist_ok=True)
        return Trainer()(spec, runtime, progress)

    def evaluate(self, checkpoint: Path, tasks: Sequence[EvalTask], *_: object) -> list[Outcome]:
        if len(self.evaluated) == self.stop_after:
            raise KeyboardInterrupt
        assert checkpoint.is_dir(), "the trained model has to be there"
        run = checkpoint.parent.name
        self.evaluated.append(run)
        return [self._outcome(task, self.specs[run]) for task in tasks]

    def _outcome(self, task: EvalTask, spec: RunSpec) -> Outcome:
        if task.name in self.refuse:
            return Outcome(task=task.name, error=self.refuse[task.name])
        found = Score(
            task=task.name,
            metric="acc",
            value=1 - error(task.name, spec.mixture.to_dict()) - self.noise(spec),
            standard_error=self.deviation,
            items=100,
            identity=task.identity,
            main=True,
            chance=self.chance,
        )
        return Outcome(task=task.name, scores=(found,))
