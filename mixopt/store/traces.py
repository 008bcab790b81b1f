"""What policies did, as Parquet files beside the table, one a run.

Columns: kind; of `step` rows step (from 0) and `w.<domain>`, the mixture of every step (float32); then, of `point`
rows, tokens, `loss.<domain>` (training loss, nats/token) and `seen.<domain>` (the weight of that loss), which the
laws were fitted to. The rest, the laws among it, is JSON in the schema's metadata.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.errors import StoreError
from mixopt.store import curves
from mixopt.trace import LossPoints, Moment, PolicyTrace

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

_META = b"mixopt.trace"


def write(path: Path, trace: PolicyTrace) -> None:
    """Write `trace` to `path`, whole or not at all.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    import pyarrow as pa

    steps, points = len(trace.steps), trace.points
    count = len(points.tokens) if points else 0

    def column(before: int, values: NDArray[Any], after: int) -> pa.ChunkedArray:
        some = pa.array(values)
        return pa.chunked_array([pa.nulls(before, some.type), some, pa.nulls(after, some.type)])

    columns = {
        "kind": pa.array(["step"] * steps + ["point"] * count, pa.dictionary(pa.int8(), pa.string())),
        "step": column(0, trace.steps, count),
        **{f"w.{name}": column(0, trace.weights[:, k], count) for k, name in enumerate(trace.domains)},
    }
    if points:
        columns["tokens"] = column(steps, points.tokens, 0)
        for k, name in enumerate(trace.domains):
            columns[f"loss.{name}"] = column(steps, points.losses[:, k], 0)
            columns[f"seen.{name}"] = column(steps, points.weights[:, k], 0)
    rest = {
        "policy": trace.policy,
        "steps": steps,
        "settings": trace.settings,
        "domains": trace.domains,
        "moments": [asdict(moment) for moment in trace.moments],
        "failures": trace.failures,
        "points": points is not None,
    }
    curves.save(path, pa.table(columns).replace_schema_metadata({_META: json.dumps(rest)}))


def read(path: Path) -> PolicyTrace | None:
    """The inverse of `write`, exact; None if there is no such file.

    Raises:
        StoreError: the file is damaged or cannot be read.
    """
    table = curves.load(path, "trace")
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
                "weights": _columns(steps, "w", domains, np.float32),
                "moments": tuple(Moment(**moment) for moment in rest["moments"]),
                "points": LossPoints(
                    tokens=points["tokens"].to_numpy(),
                    losses=_columns(points, "loss", domains, np.float64),
                    weights=_columns(points, "seen", domains, np.float64),
                )
                if rest["points"]
                else None,
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"trace {path}: it is none that mixopt wrote ({error}); remove the file") from error


def _columns(table: pa.Table, start: str, domains: tuple[str, ...], kind: type) -> NDArray[Any]:
    """(rows, K)."""
    found = np.empty((table.num_rows, len(domains)), dtype=kind)
    for k, name in enumerate(domains):
        found[:, k] = table[f"{start}.{name}"].to_numpy()
    return found
