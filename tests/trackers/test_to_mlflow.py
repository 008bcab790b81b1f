"""MLflow's own client finds in its store what the run measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.trackers import Tracked
from mixopt.trackers.to_mlflow import MLflow, name_for
from tests.report.html.made import HOSTILE, make_spec, train
from tests.trackers.test_base import RUN, SPEC


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2, unique=True))
def test_names_that_had_to_be_changed_stay_apart(names):
    changed = [name_for(name) for name in names]
    assert len(set(changed)) == 2
    assert all(set(name) <= set(ALLOWED) for name in changed)


ALLOWED = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./ "


@pytest.fixture
def client(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")


def runs(client):
    experiment = client.get_experiment_by_name("ours")
    return client.search_runs([experiment.experiment_id])


@pytest.mark.filterwarnings("default")
def test_curves_final_numbers_and_settings_are_there(client, tmp_path):
    MLflow("ours", tmp_path).log(RUN)
    (found,) = runs(client)
    assert found.info.run_name == "code x3, seed 4"
    assert found.info.status == "FINISHED"
    assert found.data.params["optim.lr"] == str(SPEC.optim.lr)
    assert found.data.tags["mixopt.run_id"] == RUN.run_id
    assert found.data.metrics["final_loss/mean"] == pytest.approx(RUN.final["final_loss/mean"])
    history = client.get_metric_history(found.info.run_id, "validation_loss/mean")
    assert {point.step: point.value for point in history} == {
        tokens: metrics["validation_loss/mean"] for tokens, metrics in RUN.curves.items()
    }


@pytest.mark.filterwarnings("default")
def test_a_run_logged_again_replaces_the_old_one(client, tmp_path):
    tracker = MLflow("ours", tmp_path)
    tracker.log(Tracked(SPEC, replace(RUN.result, status="failed", domains={}, curve={}, error="killed"), "s", "r"))
    assert [run.info.status for run in runs(client)] == ["FAILED"]
    MLflow("ours", tmp_path).log(RUN)
    assert [run.info.status for run in runs(client)] == ["FINISHED"]


@pytest.mark.filterwarnings("default")
def test_names_that_mlflow_refuses_are_changed(client, tmp_path):
    from mixopt.methods.base import Proposal
    from mixopt.mixture import Mixture

    spec = make_spec(HOSTILE, Proposal(Mixture.uniform(HOSTILE), 8192, 0, "base"))
    MLflow("ours", tmp_path).log(Tracked(spec, train(spec), "s", "base"))
    (found,) = runs(client)
    losses = [name for name in found.data.metrics if name.startswith("final_loss/")]
    assert len(losses) == len(HOSTILE) + 1
