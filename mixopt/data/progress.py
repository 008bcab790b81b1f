"""Progress of data preparation on the terminal: documents, MB/s, time left."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

if TYPE_CHECKING:
    from types import TracebackType


class PrepareProgress:
    """Bars on standard error, one for each domain and pass; silent if not `shown`."""

    def __init__(self, shown: bool) -> None:
        self._console = Console(file=sys.stderr, quiet=not shown)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            DownloadColumn(),
            TransferSpeedColumn(),
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
        self._task = self._progress.add_task(description, total=total, completed=done, documents=0)

    def update(self, documents: int, size: int) -> None:
        """Documents and bytes so far on the current bar."""
        if self._task is not None:
            self._progress.update(self._task, completed=size, documents=documents)

    def finish(self) -> None:
        """End the current bar."""
        if self._task is not None:
            task = self._progress.tasks[self._task]
            self._progress.update(self._task, total=max(1, task.completed), completed=max(1, task.completed))
