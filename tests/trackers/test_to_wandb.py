"""wandb, offline: the file that `wandb sync` would send holds the run."""

from __future__ import annotations

import json
import struct
import time
from dataclasses import replace

import pytest

from mixopt.trackers import Tracked
from mixopt.trackers.to_wandb import WeightsAndBiases
from tests.trackers.test_base import RUN, SPEC

pytest.importorskip("wandb")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "own"))


def records(path):
    """Every record of a `.wandb` file: LevelDB's log format (blocks of 32 kB, records in parts) after 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:  # no room for a head: the block's rest is padding
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def logged(folder, run: Tracked):
    """Log a run; the records of its file, which wandb's own process may end a moment after `finish`."""
    WeightsAndBiases("ours", folder).log(run)
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    assert path.name == f"run-{run.run_id}.wandb"
    for _ in range(100):
        found = list(records(path))
        if found and found[-1].HasField("exit"):
            break
        time.sleep(0.1)
    return found


def test_curves_final_numbers_and_settings_are_there(tmp_path):
    found = logged(tmp_path, RUN)
    run = next(record.run for record in found if record.HasField("run"))
    assert (run.run_id, run.project, run.display_name) == (RUN.run_id, "ours", "code x3, seed 4")
    assert (run.run_group, run.job_type) == ("0123456789ab", "code x3")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["optim.lr"] == SPEC.optim.lr
    history = [
        {item.nested_key[0] if item.nested_key else item.key: json.loads(item.value_json) for item in row.history.item}
        for row in found
        if row.HasField("history")
    ]
    curve = {row["tokens"]: row["validation_loss/mean"] for row in history}
    assert curve == {tokens: metrics["validation_loss/mean"] for tokens, metrics in RUN.curves.items()}
    summary = {
        item.nested_key[0] if item.nested_key else item.key: json.loads(item.value_json)
        for row in found if row.HasField("summary") for item in row.summary.update
    }  # fmt: skip
    assert summary["final_loss/mean"] == RUN.final["final_loss/mean"]


def test_a_failed_run_ends_as_one(tmp_path):
    lost = replace(RUN.result, status="failed", domains={}, curve={}, error="killed")
    assert logged(tmp_path, Tracked(SPEC, lost, "s", "r"))[-1].exit.exit_code == 1
