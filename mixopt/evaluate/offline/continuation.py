"""Choose the true continuation among four: HellaSwag's form (Zellers et al. 2019), with four true continuations.

The wrong endings are the true ones of other passages of the domain (`mixopt.evaluate.offline.fours`), from other
documents where there are enough. All four have the same number of tokens, and tokens of about the same frequency.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixopt.evaluate.offline.documents import MAX_TOKENS
from mixopt.evaluate.offline.fours import CHOICES, shared_answers

if TYPE_CHECKING:
    import random

    from mixopt.arrays import Ints
    from mixopt.evaluate.offline.documents import HeldOut, Passage

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
        held_out: the documents.
        domain: which of them.
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
