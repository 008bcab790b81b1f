"""`Comparison`: what was measured about several mixtures, side by side. Made by `mixopt.study.compare.compare`.

Tables, pictures, the report page and notebooks read this value, or its JSON file `comparison.json`.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from mixopt.model_spec import LOSS_UNITS, Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import TypeAdapter

Metric = Literal["perplexity", "bits-per-byte"]
METRICS: tuple[Metric, ...] = get_args(Metric)


@dataclass(frozen=True)
class Measured:
    """A mean over seeds.

    Attributes:
        value: the mean.
        standard_error: of that mean, from the spread over seeds; None with one seed.
        seeds: the value of each seed.
    """

    value: float
    standard_error: float | None
    seeds: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Measured:
        """Mean and standard error of one value a seed."""
        error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
        return cls(statistics.fmean(values), error, tuple(values))


@dataclass(frozen=True, kw_only=True)
class DomainScore:
    """One evaluation domain of one mixture.

    Attributes:
        trained: whether the mixture's runs train on it; else it is only evaluated.
        loss: validation loss, nats/token.
        ppl: exp(loss), seed by seed.
        bits_per_byte: of the validation text; None where a run has no such number.
        epochs: passes over its distinct tokens, mean over seeds.
    """

    trained: bool
    loss: Measured
    ppl: Measured
    bits_per_byte: Measured | None
    epochs: float


@dataclass(frozen=True, kw_only=True)
class TaskScore:
    """One downstream task of one mixture.

    Attributes:
        metric: what is scored (`acc`, `f1`).
        score: mean over seeds; with one seed its standard error is that over the task's items.
        over: what the standard error is over, `seeds` or `items`.
        higher_is_better: whether greater scores are better.
        items: items that each run was scored on.
        shots: solved examples in the prompt.
        chance: what guessing scores; None where that is not known.
    """

    metric: str
    score: Measured
    over: Literal["seeds", "items"]
    higher_is_better: bool
    items: int
    shots: int
    chance: float | None


@dataclass(frozen=True, kw_only=True)
class Worst:
    """The averaged domain with the greatest mean loss (bits per byte, where those are compared)."""

    domain: str
    loss: Measured
    ppl: Measured


@dataclass(frozen=True, kw_only=True)
class Versus:
    """A mixture held against a baseline, seed by seed where both have the seed.

    Attributes:
        gain: relative improvement of the objective (0.03: 3 % lower than the baseline's).
        low: lower end of the gain's 95 % t interval; None with one seed.
        high: its upper end.
        p_value: two-sided t test of no difference in the objective, paired where `paired`; None with one seed.
        paired: whether seeds were paired; else means were compared (no seed is common to both).
        wins: seeds in which the objective is lower than the baseline's; 0 where not paired.
        losses: seeds in which it is higher.
        domains: the same relative improvement of each evaluation domain's perplexity (or bits per byte).
        domain_wins: evaluation domains whose mean is lower than the baseline's.
        domain_losses: evaluation domains whose mean is higher.
        task_wins: downstream tasks whose mean score is better than the baseline's.
        task_losses: tasks where it is worse.
    """

    gain: Measured
    low: float | None
    high: float | None
    p_value: float | None
    paired: bool
    wins: int
    losses: int
    domains: dict[str, Measured]
    domain_wins: int
    domain_losses: int
    task_wins: int = 0
    task_losses: int = 0


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Tokens after which a mixture is as good as a baseline is at its end.

    Attributes:
        tokens: where the mean curve over seeds first reaches the baseline's mean final value; None: see `reason`.
        saved: 1 − tokens / the baseline's tokens (0.38: 38 % fewer).
        low: lower end of the 95 % interval of `saved`, from the seeds' own crossings; None without one.
        high: its upper end.
        seeds: tokens of each seed's own crossing of the baseline's final value, None where it is never reached;
            empty where that cannot be told.
        reason: one sentence on why `tokens`, or only the interval, is not there.
    """

    tokens: float | None
    saved: float | None
    low: float | None
    high: float | None
    seeds: tuple[float | None, ...]
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class ValueCurve:
    """The objective along training.

    Attributes:
        tokens: training tokens at each of P points.
        values: the P values of each seed, in the order of `Entry.seeds`.
        comparable: whether the points are measured on the same validation tokens as the final values.
    """

    tokens: tuple[int, ...]
    values: tuple[tuple[float, ...], ...]
    comparable: bool


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One mixture and its runs.

    Attributes:
        weights: the mixture by training domain; of an online policy, the shares of the tokens that it drew.
        policy: how the mixture of each step was chosen (`static`: the weights throughout).
        runs: ids of the finished runs, one a seed.
        seeds: their seeds, ascending.
        tokens: training tokens of a run.
        objective: the comparison's objective.
        mean_loss: mean loss over the averaged domains, nats/token.
        mean_ppl: mean perplexity over the averaged domains.
        mean_bits_per_byte: the same in bits per byte; None where a run has no such number.
        worst: the worst of the averaged domains.
        domains: every evaluation domain, training domains first.
        curve: the objective along training; None if the runs kept no common curve.
        versus: against each baseline but itself, by name.
        tokens_to_reach: each other baseline's final value, by its name.
        tasks: downstream tasks that every run of the comparison was evaluated on, by name.
        task_mean: mean score over those tasks of which greater is better; None without one.
    """

    weights: dict[str, float]
    policy: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    tokens: int
    objective: Measured
    mean_loss: Measured
    mean_ppl: Measured
    mean_bits_per_byte: Measured | None
    worst: Worst
    domains: dict[str, DomainScore]
    curve: ValueCurve | None = None
    versus: dict[str, Versus] = field(default_factory=dict)
    tokens_to_reach: dict[str, Reach] = field(default_factory=dict)
    tasks: dict[str, TaskScore] = field(default_factory=dict)
    task_mean: Measured | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Several mixtures beside one another.

    Attributes:
        id: identity: 12 hexadecimal digits from names, runs, baselines, objective and metric.
        objective: name of what is held against the baselines.
        units: of the objective.
        metric: what domains are compared by, `perplexity` or `bits-per-byte`.
        tokens: training tokens of the first baseline's runs.
        baselines: names of the entries that the others are held against, the main one first.
        averaged: training domains that averages, the worst domain and the objective go over.
        entries: by name.
        warnings: what should make a reader careful, a sentence each.
        predicts: what all runs' losses are of: every next token (`causal`), or masked ones.
    """

    id: str
    objective: str
    units: str
    metric: Metric
    tokens: int
    baselines: tuple[str, ...]
    averaged: tuple[str, ...]
    entries: dict[str, Entry]
    warnings: tuple[str, ...] = ()
    predicts: Prediction = "causal"

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
