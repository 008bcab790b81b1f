"""Of the answers of a generated problem exactly one is right, by rules that the generator does not know."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.evaluate import offline
from mixopt.evaluate.offline.cloze import shared_answers
from mixopt.evaluate.offline.generated import arithmetic_items, bracket_items

SEEDS = st.integers(0, 2**32)


def is_balanced(text: str) -> bool:
    """Whether nothing is left when empty pairs are taken out again and again."""
    text = re.sub(r"[^()\[\]{}<>]", "", text)
    while (shorter := re.sub(r"\(\)|\[\]|\{\}|<>", "", text)) != text:
        text = shorter
    return not text


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_only_the_right_brackets_close_what_is_open(seed: int) -> None:
    for item in bracket_items(48, random.Random(seed)):
        closes = [is_balanced(item["context"] + ending) for ending in item["endings"]]
        assert closes == [place == item["gold"] for place in range(4)]
        assert len({len(ending) for ending in item["endings"]}) == 1
        assert item["context"][-1].isalpha()


def answer_to(context: str) -> int:
    if context.startswith("Q: "):
        a, sign, b = re.findall(r"\d+|[+-]", context)
        return int(a) + int(b) if sign == "+" else int(a) - int(b)
    terms = [int(term) for term in context.rstrip(",").split(", ")]
    steps = {after - before for before, after in pairwise(terms)}
    assert len(steps) == 1
    return terms[-1] + steps.pop()


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_only_the_right_number_is_the_answer(seed: int) -> None:
    for item in arithmetic_items(32, random.Random(seed)):
        answers = [int(ending) for ending in item["endings"]]
        assert answers[item["gold"]] == answer_to(item["context"])
        assert len(set(answers)) == 4
        assert len({len(ending) for ending in item["endings"]}) == 1
        assert min(answers) >= 0


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, count=st.sampled_from([4, 24, 96]))
def test_levels_take_turns_and_problems_are_distinct(seed: int, count: int) -> None:
    for make, levels in ((bracket_items, 6), (arithmetic_items, 4)):
        items = make(count, random.Random(seed))
        assert len(items) == len({item["context"] for item in items}) == count
        groups = [item["level"] for item in items[::4]]
        assert groups == [number % levels + 1 for number in range(count // 4)]


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_four_problems_share_their_answers(seed: int) -> None:
    problems = [(f"context {letter}", f" {letter}") for letter in "abcd"]
    items = list(shared_answers(problems, random.Random(seed), level=3))
    assert sorted((item["context"], item["endings"][item["gold"]]) for item in items) == problems
    assert sorted(item["gold"] for item in items) == [0, 1, 2, 3]
    assert all(sorted(item["endings"]) == [" a", " b", " c", " d"] for item in items)
    assert all(item["level"] == 3 for item in items)


def test_generated_items_stay_what_they_were() -> None:
    """Scores of old runs rest on them: a change needs a new version in `taskfile`."""
    digests = {
        task.name: hashlib.sha256(dict(task.files)[f"{task.name}.jsonl"]).hexdigest()[:16]
        for task in offline.tasks(["offline_brackets", "offline_arithmetic"], None)
    }
    assert digests == {"offline_brackets": "10e728767e8420af", "offline_arithmetic": "95961daa1f7ce425"}


def test_each_kind_of_bracket_is_asked_for() -> None:
    asked = Counter(
        item["endings"][item["gold"]][0] for item in bracket_items(200, random.Random(0)) if item["level"] == 1
    )
    assert set(asked) == set(")]}>")
