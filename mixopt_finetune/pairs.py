"""Classes and similarities of one or two texts: GLUE."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mixopt_finetune.loop import Features
from mixopt_finetune.metrics import class_metric, mean_of, mean_over_splits, similarity_metric

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mixopt_finetune.catalogue import Task
    from mixopt_finetune.encode import Encoder, Inputs
    from mixopt_finetune.examples import Examples
    from mixopt_finetune.metrics import Metric


class Pairs:
    """One task of texts.

    Args:
        task: which.
        examples: by split.
        encoder: the checkpoint's.
    """

    head = "AutoModelForSequenceClassification"

    def __init__(self, task: Task, examples: dict[str, Examples], encoder: Encoder) -> None:
        self._task = task
        self._labels = {split: found.labels for split, found in examples.items()}
        self._inputs = {split: encoder.texts(found.texts) for split, found in examples.items()}
        train = task.splits[0]
        self.features = Features(self._inputs[train], {"labels": self._labels[train]})
        similar = task.problem == "similarity"
        self.options: dict[str, Any] = {
            "num_labels": 1 if similar else task.classes,
            "problem_type": "regression" if similar else "single_label_classification",
        }

    def measure(
        self, predict: Callable[[Inputs, Callable[[Any, NDArray[np.int64]], Tensor]], NDArray[np.float64]]
    ) -> list[Metric]:
        """The task's metrics, the main one first.

        Args:
            predict: (n, k) values of each sequence, by what reads them from the model's output.
        """
        by_split = {
            split: self._metrics(predict(self._inputs[split], lambda output, _: output.logits), self._labels[split])
            for split in self._task.validation
        }
        return main_first(by_split)

    def _metrics(self, logits: NDArray[np.float64], labels: NDArray[Any]) -> list[Metric]:
        if self._task.problem == "similarity":
            return [similarity_metric(name, logits[:, 0], labels) for name in self._task.metrics]
        return [class_metric(name, logits.argmax(axis=1), labels) for name in self._task.metrics]


def main_first(by_split: dict[str, list[Metric]]) -> list[Metric]:
    """All metrics, and before them the mean of two: of one split, or of one metric on several."""
    if len(by_split) == 1:
        (metrics,) = by_split.values()
        return metrics if len(metrics) == 1 else [mean_of(metrics), *metrics]
    named = [
        replace(metric, name=f"{metric.name}_{split.removeprefix('validation_')}")
        for split, metrics in by_split.items()
        for metric in metrics
    ]
    return [mean_over_splits(named), *named]
