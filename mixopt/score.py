"""Score: one number that a trained model got at a downstream task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# How objectives, tables and files name a task beside domains: `task:hellaswag`.
TASK_PREFIX = "task:"


@dataclass(frozen=True, kw_only=True)
class Score:
    """One metric of one task.

    Attributes:
        task: the task's name (`arc_easy`, `offline_cloze_legal`, `glue_mrpc`).
        metric: `acc`, `acc_norm`, `f1`, `matthews` and so on.
        value: the score, in the metric's own unit; shares from 0 to 1, not percent.
        standard_error: of `value`, from the spread over items; None where the task has none.
        items: items that it is a mean of.
        identity: 16 hexadecimal digits from all that changes the number beside the model: the task's content and
            version, shots, limit, settings and seed.
        shots: solved examples in the prompt.
        seed: of fine-tuning; None where nothing is random.
        higher_is_better: whether greater values are better.
        main: whether this metric stands for the task, in averages and objectives.
        chance: what guessing scores; None where that is not known.
    """

    task: str
    metric: str
    value: float
    standard_error: float | None
    items: int
    identity: str
    shots: int = 0
    seed: int | None = None
    higher_is_better: bool = True
    main: bool = False
    chance: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)
