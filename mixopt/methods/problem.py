"""What a search method is asked about: domains, text, lengths and sizes of runs, and what may be chosen from.

A study, a table of somebody's runs and a replay each make a `Problem`; a method cannot tell which, so that what is
benchmarked is what is shipped.

Symbols: K training domains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.objective import Objective, parse_objective
from mixopt.solve import Supply
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.arrays import Floats
    from mixopt.history import History
    from mixopt.methods.simplex.candidates import Candidates


@dataclass(frozen=True)
class Size:
    """A model and a length of training."""

    model: str | None  # preset of the model; None for the problem's own
    parameters: int  # its size; 0 where unknown
    tokens: int  # training tokens, in whole batches
    flops: float  # of a run

    def __str__(self) -> str:
        return f"{self.model or f'{format_count(self.parameters)} parameters'}, {format_count(self.tokens)} tokens"


@dataclass(frozen=True)
class Earlier:
    """A finished study that a search extends."""

    study_id: str  # its identity
    mixture: Mixture  # what it recommends
    history: History  # its runs that finished, of its length, with a fixed mixture
    differences: tuple[str, ...]  # why those runs' losses do not count beside new ones, in words; nothing where they do


class Training(Protocol):
    """What only somebody who trains can say; `Problem.training` is None where runs are only looked up."""

    def size(self, model: str | None, tokens: int) -> Size:
        """What a run of this preset (None: the study's) and of about these tokens is."""
        ...

    def check(self, mixture: Mixture, tokens: int, role: str) -> None:
        """Refuse a run that repeats a domain more often than allowed, or of a domain of less than a sequence.

        Raises:
            ConfigError: it is such a run.
        """
        ...

    def seen(self, weights: Floats, tokens: int) -> Floats:
        """(K,) the shares that a run really sees of weights (K,) asked for, as it holds whole sequences."""
        ...

    def mixture(self, name: str) -> Mixture:
        """The mixture of a file, a published name or another study."""
        ...

    def earlier(self, study: str) -> Earlier:
        """A finished study, by as much of its id's start as is unique."""
        ...


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is known before any run is made."""

    domains: tuple[str, ...]  # K training domains
    natural: Mixture | None  # shares of the text that there is; None where a table does not tell
    tokens: int  # training tokens of a run at the problem's own scale
    corpus: Mapping[str, float] | None = None  # training tokens that there are, by domain; None where nobody said
    available: Mapping[str, float] | None = None  # the same with the limits that hold for proxies
    max_epochs: float | None = None  # most passes over a domain's text; None for no cap
    batch_tokens: int = 1  # tokens of a step
    sequence_length: int = 1  # tokens of a sequence
    unique_tokens: bool = False  # proxies see fewer distinct tokens than there are
    objectives: Callable[[str], Objective] = parse_objective  # from a name to what is minimised
    # evaluation domains and tasks that a run will have losses of; empty where not known yet
    measured: tuple[str, ...] = ()
    training: Training | None = None  # who trains; None where runs are only looked up
    # models and lengths that there are runs of, the target last; empty where any may be trained
    sizes: tuple[Size, ...] = ()
    history: History | None = None  # runs that there are and that no method asked for; None for none
    candidates: Candidates | None = None  # the only mixtures that may be chosen; None for all within bounds

    @property
    def target(self) -> Size:
        """The model and length that the answer is about."""
        if self.training is not None:
            return self.training.size(None, self.tokens)
        return self.sizes[-1] if self.sizes else Size(None, 0, self.tokens, 0.0)

    def objective(self, name: str) -> Objective:
        """What is minimised.

        Raises:
            ConfigError: no objective, or one of a task that nobody measures.
        """
        return self.objectives(name)

    def pair(self, names: Sequence[str] | None) -> tuple[Objective, Objective] | None:
        """Two objectives to trade off; None where none are asked for.

        Raises:
            ConfigError: as for `objective`, or the same twice.
        """
        if not names:
            return None
        if names[0] == names[1]:
            raise ConfigError(f"pareto: expected two different objectives, found {names[0]} twice")
        return self.objectives(names[0]), self.objectives(names[1])

    def mixture(self, name: str) -> Mixture:
        """The mixture that a name means: uniform, natural, or what `training` knows.

        Raises:
            ConfigError: there is no such mixture here.
        """
        if name == "uniform":
            return Mixture.uniform(self.domains)
        if name == "natural":
            if self.natural is None:
                raise ConfigError("--natural is missing: a table does not tell the natural mixture; give its file")
            return self.natural
        if self.training is None:
            return Mixture.from_file(name).ordered(self.domains)
        return self.training.mixture(name)

    def check(self, mixture: Mixture, tokens: int, role: str) -> None:
        """Refuse a run that cannot be trained (see `Training.check`)."""
        if self.training is not None:
            self.training.check(mixture, tokens, role)

    def supply(self, target_tokens: int | None) -> Supply | None:
        """How much text there is for the answer: all of it at a target, what proxies may see at their own length.

        Args:
            target_tokens: of the final training; None for the problem's own length.
        """
        text = self.corpus if target_tokens else self.available
        return None if text is None else Supply(text, target_tokens or self.tokens, self.max_epochs)

    def run_supply(self, tokens: int | None = None) -> Supply | None:
        """How much text there is for a run of these tokens; None for the problem's own."""
        if self.available is None:
            return None
        return Supply(self.available, tokens or self.tokens, self.max_epochs)

    def given(self) -> dict[str, Any]:
        """Natural shares as a baseline, where they are known."""
        return {} if self.natural is None else {"natural": self.natural}
