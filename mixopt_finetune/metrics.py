"""The tasks' own metrics, with standard errors where a metric is a mean over items."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

# The mean of a task's two metrics, or of its two splits, which GLUE's leaderboard averages (Wang et al. 2018).
AVERAGE = "average"

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class Metric:
    """One metric of one split.

    Attributes:
        name: as the table has it.
        value: shares from 0 to 1, correlations from -1 to 1.
        items: that it is of.
        standard_error: from the spread over items; None where it is no mean.
        chance: of the constant answer that the labels make best; None where there is none.
    """

    name: str
    value: float
    items: int
    standard_error: float | None = None
    chance: float | None = None


def class_metric(name: str, predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> Metric:
    """A metric of classes; a correlation is 0 where the predictions or the labels are all one.

    Args:
        name: `acc`, `f1` (of class 1) or `matthews`.
        predicted: (n,) classes.
        labels: (n,) right ones.
    """
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    # A model that finds no positive has an F1 of 0, not a warning.
    f1 = partial(f1_score, zero_division=0.0)  # pyright: ignore[reportArgumentType]
    measure: Callable[..., Any] = {"acc": accuracy_score, "f1": f1, "matthews": matthews_corrcoef}[name]
    if name == "matthews" and (np.ptp(predicted) == 0 or np.ptp(labels) == 0):
        return Metric(name, 0.0, len(labels), chance=0.0)
    majority = np.full_like(labels, np.bincount(labels).argmax())
    return Metric(
        name,
        float(measure(labels, predicted)),
        len(labels),
        standard_error(predicted == labels) if name == "acc" else None,
        0.0 if name == "matthews" else float(measure(labels, majority)),
    )


def similarity_metric(name: str, predicted: NDArray[np.floating], labels: NDArray[np.floating]) -> Metric:
    """A correlation, `pearson` or `spearman`, of (n,) predictions; 0 where they or the labels are all one."""
    from scipy.stats import pearsonr, spearmanr

    constant = np.ptp(predicted) == 0 or np.ptp(labels) == 0
    measure: Any = pearsonr if name == "pearson" else spearmanr
    value = 0.0 if constant else float(measure(predicted.astype(np.float64), labels.astype(np.float64)).statistic)
    return Metric(name, value, len(labels), chance=0.0)


def span_metrics(predicted: Sequence[str], answers: Sequence[Sequence[str]]) -> list[Metric]:
    """SQuAD's F1 and exact match: of each question the best over its right answers, then the mean."""
    f1 = [max(token_f1(text, right) for right in rights) for text, rights in zip(predicted, answers, strict=True)]
    exact = [
        max(float(normalised(text) == normalised(right)) for right in rights)
        for text, rights in zip(predicted, answers, strict=True)
    ]
    return [
        Metric(name, float(np.mean(values)), len(values), standard_error(np.array(values)))
        for name, values in (("f1", f1), ("exact", exact))
    ]


def normalised(text: str) -> str:
    """Lower case, without punctuation, articles and needless blanks (Rajpurkar et al. 2016, section 6.1)."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


def token_f1(predicted: str, right: str) -> float:
    """F1 of the words that two normalised texts share, repeated ones as often as both have them."""
    ours, theirs = normalised(predicted).split(), normalised(right).split()
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0


def mean_of(metrics: Sequence[Metric]) -> Metric:
    """The mean of two metrics of the same items, whose standard error is not known."""
    chances = [metric.chance for metric in metrics]
    return Metric(
        AVERAGE,
        float(np.mean([metric.value for metric in metrics])),
        metrics[0].items,
        chance=None if None in chances else float(np.mean(np.array(chances, dtype=np.float64))),
    )


def mean_over_splits(metrics: Sequence[Metric]) -> Metric:
    """The mean of a metric over splits, each counting the same: independent, so the errors add in squares."""
    mean = mean_of(metrics)
    errors = [metric.standard_error for metric in metrics if metric.standard_error is not None]
    known = len(errors) == len(metrics)
    error = math.sqrt(sum(value**2 for value in errors)) / len(errors) if known else None
    return replace(mean, items=sum(metric.items for metric in metrics), standard_error=error)


def standard_error(values: NDArray[np.bool_ | np.float64]) -> float | None:
    """Of the mean of (n,) values; None for one value."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
