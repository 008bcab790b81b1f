"""Trackers are checked before training, and none can harm a study."""

from __future__ import annotations

import importlib.util

import pytest

from mixopt.errors import ConfigError
from mixopt.trackers import TRACKERS, Trackers
from tests.trackers.test_base import RUN


class Remembers:
    def __init__(self) -> None:
        self.runs: list[str] = []

    def log(self, run) -> None:
        self.runs.append(run.run_id)


class Breaks(Remembers):
    def log(self, run) -> None:
        super().log(run)
        raise OSError("no\nnetwork")


def test_a_tracker_that_fails_is_left_out_with_one_warning(capsys):
    good, bad = Remembers(), Breaks()
    trackers = Trackers({"bad": bad, "good": good})
    assert trackers.log(RUN) == {"bad": "OSError: no network"}
    assert trackers.log(RUN) == {}
    assert (len(good.runs), len(bad.runs)) == (2, 1)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "tracker bad failed" in said
    assert "mixopt runs track --to bad" in said


def test_ctrl_c_in_a_tracker_is_not_swallowed():
    class Interrupted:
        def log(self, run) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trackers({"one": Interrupted()}).log(RUN)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_library_is_named_with_its_extra(name, monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=rf"{name} is not installed; `pip install 'mixopt\[{name}\]'`"):
        Trackers.open([name], "p", tmp_path)


def test_an_unknown_tracker_is_refused_with_those_that_there_are(tmp_path):
    with pytest.raises(ConfigError, match=r"mlflow.* found 'neptune'"):
        Trackers.open(["neptune"], "p", tmp_path)


def test_no_tracker_is_no_work(tmp_path):
    assert Trackers.open([], "p", tmp_path / "nothing").log(RUN) == {}
    assert not (tmp_path / "nothing").exists()
