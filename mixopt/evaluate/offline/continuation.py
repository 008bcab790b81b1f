"""Choose the true continuation among four: HellaSwag's form (Zellers et al. 2019), with four true continuations.

The wrong endings are the true ones of other passages of the domain (`mixopt.evaluate.offline.cloze`), from other
documents where there are enough. All four have the same number of tokens, and tokens of about the same frequency.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from mixopt.evaluate.offline.cloze import CHOICES, shared_answers
from mixopt.evaluate.offline.documents import MAX_TOKENS, HeldOut, Passage
from mixopt.evaluation import EvalTask

if TYPE_CHECKING:
    import random

    from mixopt.arrays import Ints


# Raised when a change of the code changes items.
VERSION = 1.0


def multiple_choice(
    name: str, items: Sequence[Mapping[str, Any]], *, metrics: Sequence[str] = ("acc", "acc_norm"), **more: Any
) -> EvalTask:
    """A task that chooses among the endings of a context.

    Args:
        items: rows with `context`, `endings`, which bring the space before them along, and `gold`.
    """
    config = {"output_type": "multiple_choice", "doc_to_choice": "endings", "doc_to_target": "gold", **more}
    return _task(name, items, config, [(metric, "mean", True) for metric in metrics])


def last_word(name: str, items: Sequence[Mapping[str, Any]]) -> EvalTask:
    """A task as LAMBADA: the word after a context, right where greedy decoding gives it whole."""
    config = {"output_type": "loglikelihood", "doc_to_target": "word"}
    # Guessing finds none of the words.
    return _task(name, items, config, [("acc", "mean", True), ("perplexity", "perplexity", False)], chance=0.0)


def _task(
    name: str,
    items: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any],
    metrics: Sequence[tuple[str, str, bool]],
    **metadata: Any,
) -> EvalTask:
    content = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": f"{name}.jsonl"}},
        "test_split": "test",
        "doc_to_text": "context",
        # By default a space is put before each answer; these have theirs.
        "target_delimiter": "",
        **config,
        "metric_list": [
            {"metric": metric, "aggregation": aggregation, "higher_is_better": better}
            for metric, aggregation, better in metrics
        ],
        "metadata": {"version": VERSION, "main": metrics[0][0], **metadata},
    }
    lines = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
    files = ((f"{name}.yaml", yaml.safe_dump(content, sort_keys=False).encode()), (f"{name}.jsonl", lines.encode()))
    return EvalTask(name=name, kind="harness", settings={"shots": 0, "limit": None}, files=files)


ENDING_TOKENS = 16
_LEAST_CONTEXT_TOKENS = 16


@dataclass(frozen=True)
class _Cut:
    """A passage in two: how it goes on, and how frequent the tokens of that are."""

    document: int
    context: str
    ending: str
    likelihood: int


def continuation_items(held_out: HeldOut, domain: str, count: int, rng: random.Random) -> list[dict[str, Any]]:
    """Items with `context`, `endings` (4 distinct texts) and `gold` (the index of the true one).

    Args:
        count: the most items; a multiple of 4 comes out.
        rng: chooses passages and the order of the endings.
    """
    counts = held_out.token_counts(domain)
    cuts: dict[str, _Cut] = {}
    contexts: set[str] = set()
    for passages in held_out.passages(domain, rng):
        found = [cut for passage in passages if (cut := _cut(passage, counts))]
        fitting = held_out.fitting([(cut.context, cut.ending) for cut in found])
        for cut in itertools.compress(found, fitting):
            # A context that two documents share has two true endings.
            if cut.context not in contexts and cut.ending not in cuts:
                contexts.add(cut.context)
                cuts[cut.ending] = cut
        if len(cuts) >= count:
            break
    chosen = list(cuts.values())[:count]
    groups = _groups(sorted(chosen, key=lambda cut: (cut.likelihood, cut.ending)))
    rng.shuffle(groups)
    return [item for group in groups for item in shared_answers([(cut.context, cut.ending) for cut in group], rng)]


def _cut(passage: Passage, counts: Ints) -> _Cut | None:
    """The passage with the longest context such that an ending of exactly `ENDING_TOKENS` follows."""
    total = [0]
    for word in passage.tokens:
        total.append(total[-1] + len(word))
    place = {tokens: index for index, tokens in enumerate(total)}
    for end in range(len(total) - 1, 0, -1):
        start = place.get(total[end] - ENDING_TOKENS)
        if total[end] > MAX_TOKENS or start is None or total[start] < _LEAST_CONTEXT_TOKENS:
            continue
        ids = [token for word in passage.tokens[start:end] for token in word]
        # A product of whole numbers: a sum of logarithms would order ties otherwise on another machine.
        likelihood = math.prod(int(counts[token]) + 1 for token in ids)
        return _Cut(passage.document, passage.text(0, start), passage.text(start, end), likelihood)
    return None


def _groups(cuts: list[_Cut]) -> list[list[_Cut]]:
    """Groups of four neighbours in the order given, of different documents where that is possible."""
    left, groups = list(cuts), []
    while len(left) >= CHOICES:
        group = [left[0]]
        seen = {left[0].document}
        for cut in left[1:]:
            if cut.document not in seen:
                group.append(cut)
                seen.add(cut.document)
            if len(group) == CHOICES:
                break
        # Too few documents: neighbours of any.
        group += [cut for cut in left if cut not in group][: CHOICES - len(group)]
        left = [cut for cut in left if cut not in group]
        groups.append(group)
    return groups
