"""How a sweep goes, live: runs done, running and failed, tokens a second, time left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixopt.units import format_count, format_seconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from mixopt.evaluation import Outcome
    from mixopt.execute.base import Event, Job
    from mixopt.result import RunResult


@dataclass
class Tally:
    """The numbers behind the display; pure, so that they can be tested without a screen."""

    tokens: dict[str, int]  # tokens that each run has still to do or has done, by run id
    started: float | None = None  # when the first run began, seconds
    running: set[str] = field(default_factory=set)  # ids of the runs that are on
    done: dict[str, int] = field(default_factory=dict)  # tokens done by run id
    ended: int = 0  # runs that ended well
    failed: int = 0  # runs that failed or diverged

    def event(self, event: Event, now: float) -> None:
        """Take in an event at the time `now` (seconds)."""
        if event.run_id not in self.tokens:
            return  # a kept model that is evaluated
        if event.kind == "started":
            self.started = now if self.started is None else self.started
            self.running.add(event.run_id)
        elif event.kind == "progress" and event.run_id in self.running:
            self.done[event.run_id] = max(event.tokens, self.done.get(event.run_id, 0))

    def end(self, run_id: str, *, well: bool) -> None:
        """Take in the end of a run."""
        self.running.discard(run_id)
        self.done[run_id] = self.tokens[run_id]  # a failed run has nothing left to do either
        self.ended += well
        self.failed += not well

    @property
    def tokens_done(self) -> int:
        """Tokens of all runs."""
        return sum(self.done.values())

    def rate(self, now: float) -> float:
        """Tokens a second since the first run began."""
        elapsed = now - self.started if self.started is not None else 0.0
        return self.tokens_done / elapsed if elapsed > 0 else 0.0

    def seconds_left(self, now: float) -> float | None:
        """Seconds to go at the present rate; None before there is one."""
        rate = self.rate(now)
        return (sum(self.tokens.values()) - self.tokens_done) / rate if rate else None

    def line(self, now: float) -> str:
        """All of it in one line."""
        total = len(self.tokens)
        parts = [f"{self.ended}/{total} runs done, {len(self.running)} running"]
        if self.failed:
            parts[0] += f", {self.failed} failed"
        if rate := self.rate(now):
            parts.append(f"{format_count(rate)} tokens/s")
        left = self.seconds_left(now)
        if left is not None and self.ended + self.failed < total:
            parts.append(f"{format_seconds(left)} left")
        return "; ".join(parts)


class Live:
    """A `Watch` on a terminal: a bar that moves; elsewhere a line for each run that ends.

    Args:
        console: where to draw, usually standard error.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tally = Tally({})
        self._jobs: dict[str, Job] = {}
        self._bar: tuple[Progress, TaskID] | None = None

    @contextlib.contextmanager
    def sweep(self, jobs: Sequence[Job], found: int) -> Iterator[None]:
        """Draw the sweep while it lasts."""
        self._jobs = {job.run_id: job for job in jobs}
        self._tally = Tally({run: job.spec.tokens for run, job in self._jobs.items()})
        if found:
            self._console.print(f"{found} of {found + len(jobs)} runs are in the table already")
        if not jobs:
            yield
            return
        runs = "1 run" if len(jobs) == 1 else f"{len(jobs)} runs"
        self._console.print(f"training {runs}, {format_count(sum(self._tally.tokens.values()))} tokens")
        if not self._console.is_terminal:
            yield
            return
        from rich.progress import BarColumn, Progress, TextColumn

        with Progress(BarColumn(), TextColumn("{task.description}"), console=self._console) as bar:
            self._bar = bar, bar.add_task("starting workers", total=sum(self._tally.tokens.values()))
            try:
                yield
            finally:
                self._bar = None

    def event(self, event: Event) -> None:
        """Move the bar; say why a run is tried or trained again."""
        self._tally.event(event, time.monotonic())
        if event.kind in ("retry", "again"):
            role = self._jobs.get(event.run_id, event.run_id)
            what = "trying again from its checkpoint" if event.kind == "retry" else "in the table, and trained again"
            self._console.print(f"{role}: {what} ({event.message})", markup=False, soft_wrap=True)
        elif event.kind == "kept":
            self._console.print(f"{event.run_id}: {event.message}", markup=False, soft_wrap=True)
        self._draw()

    def done(self, job: Job, result: RunResult) -> None:
        """Count the run; say so if it did not end well."""
        well = result.status == "finished"
        self._tally.end(job.run_id, well=well)
        if not well:
            self._console.print(f"warning: {job} {result.status} ({result.error}); going on without it", markup=False)
        elif self._bar is None:
            losses = [loss for domain, loss in result.losses().items() if domain in job.spec.data.domains]
            mean = sum(losses) / max(1, len(losses))
            self._console.print(
                f"{job}: mean loss {mean:.4f}; {self._tally.line(time.monotonic())}", markup=False, soft_wrap=True
            )
        self._draw()

    def _draw(self) -> None:
        if self._bar:
            bar, task = self._bar
            bar.update(task, completed=self._tally.tokens_done, description=self._tally.line(time.monotonic()))


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
