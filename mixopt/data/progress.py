"""Progress of data preparation on the terminal: documents, MB/s, time left."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType


class _Rate(ProgressColumn):
    """Mean MB/s since the bar began, without what an earlier call had done."""

    def render(self, task: Task) -> Text:
        seconds = task.finished_time or task.elapsed
        if not seconds:
            return Text("")
        return Text(f"{(task.completed - task.fields['before']) / 1e6 / seconds:.2f} MB/s", style="progress.data.speed")


class PrepareProgress:
    """Bars on standard error, one for each domain and pass; silent if not `shown`."""

    def __init__(self, shown: bool) -> None:
        self._console = Console(file=sys.stderr, quiet=not shown)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            DownloadColumn(table_column=Column(no_wrap=True)),
            _Rate(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[documents]:,} documents"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not shown,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> PrepareProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def start(self, description: str, total: int | None, done: int = 0) -> None:
        """Begin a bar of `total` bytes (None if not known), of which `done` were done before."""
        self._task = self._progress.add_task(description, total=total, completed=done, documents=0, before=done)

    def update(self, documents: int, size: int) -> None:
        """Documents and bytes so far on the current bar."""
        if self._task is not None:
            self._progress.update(self._task, completed=size, documents=documents)

    def finish(self) -> None:
        """End the current bar."""
        if self._task is not None:
            done = max(1, self._progress.tasks[self._task].completed)
            self._progress.update(self._task, total=done, completed=done)
