"""`Comparison`: what was measured about several mixtures, side by side. Made by `mixopt.study.compare.compare`.

Tables, pictures, the report page and notebooks read this value, or its JSON file `comparison.json`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from mixopt.model_spec import LOSS_UNITS, Prediction

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Metric = Literal["perplexity", "bits-per-byte"]
METRICS: tuple[Metric, ...] = get_args(Metric)


@dataclass(frozen=True)
class Measured:
    """A mean over seeds."""

    value: float  # the mean
    standard_error: float | None  # of that mean, from the spread over seeds; None with one seed
    seeds: tuple[float, ...]  # the value of each seed

    @classmethod
    def of(cls, values: Sequence[float]) -> Measured:
        """Mean and standard error of one value a seed."""
        error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
        return cls(statistics.fmean(values), error, tuple(values))


@dataclass(frozen=True, kw_only=True)
class DomainScore:
    """One evaluation domain of one mixture."""

    trained: bool  # whether the mixture's runs train on it; else it is only evaluated
    loss: Measured  # validation loss, nats/token
    ppl: Measured  # exp(loss), seed by seed
    bits_per_byte: Measured | None  # of the validation text; None where a run has no such number
    epochs: float  # passes over its distinct tokens, mean over seeds


@dataclass(frozen=True, kw_only=True)
class TaskScore:
    """One downstream task of one mixture."""

    metric: str  # what is scored (`acc`, `f1`)
    score: Measured  # mean over seeds; with one seed its standard error is that over the task's items
    over: Literal["seeds", "items"]  # what the standard error is over, `seeds` or `items`
    higher_is_better: bool  # whether greater scores are better
    items: int  # items that each run was scored on
    shots: int  # solved examples in the prompt
    chance: float | None  # what guessing scores; None where that is not known


@dataclass(frozen=True, kw_only=True)
class Worst:
    """The averaged domain with the greatest mean loss (bits per byte, where those are compared)."""

    domain: str
    loss: Measured
    ppl: Measured


@dataclass(frozen=True, kw_only=True)
class Versus:
    """A mixture held against a baseline, seed by seed where both have the seed."""

    gain: Measured  # relative improvement of the objective (0.03: 3 % lower than the baseline's)
    low: float | None  # lower end of the gain's 95 % t interval; None with one seed
    high: float | None  # its upper end
    # two-sided t test of no difference in the objective, paired where `paired`; None with one seed
    p_value: float | None
    paired: bool  # whether seeds were paired; else means were compared (no seed is common to both)
    wins: int  # seeds in which the objective is lower than the baseline's; 0 where not paired
    losses: int  # seeds in which it is higher
    # the same relative improvement of each evaluation domain's perplexity (or bits per byte)
    domains: dict[str, Measured]
    domain_wins: int  # evaluation domains whose mean is lower than the baseline's
    domain_losses: int  # evaluation domains whose mean is higher
    task_wins: int = 0  # downstream tasks whose mean score is better than the baseline's
    task_losses: int = 0  # tasks where it is worse


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Tokens after which a mixture is as good as a baseline is at its end."""

    # where the mean curve over seeds first reaches the baseline's mean final value; None: see `reason`
    tokens: float | None
    saved: float | None  # 1 − tokens / the baseline's tokens (0.38: 38 % fewer)
    low: float | None  # lower end of the 95 % interval of `saved`, from the seeds' own crossings; None without one
    high: float | None  # its upper end
    # tokens of each seed's own crossing of the baseline's final value, None where it is never reached; empty where
    # that cannot be told
    seeds: tuple[float | None, ...]
    reason: str | None = None  # one sentence on why `tokens`, or only the interval, is not there


@dataclass(frozen=True, kw_only=True)
class ValueCurve:
    """The objective along training."""

    tokens: tuple[int, ...]  # training tokens at each of P points
    values: tuple[tuple[float, ...], ...]  # the P values of each seed, in the order of `Entry.seeds`
    comparable: bool  # whether the points are measured on the same validation tokens as the final values


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One mixture and its runs."""

    # the mixture by training domain; of an online policy, the shares of the tokens that it drew
    weights: dict[str, float]
    policy: str  # how the mixture of each step was chosen (`static`: the weights throughout)
    runs: tuple[str, ...]  # ids of the finished runs, one a seed
    seeds: tuple[int, ...]  # their seeds, ascending
    tokens: int  # training tokens of a run
    objective: Measured  # the comparison's objective
    mean_loss: Measured  # mean loss over the averaged domains, nats/token
    mean_ppl: Measured  # mean perplexity over the averaged domains
    mean_bits_per_byte: Measured | None  # the same in bits per byte; None where a run has no such number
    worst: Worst  # the worst of the averaged domains
    domains: dict[str, DomainScore]  # every evaluation domain, training domains first
    curve: ValueCurve | None = None  # the objective along training; None if the runs kept no common curve
    versus: dict[str, Versus] = field(default_factory=dict)  # against each baseline but itself, by name
    # each other baseline's final value, by its name
    tokens_to_reach: dict[str, Reach] = field(default_factory=dict)
    # downstream tasks that every run of the comparison was evaluated on, by name
    tasks: dict[str, TaskScore] = field(default_factory=dict)
    task_mean: Measured | None = None  # mean score over those tasks of which greater is better; None without one


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Several mixtures beside one another."""

    id: str  # identity: 12 hexadecimal digits from names, runs, baselines, objective and metric
    objective: str  # name of what is held against the baselines
    units: str  # of the objective
    metric: Metric  # what domains are compared by, `perplexity` or `bits-per-byte`
    tokens: int  # training tokens of the first baseline's runs
    baselines: tuple[str, ...]  # names of the entries that the others are held against, the main one first
    averaged: tuple[str, ...]  # training domains that averages, the worst domain and the objective go over
    entries: dict[str, Entry]  # by name
    warnings: tuple[str, ...] = ()  # what should make a reader careful, a sentence each
    predicts: Prediction = "causal"  # what all runs' losses are of: every next token (`causal`), or masked ones

    @property
    def loss_units(self) -> str:
        """Of every loss."""
        return LOSS_UNITS[self.predicts]

    @property
    def baseline(self) -> str:
        """Name of the main baseline."""
        return self.baselines[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Every seed of any entry."""
        return tuple(sorted({seed for entry in self.entries.values() for seed in entry.seeds}))

    def to_dict(self) -> dict[str, Any]:
        """JSON values. `baseline`, `seeds` and each entry's `versus_baseline` repeat what follows from the rest."""
        content = {**asdict(self), "baseline": self.baseline, "seeds": self.seeds}
        for entry in content["entries"].values():
            entry["versus_baseline"] = entry["versus"].get(self.baseline)
        return content

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """The inverse of `to_dict` and `json.dumps`.

        Raises:
            ValueError: the text is no such JSON.
        """
        return _adapter().validate_json(text)


@cache
def _adapter() -> TypeAdapter[Comparison]:
    from pydantic import TypeAdapter

    return TypeAdapter(Comparison)
