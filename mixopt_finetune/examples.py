"""A task's examples: rows of its files or of the hub, checked once, before anything is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from numpy.typing import NDArray

    from mixopt_finetune.catalogue import Task

# The choice of examples under a limit is the same for every model and seed.
_LIMIT_SEED = 0


@dataclass(frozen=True)
class Answers:
    """The answers to one question.

    Attributes:
        texts: all that count as right.
        start: where in the context the first of them begins, in characters.
    """

    texts: tuple[str, ...]
    start: int


@dataclass(frozen=True, eq=False)
class Examples:
    """n examples of one split.

    Attributes:
        texts: one or two texts each.
        labels: (n,) classes or similarities; none for spans.
        answers: of each question; none for other problems.
    """

    texts: list[tuple[str, ...]]
    labels: NDArray[Any]
    answers: tuple[Answers, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    def limited(self, limit: int | None) -> Self:
        """At most `limit` of them, a fixed random choice in their own order."""
        if limit is None or limit >= len(self):
            return self
        chosen = np.sort(np.random.default_rng(_LIMIT_SEED).permutation(len(self))[:limit])
        answers = tuple(self.answers[index] for index in chosen) if self.answers else ()
        return type(self)(
            [self.texts[index] for index in chosen], self.labels[chosen] if not answers else self.labels, answers
        )


def parse(rows: Iterable[tuple[str, Any]], task: Task, where: str) -> Examples:
    """Examples from rows.

    Args:
        rows: where each stands, in words, and its values by column.
        task: what they should be.
        where: the split, in words.

    Raises:
        DataError: a column is missing, a value is not what it should be, there is no row, or one label in all.
    """
    needed = (*task.texts, task.label)
    texts, labels = [], []
    for place, row in rows:
        if not isinstance(row, dict) or any(column not in row for column in needed):
            found = ", ".join(map(str, row)) if isinstance(row, dict) else repr(row)[:40]
            raise DataError(f"{place}: {task.name} needs the columns {', '.join(needed)}, found {found or 'none'}")
        for column in task.texts:
            if not isinstance(row[column], str):
                raise DataError(f"{place}: {column}: expected text, found {row[column]!r:.40}")
            if not row[column].isascii() and not _encodable(row[column]):
                raise DataError(f"{place}: {column}: half of a surrogate pair, no valid text")
        texts.append(tuple(row[column] for column in task.texts))
        labels.append(_READERS[task.problem](row, task, place))
    if not texts:
        raise DataError(f"{where}: expected examples of {task.name}, found none; an empty split has no score")
    if task.problem != "spans" and len(set(labels)) == 1:
        raise DataError(
            f"{where}: expected several labels, found {labels[0]} in all of {len(labels)} examples; "
            f"give a split with more than one"
        )
    if task.problem == "spans":
        return Examples(texts, np.empty(0), tuple(labels))
    return Examples(texts, np.array(labels, dtype=np.int64 if task.classes else np.float32))


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _class(row: dict[str, Any], task: Task, place: str) -> int:
    try:
        label = int(row["label"])
        if label != float(row["label"]):
            label = -1
    except (TypeError, ValueError, OverflowError):
        label = -1
    if not 0 <= label < task.classes:
        raise DataError(
            f"{place}: label: expected a class from 0 to {task.classes - 1}, found {row['label']!r:.40}"
            f"{' (a hidden label has no score)' if str(row['label']) == '-1' else ''}"
        )
    return label


def _similarity(row: dict[str, Any], task: Task, place: str) -> float:
    del task
    try:
        label = float(row["label"])
    except (TypeError, ValueError):
        label = math.nan
    if not 0 <= label <= 5:
        raise DataError(f"{place}: label: expected a similarity from 0 to 5, found {row['label']!r:.40}")
    return label


def _answers(row: dict[str, Any], task: Task, place: str) -> Answers:
    found = row["answers"]
    try:
        texts, start = tuple(found["text"]), int(found["answer_start"][0])
    except (TypeError, KeyError, IndexError, ValueError, OverflowError):
        texts, start = (), 0
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise DataError(
            f"{place}: answers: expected lists `text` and `answer_start`, one answer at least, found {found!r:.60}"
        )
    context = row[task.texts[1]]
    if start < 0 or context[start : start + len(texts[0])] != texts[0]:
        raise DataError(
            f"{place}: answers: expected {texts[0]!r:.40} at character {start} of the context, found "
            f"{context[max(start, 0) : max(start, 0) + len(texts[0])]!r:.40}"
        )
    return Answers(texts, start)


_READERS = {"classes": _class, "similarity": _similarity, "spans": _answers}
