"""Downstream scores of models, as a table in the terminal and as JSON values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mixopt.score import error_of_mean, labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from mixopt.score import Score


@dataclass(frozen=True, kw_only=True)
class ScoredModel:
    """One model's column.

    Attributes:
        name: what it is called, as it was asked for.
        subject: whose scores these are in the results table.
        source: where the model lies.
        scores: every metric of every task.
        missing: tasks that could not be had, with the reason.
    """

    name: str
    subject: str
    source: str
    scores: Sequence[Score]
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A metric of a task; of fine-tunings with several seeds their mean.

    Attributes:
        value: the score.
        standard_error: of the value: over items, or of several seeds over seeds; None where neither is known.
        chance: what guessing scores; None where that is not known.
        items: items behind it.
        seeds: fine-tunings behind it; 1 where nothing is random.
        main: whether the metric stands for its task.
        higher_is_better: whether greater values are better.
    """

    value: float
    standard_error: float | None
    chance: float | None
    items: int
    seeds: int
    main: bool
    higher_is_better: bool

    @property
    def above_chance(self) -> float | None:
        """Standard errors above guessing."""
        if self.chance is None or not self.standard_error:
            return None
        return (self.value - self.chance) / self.standard_error

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "value": self.value, "standard_error": self.standard_error, "chance": self.chance,
            "above_chance": self.above_chance, "items": self.items, "seeds": self.seeds, "main": self.main,
            "higher_is_better": self.higher_is_better,
        }  # fmt: skip


Row = tuple[str, str]
"""A task, as it is called beside the others, and a metric."""


def cells(models: Sequence[ScoredModel]) -> list[dict[Row, Cell]]:
    """Each model's scores by task and metric, seeds taken together; what stands for a task comes first."""
    names = labels((score.task, score.shots) for model in models for score in model.scores)
    order = list(names)
    found = []
    for model in models:
        groups: dict[Row, list[Score]] = {}
        for score in sorted(model.scores, key=lambda one: (order.index((one.task, one.shots)), not one.main)):
            groups.setdefault((names[score.task, score.shots], score.metric), []).append(score)
        found.append({row: _cell(group) for row, group in groups.items()})
    return found


def average(found: Mapping[Row, Cell]) -> Cell | None:
    """The mean of the tasks' main metrics, those where greater is better; None where there is none.

    Its standard error takes the tasks as independent.
    """
    main = [cell for cell in found.values() if cell.main and cell.higher_is_better]
    if not main:
        return None
    errors = [cell.standard_error for cell in main]
    known = [error for error in errors if error is not None]
    chances = [cell.chance for cell in main if cell.chance is not None]
    return Cell(
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
    found = cells(models)
    rows = list(dict.fromkeys(row for part in found for row in part))
    averages = [average(part) for part in found]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("metric", no_wrap=True)
    for model in models:
        title = "score" if len(models) == 1 else model.name
        table.add_column(escape(title), justify="right", no_wrap=True)
    for name in ("chance", *(["above chance"] if len(models) == 1 else []), "items"):
        table.add_column(name, justify="right", no_wrap=True)
    shown = ""
    for row in rows:
        parts = [part.get(row) for part in found]
        task, metric = row
        some = next(cell for cell in parts if cell is not None)
        table.add_row(
            escape(task) if task != shown else "",
            escape(metric),
            *_values(parts),
            *_beside(some, len(models) == 1),
            style=None if some.main else "dim",
        )
        shown = task
    if sum(cell.main for cell in found[0].values()) > 1 and any(averages):
        some = next(cell for cell in averages if cell is not None)
        table.add_section()
        table.add_row("average", "main ones", *_values(averages), *_beside(some, len(models) == 1))
    return table


def print_scores(models: Sequence[ScoredModel], console: Console) -> None:
    """Where each model lies, its scores, and what could not be had."""
    for model in models:
        console.print(f"[bold]{escape(model.name)}[/bold]  {escape(model.source)}", highlight=False, soft_wrap=True)
    if any(model.scores for model in models):
        console.print(scores_table(models))
    for model in models:
        for task, reason in model.missing.items():
            whose = f" ({model.name})" if len(models) > 1 else ""
            console.print(f"not had: {task}{whose}: {reason}", markup=False, highlight=False, soft_wrap=True)


def scores_dict(models: Sequence[ScoredModel]) -> dict[str, Any]:
    """All of it as JSON values."""
    told = []
    for model, found in zip(models, cells(models), strict=True):
        mean_cell = average(found)
        told.append(
            {
                "name": model.name,
                "subject": model.subject,
                "source": model.source,
                "tasks": [
                    {"task": task, "metric": metric, **cell.to_dict()} for (task, metric), cell in found.items()
                ],
                "average": mean_cell and mean_cell.to_dict(),
                "scores": [score.to_dict() for score in model.scores],
                "missing": dict(model.missing),
            }
        )
    return {"models": told}


def _cell(group: list[Score]) -> Cell:
    """Scores that differ in their seed only, the last of each seed."""
    scores = list({score.seed: score for score in group}.values())
    first = scores[0]
    values = [score.value for score in scores]
    return Cell(
        value=mean(values),
        standard_error=error_of_mean(scores),
        chance=first.chance,
        items=first.items,
        seeds=len(values),
        main=first.main,
        higher_is_better=first.higher_is_better,
    )


def _values(found: Sequence[Cell | None]) -> list[str]:
    """Values with their standard errors; the best of several in bold."""
    known = [cell.value for cell in found if cell is not None]
    up = next((cell.higher_is_better for cell in found if cell is not None), True)
    best = (max if up else min)(known, default=None) if len(known) > 1 and len(set(known)) > 1 else None
    texts = []
    for cell in found:
        if cell is None:
            texts.append("-")
            continue
        text = _number(cell.value)
        if cell.standard_error is not None:
            text += f" ± {_number(cell.standard_error)}"
        texts.append(f"[bold]{text}[/bold]" if cell.value == best else text)
    return texts


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.3g}"


def _beside(cell: Cell, alone: bool) -> list[str]:
    """Chance, standard errors above it for a single model, items."""
    above = "" if cell.above_chance is None else f"{cell.above_chance:+.1f} SE"
    seeds = f" x {cell.seeds} seeds" if cell.seeds > 1 else ""
    chance = "" if cell.chance is None else f"{cell.chance:.3f}"
    return [chance, *([above] if alone else []), f"{cell.items:,}{seeds}"]
