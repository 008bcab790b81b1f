"""The connection to the results database: opened with care, every error explained."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mixopt.errors import StoreError
from mixopt.store.schema import BUSY_SECONDS, SCHEMA_VERSION, disk_error, explained, prepare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class Database:
    """One connection to the SQLite file `path`.

    Args:
        path: the file; made, with its folder, if it is not there.
        read_only: open an existing file and never write to it.

    Raises:
        StoreError: it cannot be opened, is damaged, or is newer than this version.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        if read_only:
            if not path.is_file():
                raise StoreError(f"no results table at {path}; a study makes one, or give another with --results")
        else:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise disk_error(error, path.parent) from error
        # Rollback journal, not WAL: WAL needs shared memory, which network file systems do not give.
        address = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        with explained(path):
            self._connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            try:
                self._connection.execute("PRAGMA foreign_keys = ON")
                prepare(self._connection, path, read_only=read_only)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def all(self, query: str, values: Iterable[Any] = ()) -> list[sqlite3.Row]:
        """Every row of a query."""
        with explained(self.path):
            return self._connection.execute(query, tuple(values)).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Statements that take effect together or not at all."""
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def check_writable(self) -> None:
        """Write one page, so that a table that cannot be written is found before hours of training.

        Raises:
            StoreError: it cannot be written.
        """
        with self.transaction() as connection:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
