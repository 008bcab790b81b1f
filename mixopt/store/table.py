"""`Store`: record runs, find them again, hand them to methods and to people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mixopt.errors import StoreError
from mixopt.history import History, RunTrace
from mixopt.result import DomainResult, RunResult
from mixopt.role import Role
from mixopt.spec import RunSpec
from mixopt.store import curves, frames, task_errors
from mixopt.store.schema import MEASURED_COLUMNS, PREDICTED, RUN_COLUMNS, Database, among, run_rows
from mixopt.store.task_errors import ScoreTable

if TYPE_CHECKING:
    import pandas as pd

    from mixopt.evaluation import EvalTask
    from mixopt.trace import PolicyTrace

_SCALARS = ("tokens", "parameters", "flops", "train_seconds", "seconds", "device", "error")


class Store:
    """The results table in the folder `results`.

    Args:
        results: folder of the table; made if it is not there.
        read_only: open an existing table and never write to it.

    Raises:
        StoreError: the folder cannot be written, the table is damaged or newer than this version, or (read-only)
            there is none.
    """

    def __init__(self, results: str | Path = "results", *, read_only: bool = False) -> None:
        self.folder = Path(results)
        self.path = self.folder / "mixopt.db"
        self._database = Database(self.path, read_only=read_only)
        self.scores = ScoreTable(self._database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; the store is of no use afterwards."""
        self._database.close()

    def check_writable(self) -> None:
        """Fail now rather than after the first training.

        Raises:
            StoreError: the table cannot be written.
        """
        self._database.check_writable()
        curves.check_folder(self.folder / "curves")

    def record(self, spec: RunSpec, result: RunResult, *, created: str | None = None) -> bool:
        """Write one run: its curve first, then its row, so that a row always has its curve.

        `created` is the time of the row, ISO 8601 in UTC; now by default.

        Returns:
            False if a finished row was there already (it stays as it is), else True.

        Raises:
            StoreError: the disk is full or the table cannot be written.
        """
        if result.run_id != spec.run_id:
            raise StoreError(f"run {result.run_id}: its spec has the id {spec.run_id}; the two do not belong together")
        if self.has_finished(spec.run_id):
            return False
        if result.curve or result.mixture:
            curves.write(self.curve_path(spec.run_id), result)
        if result.trace:
            curves.write_trace(self.trace_path(spec.run_id), result.trace)
        row, domains = run_rows(spec, result, created or datetime.now(UTC).isoformat(timespec="seconds"))
        with self._database.transaction() as connection:
            if self.has_finished(spec.run_id):
                return False
            connection.execute("DELETE FROM runs WHERE run_id = ?", (spec.run_id,))
            connection.execute(f"INSERT INTO runs VALUES ({', '.join('?' * len(RUN_COLUMNS))})", row)
            connection.executemany("INSERT INTO run_domains VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", domains)
        return True

    def has_finished(self, run_id: str) -> bool:
        """Whether the run is there and finished."""
        return bool(self._database.all("SELECT 1 FROM runs WHERE run_id = ? AND status = 'finished'", (run_id,)))

    def get(self, run_id: str) -> tuple[RunSpec, RunResult]:
        """Spec and result of one run, exactly as they were recorded.

        Raises:
            StoreError: there is no such run.
        """
        rows = self._database.all("SELECT * FROM runs WHERE run_id = ?", (run_id,))
        if not rows:
            raise StoreError(f"run {run_id!r} is not in {self.path}; `mixopt runs list` shows those that are")
        row = rows[0]
        parts = self._database.all("SELECT * FROM run_domains WHERE run_id = ? ORDER BY position", (run_id,))
        curve, mixture = curves.split(curves.read(self.curve_path(run_id)))
        return RunSpec.from_json(row["spec"]), RunResult(
            run_id=run_id,
            status=row["status"],
            domains={
                part["domain"]: DomainResult(**{name: part[name] for name in MEASURED_COLUMNS})
                for part in parts
                if part["tokens_seen"] is not None
            },
            **{name: row[name] for name in _SCALARS},
            curve=curve,
            mixture=mixture,
            versions=json.loads(row["versions"]),
            trace=self.trace(run_id),
        )

    def created(self, run_id: str) -> str:
        """When the run's row was written, ISO 8601 in UTC."""
        return self._database.all("SELECT created FROM runs WHERE run_id = ?", (run_id,))[0]["created"]

    def find(self, prefix: str) -> str:
        """The one run id that starts with `prefix`.

        Raises:
            StoreError: none does, or several do.
        """
        return self._find("run", "runs", prefix, "`mixopt runs list` shows those that are")

    def find_study(self, prefix: str) -> str:
        """The one study id that starts with `prefix`.

        Raises:
            StoreError: none does, or several do.
        """
        known = [study["study_id"] for study in self.studies()]
        return self._find("study", "studies", prefix, f"there are {', '.join(known[-5:]) or 'none'}")

    def study(self, prefix: str) -> dict[str, Any]:
        """The one study whose id starts with `prefix`, as in `studies`; errors as of `find_study`."""
        study_id = self.find_study(prefix)
        return next(study for study in self.studies() if study["study_id"] == study_id)

    def _find(self, what: str, table: str, prefix: str, hint: str) -> str:
        start = prefix.lower()
        query = f"SELECT {what}_id FROM {table} WHERE substr({what}_id, 1, ?) = ? ORDER BY 1"
        found = [row[0] for row in self._database.all(query, (len(start), start))] if start else []
        if not found:
            raise StoreError(f"{what} {prefix!r} is not in {self.path}; {hint}")
        if len(found) > 1:
            some = ", ".join(found[:3])
            raise StoreError(f"{what} {prefix!r} could be any of {len(found)} ({some} …); give more digits")
        return found[0]

    def rows(self, *, status: str | None = None, study: str | None = None) -> list[dict[str, Any]]:
        """Scalars of every run and its training domains' mean validation loss, oldest first.

        The loss is `mean_loss` of a causal run and `mean_masked_loss` of a masked one; the other is None.

        `status` and `study` choose.
        """
        query = (
            f"SELECT {', '.join(RUN_COLUMNS[:-2])}, {PREDICTED}, "
            "(SELECT avg(loss) FROM run_domains WHERE run_domains.run_id = runs.run_id AND weight IS NOT NULL) "
            "AS mean FROM runs WHERE 1"
        )
        values: list[str] = []
        if status is not None:
            query += " AND status = ?"
            values.append(status)
        if study is not None:
            query += " AND run_id IN (SELECT run_id FROM study_runs WHERE study_id = ?)"
            values.append(study)
        return [frames.listed(row) for row in self._database.all(f"{query} ORDER BY created, rowid", values)]

    def history(
        self,
        run_ids: Iterable[str] | None = None,
        *,
        curves: bool = False,
        traces: bool = False,
        tasks: Sequence[EvalTask] = (),
    ) -> History:
        """Finished runs as the arrays that methods work on, in the order of `run_ids`.

        Args:
            run_ids: the runs wanted, those that are not finished being left out; None for all in the table.
            tasks: downstream tasks whose errors (1 − score) stand beside the losses, as `task:NAME`; no point of
                a curve has them, so that there are none then.

        Raises:
            StoreError: the runs do not share their domains, or predict different things; one has no score.
        """
        wanted = None if run_ids is None else list(dict.fromkeys(run_ids))
        chosen, values = among("run_id", wanted)
        runs = self._database.all(
            f"SELECT run_id, seed, parameters, {PREDICTED} FROM runs WHERE status = 'finished' AND {chosen} "
            "ORDER BY rowid",
            values,
        )
        parts = self._database.all(
            "SELECT run_id, domain, weight, loss, tokens_seen FROM run_domains JOIN runs USING (run_id) "
            f"WHERE status = 'finished' AND {chosen} ORDER BY runs.rowid, position",
            values,
        )
        history = frames.history(runs, parts, wanted)
        if tasks:
            history = task_errors.with_errors(history, tasks, self.scores.of(history.runs))
        if traces:
            history = replace(history, traces=self._traces(history.runs))
        return frames.with_curves(history, self._curve) if curves else history

    def _traces(self, run_ids: Sequence[str]) -> dict[str, RunTrace]:
        return {
            run_id: RunTrace(result.trace, spec.policy.reference)
            for run_id, (spec, result) in zip(run_ids, map(self.get, run_ids), strict=True)
            if spec.policy.name != "static"
        }

    def frame(self, run_ids: Iterable[str] | None = None) -> pd.DataFrame:
        """All runs, one row each, in columns that `results/README.md` explains."""
        chosen, values = among("run_id", run_ids)
        names = ", ".join(RUN_COLUMNS[:-2])
        query = f"SELECT {names}, {PREDICTED} FROM runs WHERE {chosen} ORDER BY created, rowid"
        runs = self._database.all(query, values)
        parts = self._database.all(f"SELECT * FROM run_domains WHERE {chosen} ORDER BY run_id, position", values)
        ids = [run["run_id"] for run in runs]
        return frames.wide(runs, parts, task_errors.wide(ids, self.scores.of(ids)))

    def curve(self, run_id: str) -> pd.DataFrame:
        """Curve and mixture trace of one run as a long frame: step, tokens, split, domain, loss, weight."""
        table = curves.read(self.curve_path(run_id))
        return (curves.empty() if table is None else table).to_pandas()

    def _curve(self, run_id: str) -> dict[str, list[Any]]:
        return curves.split(curves.read(self.curve_path(run_id)))[0]

    def curve_path(self, run_id: str) -> Path:
        """Where the curve of `run_id` is kept."""
        return self.folder / "curves" / f"{run_id}.parquet"

    def trace(self, run_id: str) -> PolicyTrace | None:
        """What the policy of a run did; None where the mixture was fixed, or nothing was recorded."""
        return curves.read_trace(self.trace_path(run_id))

    def trace_path(self, run_id: str) -> Path:
        """Where the trace of `run_id` is kept."""
        return self.folder / "traces" / f"{run_id}.parquet"

    def remove(self, run_ids: Iterable[str]) -> int:
        """Remove runs with their curves, traces and scores; the number of rows that were there."""
        ids = list(run_ids)
        with self._database.transaction() as connection:
            removed = sum(connection.execute("DELETE FROM runs WHERE run_id = ?", (one,)).rowcount for one in ids)
        for run_id in ids:
            self.curve_path(run_id).unlink(missing_ok=True)
            self.trace_path(run_id).unlink(missing_ok=True)
        self.scores.remove(ids)
        return removed

    def save_study(self, study_id: str, command: str, config: dict[str, Any], runs: Iterable[tuple[str, Role]]) -> None:
        """Store a study's command (`ddo`), its resolved config (JSON values) and its runs, with their roles."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO studies VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET config = excluded.config",
                (study_id, command, json.dumps(config), datetime.now(UTC).isoformat(timespec="seconds")),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO study_runs VALUES (?, ?, ?, ?, ?)",
                [(study_id, run_id, str(role), role.kind, role.name) for run_id, role in runs],
            )

    def studies(self) -> list[dict[str, Any]]:
        """Every study (study_id, command, config, created, runs as pairs of id and role), oldest first."""
        links: dict[str, list[tuple[str, Role]]] = {}
        for study, run, *role in self._database.all("SELECT * FROM study_runs ORDER BY study_id, run_id, role"):
            links.setdefault(study, []).append((run, Role.of(*role)))
        return [
            {**dict(row), "config": json.loads(row["config"]), "runs": links.get(row["study_id"], [])}
            for row in self._database.all("SELECT * FROM studies ORDER BY created, rowid")
        ]
