"""A search method: its name, its options, and the searcher that they make of a problem.

One class, and one line of `mixopt.methods.registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import Field

from mixopt.fields import Count, Section

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from mixopt.display.figure import Figure
    from mixopt.display.table import Table
    from mixopt.methods.base import Recommendation, Searcher
    from mixopt.methods.problem import Problem


@dataclass(frozen=True)
class Told:
    """What a field tells besides its type."""

    flags: Sequence[str] = ()  # on the command line; the field's own name where empty
    # among the flags of `--help`; the others are taken too, and `mixopt init --method NAME` lists them
    shown: bool = False
    identity: bool = True  # it changes the answer, so that it is part of the study's identity
    mixture: bool = False  # it names a mixture, whose weights count and not its name
    trains: bool = False  # it is about runs to be trained, and means nothing where a table of runs is all that there is
    example: str = ""  # how it is written in the template, where the default says too little


def option(
    text: str,
    default: Any = None,
    *,
    flag: str = "",
    shown: bool = False,
    identity: bool = True,
    mixture: bool = False,
    trains: bool = False,
    example: str = "",
    **limits: Any,
) -> Any:
    """A field of a method's settings.

    Args:
        text: what it does, in a line; in square brackets what None stands for.
        flag: names on the command line, the field's own where empty.
        limits: pydantic's (`ge`, `lt`).
    """
    told = {
        "flags": flag.split(),
        "shown": shown,
        "identity": identity,
        "mixture": mixture,
        "trains": trains,
        "example": example,
    }
    return Field(default, description=text, json_schema_extra={"told": told}, **limits)


def told(field: FieldInfo) -> Told:
    """What a field tells; nothing where it was made without `option`."""
    extra = field.json_schema_extra
    found: Any = extra.get("told", {}) if isinstance(extra, dict) else {}
    return Told(**found)


class MethodSettings(Section):
    """Options that every method has; a method's own class adds its own."""

    name: str = Field("ddo", description="The method; a command that names one sets it.")
    objective: str = option(
        "What is minimised: mean_ppl, mean_loss, worst, task:NAME, downstream or weighted:FILE.", "mean_ppl", shown=True
    )
    target_tokens: Count | None = option(
        "Tokens of the final training, for the cap on epochs [a run's own].", flag="--target-tokens --target"
    )
    verify_seeds: int = option(
        "Repeats of each mixture that --verify trains.", 3, identity=False, trains=True, ge=1, le=1000
    )

    @property
    def search_seeds(self) -> tuple[int, ...]:
        """Seeds that the search trains with; `--verify` takes others."""
        return tuple(range(getattr(self, "seeds", 1)))

    def target_scale(self) -> tuple[str | None, int | None]:
        """Preset and tokens of the runs that the answer is about, where the settings name them; else None."""
        return None, None

    @classmethod
    def option_names(cls) -> list[str]:
        """Its options, the method's name left out."""
        return [name for name in cls.model_fields if name != "name"]


class RepeatedSettings(MethodSettings):
    """Options of methods that repeat each run with several seeds."""

    seeds: int = option("Repeats of every run, which measure the noise.", 1, shown=True, trains=True, ge=1, le=1000)


S = TypeVar("S", bound=MethodSettings)


class Method(ABC, Generic[S]):
    """What owns all that concerns a method; the rest of mixopt asks it.

    Example:
        class Greedy(Method[MethodSettings]):
            name, summary, Settings = "greedy", "the best of a few random mixtures", MethodSettings

            def searcher(self, problem, settings):
                return GreedySearcher(problem, settings)
    """

    name: str  # as study files and `--method` have it
    summary: str = ""  # what it does, in a line
    command: str = "search"  # the command that runs it: its own, or `search` with `--method NAME`
    Settings: type[S]  # the class of its options
    Evidence: Any = None  # the class of what its answers rest on, or a union of such; None where they bring nothing

    @abstractmethod
    def searcher(self, problem: Problem, settings: S) -> Searcher:
        """The search of a problem.

        Raises:
            ConfigError: settings that do not go together, or a problem that the method cannot search.
        """

    def outlook(self, searcher: Searcher) -> list[str]:
        """What a plan should say before its first runs, a line each: what may follow, what it costs."""
        return []

    def figures(self, answer: Recommendation) -> list[Figure]:
        """Pictures of what an answer of its rests on."""
        return []

    def tables(self, answer: Recommendation) -> list[Table]:
        """Tables of the same."""
        return []

    @property
    def command_line(self) -> str:
        """How it is run: `search --method gp`, `grid`, `ddo`."""
        return f"search --method {self.name}" if self.command == "search" else self.command
