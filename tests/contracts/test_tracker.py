"""The contract that every tracker meets; a new one is a parameter by its line in `TRACKERS`."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mixopt.trackers import TRACKERS, Tracked, Tracker
from tests.trackers.test_base import RUN, SPEC

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("default")  # their libraries warn of their own
FAILED = Tracked(SPEC, replace(RUN.result, status="failed", domains={}, curve={}, error="killed"), "s", "base")


@pytest.fixture(params=TRACKERS)
def kind(request: pytest.FixtureRequest) -> type[Tracker]:
    return TRACKERS.get(request.param)


@pytest.fixture
def working(kind: type[Tracker], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Tracker]:
    """One whose library is installed, without a server."""
    if kind.library and importlib.util.find_spec(kind.library) is None:
        pytest.skip(f"{kind.library} is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "own"))
    return kind


def test_it_says_what_to_install(kind: type[Tracker]) -> None:
    assert (kind.library is None) == (not kind.package)


def test_it_touches_nothing_before_it_is_told_of_a_run(kind: type[Tracker], tmp_path: Path) -> None:
    kind("ours", tmp_path / "tracking")
    assert not (tmp_path / "tracking").exists()


def test_failed_and_finished_runs_are_logged_and_files_stay_in_the_folder(
    working: type[Tracker], tmp_path: Path
) -> None:
    tracker = working("ours", tmp_path / "tracking")
    for run in (FAILED, RUN, RUN):  # again: the new takes the place of the old
        tracker.log(run)
    assert {path.name for path in tmp_path.iterdir()} <= {"tracking", "own"}
    assert any(path.is_file() for path in (tmp_path / "tracking").rglob("*"))
