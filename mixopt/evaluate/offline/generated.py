"""Generated problems, in fours that share their four answers: brackets to close, numbers to work out.

Each answer of a group is right for one of its problems; see `mixopt.evaluate.offline.cloze`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from mixopt.evaluate.offline.cloze import CHOICES, shared_answers

if TYPE_CHECKING:
    import random

PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}
_NAMES = ("data", "item", "key", "list", "name", "node", "path", "size", "type", "value")

# Brackets that are left open, and closed pairs on the way, by difficulty.
BRACKET_LEVELS = ((1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (3, 2))


def bracket_items(count: int, rng: random.Random) -> list[dict[str, Any]]:
    """Items such as `list[size(node` with `)]` among four ways to close as many brackets; only one of them fits.

    Names stand between brackets, so that no token reaches from the context into the answer.
    """

    def group(level: tuple[int, int]) -> list[tuple[str, str]]:
        depth, closed = level
        stacks: set[str] = set()
        while len(stacks) < CHOICES:
            stacks.add("".join(rng.choices(list(PAIRS), k=depth)))
        return [(_opened(stack, closed, rng), _closed(stack)) for stack in sorted(stacks)]

    return _graded(group, BRACKET_LEVELS, count, rng)


def arithmetic_items(count: int, rng: random.Random) -> list[dict[str, Any]]:
    """Numbers to count on, then sums and differences of one to three digits, with four answers of the same length."""

    def group(level: Callable[[random.Random], tuple[str, int]]) -> list[tuple[str, str]]:
        problems: dict[str, str] = {}
        context, answer = level(rng)
        length = len(str(answer))
        while len(problems) < CHOICES:
            if len(str(answer)) == length:
                problems.setdefault(f" {answer}", context)
            context, answer = level(rng)
        return [(context, answer) for answer, context in problems.items()]

    return _graded(group, ARITHMETIC_LEVELS, count, rng)


def _graded(
    group: Callable[[Any], list[tuple[str, str]]], levels: Sequence[Any], count: int, rng: random.Random
) -> list[dict[str, Any]]:
    """Distinct items, as many of each level as of the next, in turn: any first part of them is graded as well."""
    numbered = cycle(enumerate(levels, start=1))
    items: list[dict[str, Any]] = []
    seen: set[str] = set()
    while len(items) < count:
        number, level = next(numbered)
        problems = group(level)
        while seen & {context for context, _ in problems}:
            problems = group(level)
        seen |= {context for context, _ in problems}
        items += shared_answers(problems, rng, level=number)
    return items[:count]


def _opened(stack: str, closed: int, rng: random.Random) -> str:
    """`stack` with a name after each bracket, and `closed` more pairs that open and close before the last name."""
    text = rng.choice(_NAMES)
    for bracket in stack:
        text += bracket + rng.choice(_NAMES)
    for _ in range(closed):
        bracket = rng.choice(list(PAIRS))
        text += f"{bracket}{rng.choice(_NAMES)}{PAIRS[bracket]} {rng.choice(_NAMES)}"
    return text


def _closed(stack: str) -> str:
    return "".join(PAIRS[bracket] for bracket in reversed(stack))


def _counting(rng: random.Random) -> tuple[str, int]:
    start, step = rng.randint(1, 199), rng.choice([1, 2, 5, 10])
    terms = [start + step * number for number in range(5)]
    return f"{', '.join(map(str, terms[:4]))},", terms[4]


def _sum_of(digits: int) -> Callable[[random.Random], tuple[str, int]]:
    least, most = 10 ** (digits - 1), 10**digits - 1

    def problem(rng: random.Random) -> tuple[str, int]:
        a, b = rng.randint(least, most), rng.randint(least, most)
        if rng.random() < 0.5:
            return f"Q: What is {a} + {b}?\nA:", a + b
        return f"Q: What is {max(a, b)} - {min(a, b)}?\nA:", abs(a - b)

    return problem


ARITHMETIC_LEVELS = (_counting, _sum_of(1), _sum_of(2), _sum_of(3))
