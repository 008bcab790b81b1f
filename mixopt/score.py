"""Score: one number that a trained model got at a downstream task."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

# How objectives, tables and files name a task beside domains: `task:hellaswag`.
TASK_PREFIX = "task:"


@dataclass(frozen=True, kw_only=True)
class Score:
    """One metric of one task."""

    task: str  # the task's name (`arc_easy`, `offline_cloze_legal`, `glue_mrpc`)
    metric: str  # `acc`, `acc_norm`, `f1`, `matthews` and so on
    value: float  # the score, in the metric's own unit; shares from 0 to 1, not percent
    standard_error: float | None  # of `value`, from the spread over items; None where the task has none
    items: int  # items that it is a mean of
    # 16 hexadecimal digits from all that changes the number beside the model: the task's content and version, shots,
    # limit, settings and seed
    identity: str
    shots: int = 0  # solved examples in the prompt
    seed: int | None = None  # of fine-tuning; None where nothing is random
    higher_is_better: bool = True  # whether greater values are better
    main: bool = False  # whether this metric stands for the task, in averages and objectives
    chance: float | None = None  # what guessing scores; None where that is not known

    @property
    def error(self) -> float:
        """The score as a number to minimise: 1 − value where higher is better, else the value."""
        return 1 - self.value if self.higher_is_better else self.value

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ScoredModel:
    """One model's column."""

    name: str  # what it is called, as it was asked for
    subject: str  # whose scores these are in the results table
    source: str  # where the model lies
    scores: Sequence[Score]  # every metric of every task
    missing: Mapping[str, str] = field(default_factory=dict)  # tasks that could not be had, with the reason


def labels(asked: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """What tasks are called beside one another: their names, with `@SHOTS` where one is asked with several."""
    pairs = list(dict.fromkeys(asked))
    several = {name for name, count in Counter(name for name, _ in pairs).items() if count > 1}
    return {pair: f"{pair[0]}@{pair[1]}" if pair[0] in several else pair[0] for pair in pairs}


def error_of_mean(scores: Sequence[Score]) -> float | None:
    """Standard error of the mean of one model's scores at a task, which differ in their seed; None if unknown.

    Several fine-tunings meet the same items, so that only their spread tells how much the mean would move; a single
    score has its own, over items.
    """
    if len(scores) == 1:
        return scores[0].standard_error
    return statistics.stdev(score.value for score in scores) / math.sqrt(len(scores))
