"""Downstream scores of models, as a table in the terminal and as JSON values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from mixopt.display.table import NOTHING, Cell, Column, Kind, Table, named, table, word
from mixopt.report.console import grid
from mixopt.score import Score, ScoredModel, error_of_mean, labels

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class MetricScore:
    """A metric of a task; of fine-tunings with several seeds their mean."""

    value: float  # the score
    # of the value: over items, or of several seeds over seeds; None where neither is known
    standard_error: float | None
    chance: float | None  # what guessing scores; None where that is not known
    items: int  # items behind it
    seeds: int  # fine-tunings behind it; 1 where nothing is random
    main: bool  # whether the metric stands for its task
    higher_is_better: bool  # whether greater values are better

    @property
    def above_chance(self) -> float | None:
        """Standard errors above guessing."""
        if self.chance is None or not self.standard_error:
            return None
        return (self.value - self.chance) / self.standard_error

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "above_chance": self.above_chance}


Row = tuple[str, str]
"""A task, as it is called beside the others, and a metric."""


def scores_of(models: Sequence[ScoredModel]) -> list[dict[Row, MetricScore]]:
    """Each model's scores by task and metric, seeds taken together; what stands for a task comes first."""
    names = labels((score.task, score.shots) for model in models for score in model.scores)
    order = list(names)
    found = []
    for model in models:
        groups: dict[Row, list[Score]] = {}
        for score in sorted(model.scores, key=lambda one: (order.index((one.task, one.shots)), not one.main)):
            groups.setdefault((names[score.task, score.shots], score.metric), []).append(score)
        found.append({row: _score(group) for row, group in groups.items()})
    return found


def average(found: Mapping[Row, MetricScore]) -> MetricScore | None:
    """The mean of the tasks' main metrics, those where greater is better; None where there is none.

    Its standard error takes the tasks as independent.
    """
    main = [cell for cell in found.values() if cell.main and cell.higher_is_better]
    if not main:
        return None
    errors = [cell.standard_error for cell in main]
    known = [error for error in errors if error is not None]
    chances = [cell.chance for cell in main if cell.chance is not None]
    return MetricScore(
        value=mean(cell.value for cell in main),
        standard_error=math.hypot(*known) / len(main) if len(known) == len(main) else None,
        chance=mean(chances) if len(chances) == len(main) else None,
        items=sum(cell.items for cell in main),
        seeds=min(cell.seeds for cell in main),
        main=True,
        higher_is_better=True,
    )


def scores_table(models: Sequence[ScoredModel]) -> Table:
    """A row a metric; for one model with its distance to guessing, for several with a column each."""
    found = scores_of(models)
    alone = len(models) == 1
    columns = [
        Column("task"),
        Column("metric", words=True),
        *named("score" if alone else model.name for model in models),
        *named(["chance", *(["above chance"] if alone else []), "items"]),
    ]
    rows = []
    shown = ""
    for task, metric in dict.fromkeys(row for part in found for row in part):
        parts = [part.get((task, metric)) for part in found]
        some = next(part for part in parts if part is not None)
        kind = "" if some.main else "quiet"
        names = word(task if task != shown else "", kind), word(metric, kind)
        rows.append([*names, *_values(parts, kind), *_beside(some, alone, kind)])
        shown = task
    averages = [average(part) for part in found]
    foot = ()
    if sum(part.main for part in found[0].values()) > 1 and any(averages):
        some = next(part for part in averages if part is not None)
        foot = ((word("average"), word("main ones"), *_values(averages), *_beside(some, alone)),)
    return table("scores", "Downstream scores", columns, rows, foot=foot)


def print_scores(models: Sequence[ScoredModel], console: Console) -> None:
    """Where each model lies, its scores, and what could not be had."""
    for model in models:
        console.print(f"[bold]{escape(model.name)}[/bold]  {escape(model.source)}", highlight=False, soft_wrap=True)
    if any(model.scores for model in models):
        console.print(grid(scores_table(models)))
    for model in models:
        for task, reason in model.missing.items():
            whose = f" ({model.name})" if len(models) > 1 else ""
            console.print(f"not had: {task}{whose}: {reason}", markup=False, highlight=False, soft_wrap=True)


def scores_dict(models: Sequence[ScoredModel]) -> dict[str, Any]:
    """All of it as JSON values."""
    told = []
    for model, found in zip(models, scores_of(models), strict=True):
        mean_cell = average(found)
        told.append(
            {
                "name": model.name,
                "subject": model.subject,
                "source": model.source,
                "tasks": [{"task": task, "metric": metric, **cell.to_dict()} for (task, metric), cell in found.items()],
                "average": mean_cell and mean_cell.to_dict(),
                "scores": [score.to_dict() for score in model.scores],
                "missing": dict(model.missing),
            }
        )
    return {"models": told}


def _score(group: list[Score]) -> MetricScore:
    """Scores that differ in their seed only, the last of each seed."""
    scores = list({score.seed: score for score in group}.values())
    first = scores[0]
    values = [score.value for score in scores]
    return MetricScore(
        value=mean(values),
        standard_error=error_of_mean(scores),
        chance=first.chance,
        items=first.items,
        seeds=len(values),
        main=first.main,
        higher_is_better=first.higher_is_better,
    )


def _values(found: Sequence[MetricScore | None], kind: Kind = "") -> list[Cell]:
    """Values with their standard errors; the best of several strong."""
    known = [score.value for score in found if score is not None]
    up = next((score.higher_is_better for score in found if score is not None), True)
    best = (max if up else min)(known, default=None) if len(known) > 1 and len(set(known)) > 1 else None
    return [
        NOTHING
        if score is None
        else Cell(text=_told(score), value=score.value, key=score.value, error=score.standard_error,
                  kind="strong" if score.value == best else kind)
        for score in found
    ]  # fmt: skip


def _told(score: MetricScore) -> str:
    error = "" if score.standard_error is None else f" ± {_number(score.standard_error)}"
    return f"{_number(score.value)}{error}"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.3g}"


def _beside(score: MetricScore, alone: bool, kind: Kind = "") -> list[Cell]:
    """Chance, standard errors above it for a single model, items."""
    above = "" if score.above_chance is None else f"{score.above_chance:+.1f} SE"
    seeds = f" x {score.seeds} seeds" if score.seeds > 1 else ""
    chance = "" if score.chance is None else f"{score.chance:.3f}"
    texts = [chance, *([above] if alone else []), f"{score.items:,}{seeds}"]
    return [Cell(text=text, kind=kind) for text in texts]
