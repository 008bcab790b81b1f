"""Spans of a context that answer a question: SQuAD."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from mixopt_finetune.loop import Features
from mixopt_finetune.metrics import span_metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from mixopt_finetune.catalogue import Task
    from mixopt_finetune.encode import Encoder, Inputs, Windows
    from mixopt_finetune.examples import Examples
    from mixopt_finetune.metrics import Metric

# Tokens of the longest answer (Devlin et al. 2019, code).
LONGEST_ANSWER = 30


class Spans:
    """One task of questions and contexts.

    Args:
        task: which.
        examples: by split.
        encoder: the checkpoint's.
    """

    head = "AutoModelForQuestionAnswering"

    def __init__(self, task: Task, examples: dict[str, Examples], encoder: Encoder) -> None:
        train, validation = (examples[split] for split in task.splits)
        self._examples = validation
        self._windows = encoder.windows(validation.texts)
        self.options: dict[str, Any] = {}
        windows = encoder.windows(train.texts)
        places = answer_places(windows, train)
        self.features = Features(
            windows.inputs, {"start_positions": places[:, 0].copy(), "end_positions": places[:, 1].copy()}
        )

    def measure(
        self, predict: Callable[[Inputs, Callable[[Any, NDArray[np.int64]], Tensor]], NDArray[np.float64]]
    ) -> list[Metric]:
        """The task's metrics, the main one first.

        Args:
            predict: (w, 3) values of each window, by what reads them from the model's output.
        """
        windows = self._windows

        def read(output: Any, rows: NDArray[np.int64]) -> Tensor:
            bounds = torch.from_numpy(windows.bounds[rows]).to(output.start_logits.device)
            return best_spans(output.start_logits.float(), output.end_logits.float(), bounds)

        texts = answer_texts(windows, predict(windows.inputs, read), [context for _, context in self._examples.texts])
        return span_metrics(texts, [answers.texts for answers in self._examples.answers])


def answer_places(windows: Windows, examples: Examples) -> NDArray[np.int64]:
    """(w, 2) first and last token of the answer in each window; twice the first token where it is not there."""
    places = np.zeros((len(windows.question), 2), dtype=np.int64)
    for window, question in enumerate(windows.question):
        answer = examples.answers[question]
        begin, end = answer.start, answer.start + len(answer.texts[0])
        first, last = windows.bounds[window]
        offsets = windows.offsets[window][first:last]
        if offsets[0, 0] <= begin and end <= offsets[-1, 1]:
            # A token of a byte-level BPE begins at the blank before its word.
            places[window] = (
                first + np.searchsorted(offsets[:, 1], begin, side="right"),
                first + np.searchsorted(offsets[:, 1], end, side="left"),
            )
    return places


def best_spans(starts: Tensor, ends: Tensor, bounds: Tensor) -> Tensor:
    """The likeliest span of each window, over all that lie in the context and are not too long.

    Args:
        starts: (B, L) logits of the first token.
        ends: (B, L) logits of the last one.
        bounds: (B, 2) first token of the context, and the one after its last.

    Returns:
        (B, 3) first token, last token, and the sum of their logits.
    """
    columns = torch.arange(starts.shape[1], device=starts.device)
    outside = (columns < bounds[:, :1]) | (columns >= bounds[:, 1:])
    starts, ends = (logits.masked_fill(outside, -torch.inf) for logits in (starts, ends))
    # (B, L, 30) the sums for every first token and every length from there.
    later = functional.pad(ends, (0, LONGEST_ANSWER - 1), value=-torch.inf).unfold(1, LONGEST_ANSWER, 1)
    score, place = (starts[..., None] + later).flatten(1).max(dim=1)
    first = place // LONGEST_ANSWER
    return torch.stack([first.double(), (first + place % LONGEST_ANSWER).double(), score.double()], dim=1)


def answer_texts(windows: Windows, spans: NDArray[np.float64], contexts: list[str]) -> list[str]:
    """Of each question the text of the best span in any of its windows; nothing for one without windows.

    Args:
        windows: w of them.
        spans: (w, 3) of each, as `best_spans` has it.
        contexts: of each question.
    """
    texts, scores = [""] * len(contexts), np.full(len(contexts), -np.inf)
    for window, question in enumerate(windows.question):
        first, last, score = spans[window]
        if score > scores[question]:
            scores[question] = score
            offsets = windows.offsets[window]
            texts[question] = contexts[question][offsets[int(first), 0] : offsets[int(last), 1]].strip()
    return texts
