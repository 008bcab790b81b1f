"""What the tasks are: columns, labels, splits, metrics and learning rates.

Columns, labels and splits: the hub's `nyu-mll/glue` and `rajpurkar/squad`. Metrics: Wang et al. 2018 (GLUE), table
1 and section 3; Rajpurkar et al. 2016 (SQuAD), section 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Problem = Literal["classes", "similarity", "spans"]

# AutoScale (Kang et al. 2024), table 6, has a rate of 2e-5 or 5e-5 and does not say which task has which. Here the
# greater one goes to tasks below 10,000 examples, which three epochs give few steps, and to SQuAD, as Devlin et al.
# 2019 (BERT), section 4.2, have it.
_LARGE, _SMALL = 2e-5, 5e-5

TRAIN = "train"
_VALIDATION = ("validation",)
_PAIR = ("sentence1", "sentence2")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task.

    Attributes:
        name: as users write it.
        folder: where its files lie in a folder of tasks.
        hub: name and configuration of the data set on the hub.
        problem: a class of one or two texts, the similarity of two (a number), or a span of the second.
        texts: columns of the texts.
        classes: how many there are; 0 for other problems.
        metrics: the task's own; the first is the main one, or their mean where there are two.
        learning_rate: peak rate at BERT-base's width.
        validation: splits that are measured, each on its own.
    """

    name: str
    folder: str
    hub: tuple[str, str]
    problem: Problem = "classes"
    texts: tuple[str, ...]
    classes: int = 2
    metrics: tuple[str, ...] = ("acc",)
    learning_rate: float
    validation: tuple[str, ...] = _VALIDATION

    @property
    def splits(self) -> tuple[str, ...]:
        """The training split, and those that are measured."""
        return (TRAIN, *self.validation)

    @property
    def label(self) -> str:
        """The column of what is to be found."""
        return "answers" if self.problem == "spans" else "label"


def _glue(name: str, texts: tuple[str, ...], learning_rate: float, **options: object) -> Task:
    fields: dict[str, object] = {
        "name": f"glue_{name}", "folder": f"glue/{name}", "hub": ("nyu-mll/glue", name), "texts": texts,
        "learning_rate": learning_rate,
    }  # fmt: skip
    return Task(**fields, **options)  # pyright: ignore[reportArgumentType]


_TASKS = (
    _glue("cola", ("sentence",), _SMALL, metrics=("matthews",)),
    _glue("sst2", ("sentence",), _LARGE),
    _glue("mrpc", _PAIR, _SMALL, metrics=("f1", "acc")),
    _glue("qqp", ("question1", "question2"), _LARGE, metrics=("f1", "acc")),
    _glue("stsb", _PAIR, _SMALL, problem="similarity", classes=0, metrics=("pearson", "spearman")),
    _glue(
        "mnli", ("premise", "hypothesis"), _LARGE, classes=3, validation=("validation_matched", "validation_mismatched")
    ),
    _glue("qnli", ("question", "sentence"), _LARGE),
    _glue("rte", _PAIR, _SMALL),
    _glue("wnli", _PAIR, _SMALL),
    Task(
        name="squad",
        folder="squad",
        hub=("rajpurkar/squad", "plain_text"),
        problem="spans",
        texts=("question", "context"),
        classes=0,
        metrics=("f1", "exact"),
        learning_rate=_SMALL,
    ),
)

TASKS = {task.name: task for task in _TASKS}
NAMES = tuple(TASKS)

# GLUE without WNLI, as AutoScale's and BERT's tables have it: its validation examples repeat those of training
# with the opposite answer, and every model stays at the majority class or below (Devlin et al. 2019, section 4.1).
GROUPS = {
    "glue": tuple(name for name in NAMES if name.startswith("glue_") and name != "glue_wnli"),
    "squad": ("squad",),
}
