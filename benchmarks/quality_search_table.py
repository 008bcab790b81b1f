"""What the searches of `quality_search.py` came to, as tables."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.comparison import Measured
from mixopt.study.compare.pairs import relative_gain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mixopt.methods.base import Estimate


@dataclass(frozen=True)
class Outcome:
    """One search and what came of it.

    Attributes:
        method: the method.
        seed: the search's seed.
        runs: finished runs that it asked for.
        at_target: those of them at the target's cost.
        spent: training FLOPs of its runs, in target runs.
        scales: its runs by model size and tokens.
        weights: the recommended mixture; None where it was refused.
        predicted: the objective that it predicts for that mixture, at its own scale.
        gains: predicted relative gains over the baselines, by name.
        scale: what the advice rests on, in words.
        refused: why there is no recommendation.
        measured: the objective at the target by fresh training seed.
    """

    method: str
    seed: int
    runs: int
    at_target: int
    spent: float
    scales: dict[str, int]
    weights: dict[str, float] | None = None
    predicted: Estimate | None = None
    gains: dict[str, Estimate] = field(default_factory=dict)
    scale: str = ""
    refused: str = ""
    measured: dict[int, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its mixture."""
        return f"{self.method} {self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def write_tables(path: Path, outcomes: Sequence[Outcome], baselines: Mapping[str, Mapping[int, float]]) -> str:
    """The tables of measurements and of predictions in Markdown, written to `path` and returned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    methods = list(dict.fromkeys(outcome.method for outcome in outcomes))
    groups = {method: [one for one in outcomes if one.method == method and one.measured] for method in methods}
    ranks = mean_ranks(outcomes, baselines)
    lines = [
        "| mixture | runs (at the target) | cost | objective | gain over uniform | over natural | worst search "
        "over uniform | mean rank |",
        "|" + "---|" * 8,
    ]
    order = sorted((method for method in methods if groups[method]), key=lambda method: ranks[method])
    for method in order:
        some = groups[method]
        gains = {name: gains_over(some, baselines[name]) for name in baselines}
        over = gains["uniform"]
        means = Measured.of([float(np.mean(list(one.measured.values()))) for one in some])
        cells = [
            method,
            f"{_span([one.runs for one in some])} ({_span([one.at_target for one in some])})",
            f"{np.mean([one.spent for one in some]):.2f}",
            _number(means),
            *(_percent(gains[name]) for name in ("uniform", "natural")),
            f"{100 * min(over.seeds):+.2f} %",
            f"{ranks[method]:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for name, values in baselines.items():
        versus = {other: relative_gain(values, baselines[other])[0] for other in baselines if other != name}
        cells = [_percent(versus[other]) if other in versus else "" for other in ("uniform", "natural")]
        lines.append(
            f"| {name} |  |  | {_number(Measured.of(list(values.values())))} | {cells[0]} | {cells[1]} |  | "
            f"{ranks[name]:.1f} |"
        )
    lines += ["", *_predictions({method: groups[method] for method in order}, baselines)]
    lines += [f"{one.name}: no recommendation: {one.refused}" for one in outcomes if one.refused]
    text = "\n".join(lines) + "\n"
    path.write_text(text, encoding="utf-8")
    return text


def gains_over(some: Sequence[Outcome], baseline: Mapping[int, float]) -> Measured:
    """Relative gain, paired by training seed; one value a search.

    The standard error has two parts: from search to search, and from training seed to training seed, as the
    baseline's runs are the same for all searches.
    """
    common = sorted(set.intersection(*(set(one.measured) for one in some)) & set(baseline))
    gains = np.array([[1 - one.measured[seed] / baseline[seed] for seed in common] for one in some])
    searches, seeds = (Measured.of(gains.mean(axis=axis).tolist()) for axis in (1, 0))
    error = math.hypot(searches.standard_error or 0.0, seeds.standard_error or 0.0)
    return Measured(float(gains.mean()), error, searches.seeds)


def mean_ranks(outcomes: Sequence[Outcome], baselines: Mapping[str, Mapping[int, float]]) -> dict[str, float]:
    """Mean place among all methods' mixtures of one search and the baselines, over searches and training seeds."""
    places: dict[str, list[int]] = {}
    for search in sorted({outcome.seed for outcome in outcomes}):
        scores = {one.method: one.measured for one in outcomes if one.seed == search and one.measured}
        for seed in next(iter(baselines.values()), {}):
            values = {name: part[seed] for name, part in {**scores, **baselines}.items() if seed in part}
            for place, name in enumerate(sorted(values, key=values.__getitem__), start=1):
                places.setdefault(name, []).append(place)
    return {name: float(np.mean(some)) for name, some in places.items()}


def _predictions(groups: Mapping[str, Sequence[Outcome]], baselines: Mapping[str, Mapping[int, float]]) -> list[str]:
    """Predicted gains over uniform beside measured ones, and how many intervals hold the measured one."""
    lines = [
        "| method | predicted gain over uniform | measured | measured within the interval | search 0 trained |",
        "|" + "---|" * 5,
    ]
    for method, some in groups.items():
        told = [one.gains["uniform"] for one in some]
        measured = gains_over(some, baselines["uniform"])
        each = measured.seeds
        inside = sum(
            said.low is not None and said.high is not None and said.low <= value <= said.high
            for said, value in zip(told, each, strict=True)
        )
        predicted = _percent(Measured.of([said.value for said in told]))
        scales = "; ".join(f"{count} of {name}" for name, count in some[0].scales.items())
        lines.append(f"| {method} | {predicted} | {_percent(measured)} | {inside} of {len(told)} | {scales} |")
    return [*lines, ""]


def _span(values: Sequence[int]) -> str:
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)} to {max(values)}"


def _number(measured: Measured) -> str:
    error = "" if measured.standard_error is None else f" ± {measured.standard_error:.4f}"
    return f"{measured.value:.4f}{error}"


def _percent(gain: Measured) -> str:
    error = "" if gain.standard_error is None else f" ± {100 * gain.standard_error:.2f}"
    return f"{100 * gain.value:+.2f} %{error}"
