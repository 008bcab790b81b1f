"""The last word of a passage, as in LAMBADA (Paperno et al. 2016): one that the passage has said before.

People chose LAMBADA's passages such that the last word can be guessed from the whole and not from the last sentence
alone; in most of them it occurs in the passage before. Here a rule chooses: the last word has three characters
(letters, digits, underscores) or more, the passage has it before, and it makes up at most 1 % of such words in the
domain, so that `the` and `self` are not asked for.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mixopt.evaluate.offline.documents import MAX_TOKENS, HeldOut, Passage

if TYPE_CHECKING:
    import random


CHOICES = 4


def shared_answers(problems: Sequence[tuple[str, str]], rng: random.Random, **more: Any) -> Iterator[dict[str, Any]]:
    """An item for each of four problems: `context`, `endings` (all four answers) and `gold` (the place of its own).

    The right answer stands at each place once in a group, and each answer is right once: whoever ignores the contexts
    scores exactly one in four, as an answer's length or likelihood gives nothing away.

    Args:
        problems: contexts with their answers; the answers are distinct.
        rng: the order.
    """
    problems = rng.sample(problems, CHOICES)
    places = rng.sample(range(CHOICES), CHOICES)
    for number, (context, _) in enumerate(problems):
        gold = places[number]
        endings = [problems[(place + number - gold) % CHOICES][1] for place in range(CHOICES)]
        yield {"context": context, "endings": endings, "gold": gold, **more}


_LEAST_CONTEXT_TOKENS = 16
_COMMON = 1 / 100
_WORD = re.compile(r"\w{3,}")
_AFTER_SPACE = re.compile(r" (\w{3,})(?!\w)")


def cloze_items(held_out: HeldOut, domain: str, count: int, rng: random.Random) -> list[dict[str, Any]]:
    """Items with `context` and `word` (a space and the last word), no two with the same passage.

    Args:
        count: the most items.
    """
    words: Counter[str] = Counter()
    items: dict[tuple[str, str], dict[str, Any]] = {}
    for passages in held_out.passages(domain, rng):
        words.update(word for passage in passages for word in _WORD.findall(passage.text(0, None)))
        most = _COMMON * words.total()
        common = {word for word, times in words.items() if times > most}
        found = [cut for passage in passages if (cut := _cut(passage, common))]
        for cut in itertools.compress(found, held_out.fitting(found)):
            items.setdefault(cut, {"context": cut[0], "word": cut[1]})
        if len(items) >= count:
            break
    return list(items.values())[:count]


def _cut(passage: Passage, common: set[str]) -> tuple[str, str] | None:
    """The longest context within the limit that ends before a word that it holds, and that word."""
    total = sum(map(len, passage.tokens))
    for last in range(len(passage.words) - 1, 0, -1):
        total -= len(passage.tokens[last])
        if total < _LEAST_CONTEXT_TOKENS:
            return None
        found = _AFTER_SPACE.match(passage.words[last])
        if not found or total >= MAX_TOKENS or found[1] in common:
            continue
        context = passage.text(0, last)
        if found[1] in _WORD.findall(context):
            return context, found[0]
    return None
