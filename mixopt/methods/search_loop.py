"""What a study and a benchmark do alike: ask, have what is new done, until nothing new is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.methods.base import Proposal, Recommendation, Searcher


class Run(Protocol):
    """What a proposal comes to: whatever it is, it is known by its id."""

    @property
    def run_id(self) -> str:
        """The same for the same proposal, and the run's name in a history."""
        ...


R = TypeVar("R", bound=Run)


def search_loop(
    searcher: Searcher,
    plan: Callable[[Sequence[Proposal]], Iterable[R]],
    do: Callable[[Sequence[R]], None],
    history_of: Callable[[Sequence[str]], History],
) -> Recommendation:
    """Ask until there is nothing new, and give the recommendation.

    A run is done once, whatever becomes of it: one that failed is in no history, and if it is asked for again, it
    is not new.

    Args:
        plan: proposals as runs; fewer of them end the search earlier, as where a budget is used up.
        do: has new runs done, all those of one ask together.
        history_of: those runs that came through, of the ids given.
    """
    known: dict[str, R] = {}
    history = history_of([])
    while new := {run.run_id: run for run in plan(searcher.ask(history)) if run.run_id not in known}:
        known |= new
        do(list(new.values()))
        history = history_of(list(known))
    return searcher.recommend(history)
