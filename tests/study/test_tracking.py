"""A study tells its trackers of every run that it records, and of none twice."""

from __future__ import annotations

import pytest

from mixopt.errors import ConfigError
from mixopt.execute.base import InlineExecutor
from mixopt.store import Store
from mixopt.study import StudyConfig, run_study
from mixopt.trackers import Trackers
from tests.study.test_study import Trainer, make_study


class Remembers:
    def __init__(self, broken: bool = False) -> None:
        self.runs: list = []
        self._broken = broken

    def log(self, run) -> None:
        self.runs.append(run)
        if self._broken:
            raise OSError("no network")


def run_with(study, tracker, monkeypatch):
    monkeypatch.setattr(type(study), "trackers", lambda self: Trackers({"ours": tracker}))
    with Store(study.config.results) as store:
        answer = run_study(study, study.searcher(), store, InlineExecutor(Trainer()))
        return answer, {row["run_id"] for row in store.rows()}


@pytest.mark.slow
def test_each_run_is_logged_once_with_its_role(data_dir, tmp_path, monkeypatch):
    study, tracker = make_study(data_dir, tmp_path / "results"), Remembers()
    _, recorded = run_with(study, tracker, monkeypatch)
    assert sorted(run.run_id for run in tracker.runs) == sorted(recorded)
    assert {run.study for run in tracker.runs} == {study.study_id}
    assert {run.role for run in tracker.runs} >= {"base", f"{study.domains[0]} x3"}
    run_with(study, tracker, monkeypatch)
    assert len(tracker.runs) == len(recorded)


@pytest.mark.slow
def test_a_tracker_that_breaks_costs_no_run(data_dir, tmp_path, monkeypatch, capsys):
    study, tracker = make_study(data_dir, tmp_path / "results"), Remembers(broken=True)
    answer, recorded = run_with(study, tracker, monkeypatch)
    assert set(answer.runs) == recorded
    assert len(tracker.runs) == 1
    assert capsys.readouterr().err.count("warning: tracker ours failed") == 1


def test_a_missing_library_is_said_before_anything_is_trained(data_dir, tmp_path, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "wandb" else found(name, *a))
    study, trainer = make_study(data_dir, tmp_path / "results", tracking={"to": ["wandb"]}), Trainer()
    with Store(study.config.results) as store, pytest.raises(ConfigError, match=r"pip install 'mixopt\[wandb\]'"):
        run_study(study, study.searcher(), store, InlineExecutor(trainer))
    assert trainer.calls == []


def test_trackers_do_not_change_what_a_study_is(data_dir, tmp_path):
    plain = make_study(data_dir, tmp_path)
    tracked = make_study(data_dir, tmp_path, tracking={"to": ["tensorboard"], "project": "other"})
    assert plain.study_id == tracked.study_id


@pytest.mark.parametrize("given", ["tensorboard, wandb", {"to": "tensorboard,wandb"}, {"to": ["tensorboard", "wandb"]}])
def test_trackers_are_named_in_any_of_three_ways(given):
    assert StudyConfig.build({"tracking": given}, "test").tracking.to == ("tensorboard", "wandb")


def test_an_unknown_tracker_is_one_clear_line():
    with pytest.raises(ConfigError, match=r"to: .*found 'neptune'"):
        StudyConfig.build({"tracking": {"to": ["neptune"]}}, "test")
