"""Traces of policies in the results table."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.errors import StoreError
from mixopt.result import RunResult
from mixopt.store import Store, export_runs, import_runs
from mixopt.trace import LossPoints, Moment, PolicyTrace
from tests.synthetic_runs import make_run, make_spec, power_law

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.spec import RunSpec

DOMAINS = ("code", "a, b")


def make_trace(*, points: bool = True) -> PolicyTrace:
    """Five steps with two accounts, and three points of which one is missing."""
    losses = np.array([[3.0, 2.5], [np.nan, 2.0], [2.0 / 3.0, 1e-300]])
    moment = Moment(
        step=3,
        tokens=1024,
        laws={"alpha": {"code": 0.1, "a, b": None}},
        outcome={"code": "ok", "a, b": "2 points, 20 needed"},
        forecasts={"code": 1 / 3, "a, b": None},
        parts={"policy": {"code": 0.7, "a, b": 0.3}},
    )
    return PolicyTrace(
        policy="ado",
        settings={"preset": "robust", "max_drift": None, "s": 0.5},
        domains=DOMAINS,
        steps=np.arange(5),
        weights=np.linspace(0, 1, 10, dtype=np.float32).reshape(5, 2),
        moments=(moment, replace(moment, step=4)),
        failures={"refused": {"code": 0, "a, b": 2}},
        points=LossPoints(tokens=np.array([10.0, 20.5, 30.0]), losses=losses, weights=np.ones((3, 2)))
        if points
        else None,
    )


def make_traced(trace: PolicyTrace) -> tuple[RunSpec, RunResult]:
    spec, result = make_run(make_spec({"code": 0.5, "a, b": 0.5}), power_law(3.0, 60.0))
    return spec, replace(result, trace=trace)


@pytest.mark.parametrize("trace", [make_trace(), make_trace(points=False)])
def test_a_result_with_a_trace_survives_json_workers_and_the_table(trace: PolicyTrace, tmp_path: Path) -> None:
    spec, result = make_traced(trace)
    assert RunResult.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False))) == result
    assert pickle.loads(pickle.dumps(result)) == result  # as workers send it
    with Store(tmp_path) as store:
        store.record(spec, result)
        assert store.get(spec.run_id) == (spec, result)
        found = store.trace(spec.run_id)
    assert found == trace
    assert found is not None
    assert found.weights.dtype == np.float32
    np.testing.assert_array_equal(found.weights, trace.weights)


def test_a_trace_is_plain_columns_to_other_readers(tmp_path: Path) -> None:
    import pandas as pd

    spec, result = make_traced(make_trace())
    with Store(tmp_path) as store:
        store.record(spec, result)
        frame = pd.read_parquet(store.trace_path(spec.run_id))
    steps, points = frame[frame["kind"] == "step"], frame[frame["kind"] == "point"]
    assert steps["w.code"].tolist() == pytest.approx([0, 2 / 9, 4 / 9, 6 / 9, 8 / 9])
    assert points["loss.a, b"].tolist() == [2.5, 2.0, 1e-300]


def test_results_that_were_written_before_there_were_traces_are_read(tmp_path: Path) -> None:
    spec, result = make_run(make_spec({"code": 0.5, "law": 0.5}), power_law(3.0, 60.0))
    old = result.to_dict()
    assert old.pop("trace") is None
    assert RunResult.from_dict(old) == result
    with Store(tmp_path) as store:
        store.record(spec, result)
        assert store.trace(spec.run_id) is None
        assert store.get(spec.run_id) == (spec, result)


def test_traces_are_exported_imported_and_removed_with_their_runs(tmp_path: Path) -> None:
    spec, result = make_traced(make_trace())
    with Store(tmp_path / "here") as store, Store(tmp_path / "there") as other:
        store.record(spec, result)
        export_runs(store, tmp_path / "runs.jsonl.gz")
        assert import_runs(other, tmp_path / "runs.jsonl.gz") == 1
        assert other.get(spec.run_id) == (spec, result)
        other.remove([spec.run_id])
        assert other.trace(spec.run_id) is None
        assert list((tmp_path / "there" / "traces").iterdir()) == []


@pytest.mark.parametrize("text", [b"no parquet", None])
def test_a_damaged_trace_gives_one_line(text: bytes | None, tmp_path: Path) -> None:
    spec, result = make_traced(make_trace())
    with Store(tmp_path) as store:
        store.record(spec, result)
        # Another Parquet file, or none at all.
        path = store.trace_path(spec.run_id)
        path.write_bytes(store.curve_path(spec.run_id).read_bytes() if text is None else text)
        with pytest.raises(StoreError, match=rf"trace .*{spec.run_id}.parquet: .*remove the file"):
            store.trace(spec.run_id)
