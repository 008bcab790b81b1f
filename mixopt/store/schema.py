"""Tables of the results database, a run as their rows, and the one line that each way of failing gives."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixopt.errors import StoreError
from mixopt.spec import NUMERICS, RunSpec

if TYPE_CHECKING:
    from mixopt.result import RunResult


SCHEMA_VERSION = 3

# 'mixo' in ASCII: tells our table from any other SQLite file.
APPLICATION_ID = 0x6D69786F

# A writer holds the lock for milliseconds; only a stopped process or a slow network disk makes anyone wait long.
BUSY_SECONDS = 30.0

# Made by whichever of two processes comes first.
TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY,
    status TEXT NOT NULL CHECK (status IN ('finished', 'diverged', 'failed')),
    created TEXT NOT NULL,
    numerics INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    model TEXT NOT NULL,
    policy TEXT NOT NULL,
    seed INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    parameters INTEGER NOT NULL,
    flops REAL NOT NULL,
    train_seconds REAL NOT NULL,
    seconds REAL NOT NULL,
    device TEXT NOT NULL,
    error TEXT,
    versions TEXT NOT NULL,
    spec TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS run_domains (
    run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
    position INTEGER NOT NULL,
    domain TEXT NOT NULL,
    weight REAL,
    loss REAL,
    bits_per_byte REAL,
    train_loss REAL,
    tokens_seen INTEGER,
    unique_tokens INTEGER,
    PRIMARY KEY (run_id, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS studies (
    study_id TEXT PRIMARY KEY,
    command TEXT NOT NULL,
    config TEXT NOT NULL,
    created TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS study_runs (
    study_id TEXT NOT NULL REFERENCES studies ON DELETE CASCADE,
    run_id TEXT NOT NULL,
    role TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT '',
    name TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (study_id, run_id, role)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
    subject TEXT NOT NULL,
    task TEXT NOT NULL,
    shots INTEGER NOT NULL,
    metric TEXT NOT NULL,
    seed INTEGER,
    value REAL NOT NULL,
    standard_error REAL,
    items INTEGER NOT NULL,
    higher_is_better INTEGER NOT NULL,
    main INTEGER NOT NULL,
    chance REAL,
    identity TEXT NOT NULL,
    source TEXT NOT NULL,
    created TEXT NOT NULL,
    PRIMARY KEY (subject, task, metric, identity)
) WITHOUT ROWID;
"""

RUN_COLUMNS = (
    "run_id", "status", "created", "numerics", "fingerprint", "model", "policy", "seed", "tokens", "parameters",
    "flops", "train_seconds", "seconds", "device", "error", "versions", "spec",
)  # fmt: skip

# What a run's losses are of, out of its spec.
PREDICTED = (
    "json_extract(spec, '$.objective') AS objective, coalesce(json_extract(spec, '$.whole_word'), 0) AS whole_word"
)

# The columns of `run_domains` that are the fields of a `DomainResult`.
MEASURED_COLUMNS = ("loss", "bits_per_byte", "train_loss", "tokens_seen", "unique_tokens")


def prepare(connection: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    """Make the tables in a new database; check that an old one is ours and not from the future."""
    # One transaction, so that a table that another process is just making is there as a whole or not at all.
    connection.execute("BEGIN")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    connection.execute("COMMIT")
    ours = application == APPLICATION_ID or (tables == 0 and version == 0)
    if ours and version < SCHEMA_VERSION and not read_only:  # new, or from before the last of the tables
        connection.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID}; COMMIT;")
        _add_roles(connection)
    elif application != APPLICATION_ID:
        raise StoreError(f"results table {path}: this is no mixopt table; give another folder with --results")
    elif version > SCHEMA_VERSION:
        raise StoreError(
            f"results table {path}: written by a newer mixopt (schema {version}, this one knows up to "
            f"{SCHEMA_VERSION}); upgrade mixopt or give another folder with --results"
        )


def run_rows(spec: RunSpec, result: RunResult, created: str) -> tuple[tuple[Any, ...], list[tuple[Any, ...]]]:
    """The row of `runs`, and those of `run_domains`; `created` is ISO 8601, UTC."""
    model = spec.model
    row = (
        spec.run_id, result.status, created, NUMERICS, spec.data.fingerprint,
        f"{model.family} {model.layers}x{model.width}", spec.policy.name, spec.seed, result.tokens,
        result.parameters, result.flops, result.train_seconds, result.seconds, result.device, result.error,
        json.dumps(result.versions), spec.to_json(),
    )  # fmt: skip
    weights = spec.mixture.to_dict()
    domains: list[tuple[Any, ...]] = []
    for position, domain in enumerate(dict.fromkeys((*weights, *result.domains))):
        part = result.domains.get(domain)
        measured = [getattr(part, name, None) for name in MEASURED_COLUMNS]
        domains.append((spec.run_id, position, domain, weights.get(domain), *measured))
    return row, domains


def _add_roles(connection: sqlite3.Connection) -> None:
    """Give a table from before roles had a kind and a name these columns, and what its texts tell of them."""
    connection.execute("BEGIN IMMEDIATE")
    if "kind" not in {row[1] for row in connection.execute("PRAGMA table_info(study_runs)")}:
        for column in ("kind", "name"):
            connection.execute(f"ALTER TABLE study_runs ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")
        connection.execute("UPDATE study_runs SET kind = role WHERE role = 'base'")
        for kind in ("verify", "target"):
            connection.execute(
                "UPDATE study_runs SET kind = ?, name = substr(role, 8) WHERE substr(role, 1, 7) = ? || ' '",
                (kind, kind),
            )
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def among(column: str, wanted: Iterable[str] | None) -> tuple[str, tuple[str, ...]]:
    """The condition that `column` is one of `wanted`, and its values; anything where that is None."""
    if wanted is None:
        return "1", ()
    return f"{column} IN (SELECT value FROM json_each(?))", (json.dumps(list(wanted)),)


def disk_error(error: OSError, path: Path) -> StoreError:
    """The line for a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _disk_full(path)
    reason = error.strerror or str(error)
    return StoreError(f"cannot write {path} ({reason}); make the folder writable or give another with --results")


def _disk_full(path: Path) -> StoreError:
    return StoreError(
        f"disk full while writing {path}; free some space and run the same command again (finished runs are kept)"
    )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the database `path` into a StoreError with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if "full" in text:
            raise _disk_full(path) from error
        if "readonly" in text or "unable to open" in text:
            raise StoreError(
                f"results table {path}: cannot be written ({text}); make the folder writable or give another with "
                "--results"
            ) from error
        if "locked" in text or "busy" in text:
            raise StoreError(
                f"results table {path}: another process has held it for {BUSY_SECONDS:.0f} s; end that process "
                "and run the same command again"
            ) from error
        raise StoreError(
            f"results table {path} is damaged ({text}); nothing was changed: move it aside (the curves beside it "
            "are whole) and restore a copy, `mixopt runs import` an export, or let the runs be trained again"
        ) from error


class Database:
    """One connection to the SQLite file `path`, which is made with its folder, unless it is only read.

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
