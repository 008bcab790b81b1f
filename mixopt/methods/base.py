"""What every search method gives: proposals and a recommendation. No torch, no ray."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar, cast, dataclass_transform

import pydantic.dataclasses
from pydantic import BeforeValidator, Field, PlainSerializer, SerializeAsAny, TypeAdapter, ValidationError

from mixopt.errors import ConfigError, first_problem
from mixopt.mixture import Mixture
from mixopt.model_spec import STRICT
from mixopt.role import Role as Role  # noqa: TC001 (imported from here by methods)

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.solve import Bounds, Supply
    from mixopt.spec import PolicySpec


T = TypeVar("T")


@dataclass(frozen=True)
class Proposal:
    """A run that a method asks for."""

    mixture: Mixture  # what to train on
    tokens: int  # for how long (rounded to whole batches by the study)
    seed: int  # with which initialisation and data order
    role: Role  # what it is for
    # most distinct tokens of each domain that the run may see, in the mixture's order; None for what the study allows
    unique_tokens: tuple[int | None, ...] | None = None
    model: str | None = None  # preset of the model; None for the study's
    # what chooses the mixture of each step, from `mixture` on; None to keep it. A policy that holds losses against
    # another run's model names a finished run of the history in `reference`.
    policy: PolicySpec | None = None
    keep: bool = False  # keep the trained model, as another run will be held against it


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; None where no interval could be had."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Noise:
    """How far the objective of a run is from that of its repeats."""

    relative: float  # standard deviation of one run, as a share of the objective
    degrees_of_freedom: float  # behind it; 0 where it is assumed
    # `repeats` of a mixture with other seeds, the law's own `residuals`, or `assumed`
    source: Literal["repeats", "residuals", "assumed"]

    def __str__(self) -> str:
        share = f"{100 * self.relative:.2g} % of the objective"
        freedom = f"{self.degrees_of_freedom:.3g} degrees of freedom"
        how = {
            "repeats": f"measured from repeats, {freedom}",
            "residuals": f"from what the law misses, {freedom}",
            "assumed": "assumed",
        }
        return f"{share} ({how[self.source]})"


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[T]) -> type[T]:
    """Make a frozen class of finite numbers, words, tuples, dictionaries by name and others like it.

    Its fields are checked when it is made, so that it goes through JSON and back unharmed.
    """
    return cast("type[T]", pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=STRICT)(cls))


@record
class Evidence:
    """What an answer rests on, for figures, tables and reports: each method has a `record` of its own."""


def _mixture(value: Any) -> Any:
    return Mixture.from_dict(value) if isinstance(value, dict) else value


# As JSON: weights by domain.
_Shares = Annotated[Mixture, BeforeValidator(_mixture), PlainSerializer(Mixture.to_dict)]


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What a method advises, and what that rests on."""

    method: str  # which method and preset, in words
    objective: str  # name of what was minimised
    units: str = ""  # of the objective
    tokens: int  # training tokens that it is meant for
    mixture: Annotated[_Shares, Field(alias="weights")]  # the advised mixture (`weights` in JSON)
    intervals: dict[str, tuple[float, float]]  # 95 % interval of each weight, by domain
    predicted: dict[str, Estimate]  # the objective for `recommended` and each baseline, by name
    # predicted relative improvement over each baseline (0.03: 3 % lower), by name
    gains: dict[str, Estimate] = field(default_factory=dict)
    # for each domain at a bound, the change of the objective for one more unit of weight
    multipliers: dict[str, float] = field(default_factory=dict)
    # the optimum under every other objective, from the same runs
    other_objectives: dict[str, dict[str, float]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()  # everything that should make a reader careful, a sentence each
    runs: tuple[str, ...] = ()  # ids of the runs used
    baselines: dict[str, _Shares] = field(default_factory=dict)  # mixtures that it was compared with, by name
    floors: dict[str, float] = field(default_factory=dict)  # least weight allowed, by domain
    caps: dict[str, float] = field(default_factory=dict)  # greatest weight allowed, by domain
    # passes over each domain's distinct tokens in `tokens`; None where there are none; empty where nobody said how much
    # text there is
    epochs: dict[str, float | None] = field(default_factory=dict)
    noise: Noise | None = None  # of one run; None where nothing was measured or assumed
    evidence: SerializeAsAny[Evidence] | None = None  # what the method found out

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return _JSON.dump_python(self, mode="json", by_alias=True)

    @classmethod
    def from_dict(cls, content: dict[str, Any], evidence: Any = None) -> Recommendation:
        """The inverse of `to_dict`, exact.

        Args:
            content: JSON values; keys that it does not know are ignored.
            evidence: class of the method's evidence, or a union of such; None to leave the evidence out.

        Raises:
            ConfigError: they are not of a recommendation.
        """
        try:
            answer = _JSON.validate_python({key: part for key, part in content.items() if key != "evidence"})
            found = content.get("evidence")
            if evidence is None or found is None:
                return answer
            return replace(answer, evidence=TypeAdapter(cast("Any", evidence)).validate_python(found))
        except ValidationError as error:
            raise ConfigError(f"recommendation: {first_problem(error)}") from error


_JSON = TypeAdapter(Recommendation)


def limits(mixture: Mixture, bounds: Bounds, supply: Supply | None) -> dict[str, Any]:
    """The fields of a recommendation that say what its mixture keeps to: `floors`, `caps` and `epochs`."""
    epochs = supply.epochs(mixture) if supply else {}
    return {
        "floors": dict(zip(bounds.domains, bounds.floors.tolist(), strict=True)),
        "caps": dict(zip(bounds.domains, bounds.caps.tolist(), strict=True)),
        "epochs": {domain: passes if isfinite(passes) else None for domain, passes in epochs.items()},
    }


class Searcher(Protocol):
    """A search method: pure functions of history. "Tell" is recording a row."""

    wants: frozenset[str] = frozenset()  # what histories should hold besides losses: `curves`, `traces`, or nothing

    def ask(self, history: History) -> list[Proposal]:
        """The runs wanted, given those that there are; none when it has enough.

        The same history, its rows in the order in which they were asked for, gives the same proposals. A one-shot
        design may list all its runs each time: the study trains only those that have no row yet.
        """
        ...

    def recommend(self, history: History) -> Recommendation:
        """The advice that `history` supports.

        Raises:
            ConfigError: too few runs; the message says which are missing.
        """
        ...


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
