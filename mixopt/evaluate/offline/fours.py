"""Multiple choice in groups of four items that share their four answers.

Each answer is right for one item of its group and wrong for the three others. So whoever ignores the contexts gives
the same answer four times and scores exactly one in four: an answer's length or likelihood gives nothing away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

CHOICES = 4


def shared_answers(
    problems: Sequence[tuple[str, str]], rng: random.Random, **more: Any
) -> Iterator[dict[str, Any]]:
    """An item for each of four problems: `context`, `endings` (all four answers) and `gold` (the place of its own).

    The right answer stands at each place once in a group.

    Args:
        problems: contexts with their answers; the answers are distinct.
        rng: the order.
        more: further fields of each item.
    """
    problems = rng.sample(problems, CHOICES)
    places = rng.sample(range(CHOICES), CHOICES)
    for number, (context, _) in enumerate(problems):
        gold = places[number]
        endings = [problems[(place + number - gold) % CHOICES][1] for place in range(CHOICES)]
        yield {"context": context, "endings": endings, "gold": gold, **more}
