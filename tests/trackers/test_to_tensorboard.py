"""TensorBoard's own reader finds in the event files what the run measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mixopt.trackers import Tracked
from tests.trackers.test_base import RUN, SPEC

pytest.importorskip("tensorboard")

pytestmark = pytest.mark.slow  # torch is imported


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


@pytest.fixture
def tracker(tmp_path):
    from mixopt.trackers.to_tensorboard import TensorBoard

    return TensorBoard("ours", tmp_path)


def test_curves_final_numbers_and_settings_are_there(tracker, tmp_path):
    tracker.log(RUN)
    events = read(tmp_path / "tensorboard" / RUN.run_id)
    for tokens, metrics in RUN.curves.items():
        for name, value in metrics.items():
            found = {event.step: event.value for event in events.Scalars(name)}
            assert found[tokens] == pytest.approx(value)
    for name, value in RUN.final.items():
        (event,) = events.Scalars(name)
        assert (event.step, event.value) == (RUN.result.tokens, pytest.approx(value))
    (text,) = events.Tensors("run/text_summary")
    assert b"code x3, seed 4: finished" in text.tensor_proto.string_val[0]


def test_settings_are_hyperparameters(tracker, tmp_path):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    tracker.log(RUN)
    content = (
        read(tmp_path / "tensorboard" / RUN.run_id).summary_metadata["_hparams_/session_start_info"].plugin_data.content
    )
    start = HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["role"].string_value == "code x3"
    assert start.hparams["optim.lr"].number_value == SPEC.optim.lr


def test_a_run_logged_again_replaces_the_old_one(tracker, tmp_path):
    tracker.log(Tracked(SPEC, replace(RUN.result, status="failed", domains={}, curve={}, error="killed"), "s", "r"))
    assert "final_loss/mean" not in read(tmp_path / "tensorboard" / RUN.run_id).Tags()["scalars"]
    tracker.log(RUN)
    events = read(tmp_path / "tensorboard" / RUN.run_id)
    assert len(events.Scalars("validation_loss/mean")) == len(RUN.curves)
    assert [path.name for path in (tmp_path / "tensorboard").iterdir()] == [RUN.run_id]
