"""How an evaluation goes: tasks done, tasks that could not be had, time left."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from mixopt.units import format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.progress import Progress, TaskID

    from mixopt.evaluation import Outcome


class EvalProgress:
    """A bar on a terminal; elsewhere a line for each task.

    Args:
        console: where to draw, usually standard error; None to say nothing.
    """

    def __init__(self, console: Console | None) -> None:
        self._console = console
        self._bar: tuple[Progress, TaskID] | None = None
        self._done, self._total, self._first = 0, 0, 0.0

    @contextlib.contextmanager
    def evaluating(self, total: int, found: int) -> Iterator[None]:
        """Draw while `total` tasks are scored, of which the table has `found` more already."""
        self._done, self._total = 0, total
        if self._console is None:
            yield
            return
        if found:
            self._console.print(f"{found} of {found + total} scores are in the table already")
        if not total or not self._console.is_terminal:
            yield
            return
        from rich.progress import BarColumn, Progress, TextColumn

        with Progress(BarColumn(), TextColumn("{task.description}"), console=self._console) as bar:
            self._bar = bar, bar.add_task("loading", total=total)
            try:
                yield
            finally:
                self._bar = None

    def done(self, model: str, outcome: Outcome) -> None:
        """A task has its outcome."""
        self._done += 1
        if self._done == 1:
            self._first = time.monotonic()
        if self._console is None:
            return
        if outcome.error is not None:
            self._say(f"warning: {model}: {outcome.task} could not be had; {self._line()}")
        elif self._bar is None:
            main = next((score for score in outcome.scores if score.main), outcome.scores[0])
            self._say(f"{model}: {outcome.task} {main.metric} {main.value:.4f}; {self._line()}")
        if self._bar:
            bar, task = self._bar
            bar.update(task, completed=self._done, description=self._line())

    def retry(self, model: str, reason: str) -> None:
        """A job is tried again."""
        self._say(f"{model}: trying again ({reason})")

    def _say(self, text: str) -> None:
        if self._console is not None:
            self._console.print(text, markup=False, soft_wrap=True)

    def _line(self) -> str:
        text = f"{self._done}/{self._total} tasks done"
        if not 1 < self._done < self._total:
            return text
        # Before the first task there are imports and the model's loading, which say nothing about the others.
        rate = (time.monotonic() - self._first) / (self._done - 1)
        return f"{text}; {format_seconds(rate * (self._total - self._done))} left"
