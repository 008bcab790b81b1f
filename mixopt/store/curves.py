"""Curves of runs, and what their policies did, as Parquet files beside the table, one each a run.

A curve is one long table: columns step, tokens, split (`train`, `validation` or `mixture`), domain, loss
(nats/token), weight. A trace has the columns kind; of `step` rows step (from 0) and `w.<domain>`, the mixture of
every step (float32); then, of `point` rows, tokens, `loss.<domain>` (training loss, nats/token) and `seen.<domain>`
(the weight of that loss), which the laws were fitted to. Its rest, laws among it, is JSON in the schema's metadata.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import StoreError
from mixopt.files import replacing
from mixopt.result import CURVE_COLUMNS, RunResult
from mixopt.store.schema import disk_error
from mixopt.trace import LossPoints, Moment, PolicyTrace

if TYPE_CHECKING:
    import pyarrow as pa


_META = b"mixopt.trace"

MIXTURE_COLUMNS = ("step", "domain", "weight")
_TYPES = {**dict.fromkeys(("step", "tokens"), "int64"), **dict.fromkeys(("split", "domain"), "string"),
          **dict.fromkeys(("loss", "weight"), "float64")}  # fmt: skip


def write(path: Path, result: RunResult) -> None:
    """Write the curve of `result`, and the mixture at its points, to `path`.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    import pyarrow as pa

    traced = {**result.mixture, "split": ["mixture"] * len(result.mixture.get("step", ()))}
    parts = [
        pa.table({name: pa.array(part[name], kind) for name, kind in _TYPES.items() if name in part})
        for part in (result.curve, traced)
    ]
    save(path, pa.concat_tables([empty(), *parts], promote_options="default"))


def empty() -> pa.Table:
    """A long table without rows."""
    import pyarrow as pa

    return pa.table({name: pa.array((), kind) for name, kind in _TYPES.items()})


def save(path: Path, table: pa.Table) -> None:
    """Write a table to `path`, whole or not at all.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    import pyarrow.parquet as pq

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished:
            pq.write_table(table, unfinished, compression="zstd")
    except OSError as error:
        raise disk_error(error, path) from error


def check_folder(folder: Path) -> None:
    """Make sure that curves can be written into `folder`.

    Raises:
        StoreError: they cannot.
    """
    probe = folder / f".probe.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise disk_error(error, folder) from error


def read(path: Path) -> pa.Table | None:
    """The long table of one run; None if the run left no curve.

    Raises:
        StoreError: the file is damaged or cannot be read.
    """
    return load(path, "curve")


def load(path: Path, what: str) -> pa.Table | None:
    """The table in `path`; None if there is no such file.

    Raises:
        StoreError: the file is damaged or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return None
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise StoreError(
            f"{what} {path}: cannot be read ({reason}); restore a copy, or remove the file: the run's final losses "
            "are in the table"
        ) from error


def split(table: pa.Table | None) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """`RunResult.curve` and `RunResult.mixture` out of the long table; an empty one is {}."""
    if table is None:
        return {}, {}
    rows = table.to_pylist()
    curve = [row for row in rows if row["split"] != "mixture"]
    mixture = [row for row in rows if row["split"] == "mixture"]
    return _columns(curve, CURVE_COLUMNS), _columns(mixture, MIXTURE_COLUMNS)


def _columns(rows: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in names} if rows else {}


def write_trace(path: Path, trace: PolicyTrace) -> None:
    """Write `trace` to `path`, whole or not at all.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    import pyarrow as pa

    points, kind = trace.points, pa.dictionary(pa.int8(), pa.string())
    weights = {f"w.{name}": trace.weights[:, k] for k, name in enumerate(trace.domains)}
    parts = [pa.table({"kind": pa.array(["step"] * len(trace.steps), kind), "step": trace.steps, **weights})]
    if points:
        columns: dict[str, Any] = {"kind": pa.array(["point"] * len(points.tokens), kind), "tokens": points.tokens}
        for k, name in enumerate(trace.domains):
            columns |= {f"loss.{name}": points.losses[:, k], f"seen.{name}": points.weights[:, k]}
        parts.append(pa.table(columns))
    rest = {
        "policy": trace.policy,
        "steps": len(trace.steps),
        "settings": trace.settings,
        "domains": trace.domains,
        "moments": [asdict(moment) for moment in trace.moments],
        "failures": trace.failures,
        "points": points is not None,
    }
    table = pa.concat_tables(parts, promote_options="default")
    save(path, table.replace_schema_metadata({_META: json.dumps(rest)}))


def read_trace(path: Path) -> PolicyTrace | None:
    """The inverse of `write_trace`, exact; None if there is no such file.

    Raises:
        StoreError: the file is damaged or cannot be read.
    """
    table = load(path, "trace")
    if table is None:
        return None
    try:
        rest = json.loads((table.schema.metadata or {})[_META])
        steps, points = table.slice(0, rest["steps"]), table.slice(rest["steps"])
        domains = tuple(rest.pop("domains"))
        return PolicyTrace(
            **{
                **rest,
                "domains": domains,
                "steps": steps["step"].to_numpy(),
                "weights": _matrix(steps, "w", domains, np.float32),
                "moments": tuple(Moment(**moment) for moment in rest["moments"]),
                "points": LossPoints(
                    tokens=points["tokens"].to_numpy(),
                    losses=_matrix(points, "loss", domains, np.float64),
                    weights=_matrix(points, "seen", domains, np.float64),
                )
                if rest["points"]
                else None,
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"trace {path}: it is none that mixopt wrote ({error}); remove the file") from error


def _matrix(table: pa.Table, start: str, domains: tuple[str, ...], kind: type) -> NDArray[Any]:
    """(rows, K)."""
    found = np.empty((table.num_rows, len(domains)), dtype=kind)
    for k, name in enumerate(domains):
        found[:, k] = table[f"{start}.{name}"].to_numpy()
    return found
