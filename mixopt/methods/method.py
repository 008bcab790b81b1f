"""A search method: its name, its options, and the searcher that they make of a problem.

One class, and one line of `mixopt.methods.registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mixopt.methods.settings import MethodSettings

if TYPE_CHECKING:
    from mixopt.display.figure import Figure
    from mixopt.display.table import Table
    from mixopt.methods.base import Recommendation, Searcher
    from mixopt.methods.problem import Problem

S = TypeVar("S", bound=MethodSettings)


class Method(ABC, Generic[S]):
    """What owns all that concerns a method; the rest of mixopt asks it.

    Example:
        class Greedy(Method[MethodSettings]):
            name, summary, Settings = "greedy", "the best of a few random mixtures", MethodSettings

            def searcher(self, problem, settings):
                return GreedySearcher(problem, settings)

    Attributes:
        name: as study files and `--method` have it.
        summary: what it does, in a line.
        command: the command that runs it: its own, or `search` with `--method NAME`.
        Settings: the class of its options.
        Evidence: the class of what its answers rest on, or a union of such; None where they bring nothing.
    """

    name: str
    summary: str = ""
    command: str = "search"
    Settings: type[S]
    Evidence: Any = None

    @abstractmethod
    def searcher(self, problem: Problem, settings: S) -> Searcher:
        """The search of a problem.

        Args:
            problem: what is known before any run.
            settings: its options.

        Raises:
            ConfigError: settings that do not go together, or a problem that the method cannot search.
        """

    def outlook(self, searcher: Searcher) -> list[str]:  # noqa: ARG002
        """What a plan should say before its first runs, a line each: what may follow, what it costs."""
        return []

    def figures(self, answer: Recommendation) -> list[Figure]:  # noqa: ARG002
        """Pictures of what an answer of its rests on."""
        return []

    def tables(self, answer: Recommendation) -> list[Table]:  # noqa: ARG002
        """Tables of the same."""
        return []

    @property
    def command_line(self) -> str:
        """How it is run: `search --method gp`, `grid`, `ddo`."""
        return f"search --method {self.name}" if self.command == "search" else self.command
