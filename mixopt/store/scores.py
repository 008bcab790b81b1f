"""Downstream scores of runs and of checkpoints from elsewhere, in a table of their own."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mixopt.score import Score

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mixopt.store.database import Database

_FIELDS = tuple(field.name for field in fields(Score))
_COLUMNS = ("subject", "source", "created", *_FIELDS)
_FLAGS = ("higher_is_better", "main")


class ScoreTable:
    """The table of scores; a subject is a run's id, or the digest of a checkpoint that no run of the table made.

    Args:
        database: the results database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, subject: str, scores: Iterable[Score], *, source: str) -> None:
        """Write scores; those of the same task, metric and identity are replaced.

        Args:
            subject: whose they are.
            scores: what was measured.
            source: for people: where the model lay.

        Raises:
            StoreError: the table cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = [(subject, source, now, *(getattr(score, name) for name in _FIELDS)) for score in scores]
        places = ", ".join("?" * len(_COLUMNS))
        with self._database.transaction() as connection:
            connection.executemany(f"INSERT OR REPLACE INTO scores ({', '.join(_COLUMNS)}) VALUES ({places})", rows)

    def of(self, subjects: Iterable[str] | None = None) -> dict[str, list[Score]]:
        """Scores by subject, in the order of tasks and metrics; subjects without any are left out.

        Args:
            subjects: whose; None for all.
        """
        return {
            subject: [Score(**{name: _value(row, name) for name in _FIELDS}) for row in rows]
            for subject, rows in self._rows(subjects).items()
        }

    def sources(self) -> dict[str, str]:
        """Where the model of each subject lay."""
        return {subject: rows[-1]["source"] for subject, rows in self._rows(None).items()}

    def remove(self, subjects: Iterable[str]) -> None:
        """Remove the scores of some subjects."""
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM scores WHERE subject = ?", [(subject,) for subject in subjects])

    def _rows(self, subjects: Iterable[str] | None) -> dict[str, list[Any]]:
        # A table of an older version that is only read has no scores.
        if not self._database.all("SELECT 1 FROM sqlite_master WHERE name = 'scores'"):
            return {}
        chosen = "" if subjects is None else " WHERE subject IN (SELECT value FROM json_each(?))"
        values = () if subjects is None else (json.dumps(list(subjects)),)
        found: dict[str, list[Any]] = {}
        order = "subject, task, shots, metric, seed, created"
        for row in self._database.all(f"SELECT * FROM scores{chosen} ORDER BY {order}", values):
            found.setdefault(row["subject"], []).append(row)
        return found


def _value(row: Any, name: str) -> Any:
    return bool(row[name]) if name in _FLAGS else row[name]
