"""What every search method gives: proposals and a recommendation. No torch, no ray."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.mixture import Mixture


@dataclass(frozen=True)
class Proposal:
    """A run that a method asks for.

    Attributes:
        mixture: what to train on.
        tokens: for how long (rounded to whole batches by the study).
        seed: with which initialisation and data order.
        role: what it is for, in the study's own words (`base`, `code x3`, `code x1/3`).
        unique_tokens: most distinct tokens of each domain that the run may see, in the mixture's order; None for
            what the study allows.
        model: preset of the model; None for the study's.
    """

    mixture: Mixture
    tokens: int
    seed: int
    role: str
    unique_tokens: tuple[int | None, ...] | None = None
    model: str | None = None


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; None where no interval could be had."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What a method advises, and what that rests on.

    Attributes:
        method: which method and preset, in words.
        objective: name of what was minimised.
        tokens: training tokens that it is meant for.
        mixture: the advised mixture.
        intervals: 95 % interval of each weight, by domain.
        predicted: the objective for `recommended` and each baseline, by name.
        gains: predicted relative improvement over each baseline (0.03: 3 % lower), by name.
        multipliers: for each domain at a bound, the change of the objective for one more unit of weight.
        other_objectives: the optimum under every other objective, from the same runs.
        warnings: everything that should make a reader careful, a sentence each.
        runs: ids of the runs used.
        details: the fitted law, for plots and reports (JSON values).
    """

    method: str
    objective: str
    tokens: int
    mixture: Mixture
    intervals: dict[str, tuple[float, float]]
    predicted: dict[str, Estimate]
    gains: dict[str, Estimate] = field(default_factory=dict)
    multipliers: dict[str, float] = field(default_factory=dict)
    other_objectives: dict[str, dict[str, float]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON values: at least weights, intervals, predicted, warnings, runs."""
        content = asdict(self)
        del content["mixture"]
        return {
            "method": self.method,
            "objective": self.objective,
            "tokens": self.tokens,
            "weights": self.mixture.to_dict(),
            **{key: value for key, value in content.items() if key not in ("method", "objective", "tokens")},
            "intervals": {domain: list(interval) for domain, interval in self.intervals.items()},
            "warnings": list(self.warnings),
            "runs": list(self.runs),
        }


class Searcher(Protocol):
    """A search method: pure functions of history. "Tell" is recording a row."""

    def ask(self, history: History) -> list[Proposal]:
        """The runs wanted, given those that there are; none when it has enough.

        A one-shot design may list all its runs each time: the study trains only those that have no row yet.
        """
        ...

    def recommend(self, history: History) -> Recommendation:
        """The advice that `history` supports.

        Raises:
            ConfigError: too few runs; the message says which are missing.
        """
        ...
