"""What trackers are told of a run."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace

import pytest

from mixopt.errors import ConfigError
from mixopt.methods.base import Proposal
from mixopt.mixture import Mixture
from mixopt.presets import model_spec
from mixopt.trackers import TRACKERS, Tracked, Trackers
from tests.report.html.made import PLAIN, TOKENS, make_spec, train

SPEC = make_spec(PLAIN, Proposal(Mixture(PLAIN, (0.5, 0.3, 0.2)), TOKENS, 4, "code x3"))
RUN = Tracked(SPEC, train(SPEC), "0123456789ab", "code x3")


def test_settings_are_flat_and_say_what_the_run_is_for():
    assert RUN.settings["weight.web"] == 0.5
    assert RUN.settings["optim.lr"] == SPEC.optim.lr
    assert RUN.settings["model.layers"] == 1
    assert (RUN.settings["study"], RUN.settings["role"]) == ("0123456789ab", "code x3")
    assert RUN.name == "code x3, seed 4"
    assert not any(isinstance(value, (dict, list)) for value in RUN.settings.values())


def test_curves_are_those_of_the_result_by_tokens():
    curve = RUN.result.curve
    assert list(RUN.curves) == sorted(set(curve["tokens"]))
    for tokens, split, domain, loss in zip(*(curve[k] for k in ("tokens", "split", "domain", "loss")), strict=True):
        assert RUN.curves[tokens][f"{split}_loss/{domain}"] == loss
    last = RUN.curves[SPEC.tokens]
    assert last["validation_loss/mean"] == pytest.approx(sum(last[f"validation_loss/{d}"] for d in PLAIN) / 3)


def test_the_mixture_is_traced_in_tokens():
    traced = replace(RUN.result, mixture={"step": [2, 2], "domain": ["web", "code"], "weight": [0.6, 0.4]})
    point = Tracked(SPEC, traced, "s", "r").curves[2 * SPEC.optim.batch_tokens]
    assert {key: value for key, value in point.items() if key.startswith("mixture/")} == {
        "mixture/web": 0.6, "mixture/code": 0.4,
    }  # fmt: skip


def test_final_numbers_are_the_results():
    losses = RUN.result.losses()
    for domain, loss in losses.items():
        assert RUN.final[f"final_loss/{domain}"] == loss
        assert RUN.final[f"final_perplexity/{domain}"] == math.exp(loss)
        assert RUN.final[f"final_epochs/{domain}"] == RUN.result.domains[domain].epochs
    assert RUN.final["final_loss/mean"] == pytest.approx(sum(losses.values()) / 3)
    assert RUN.final["cost/tokens"] == SPEC.tokens


def test_losses_of_masked_models_are_metrics_of_their_own():
    spec = replace(SPEC, model=model_spec("bert-nano", 400), objective="masked")
    run = Tracked(spec, RUN.result, "s", "r")
    names = {key.partition("/")[0] for point in run.curves.values() for key in point} | {
        key.partition("/")[0] for key in run.final
    }
    assert {"validation_masked_loss", "train_masked_loss", "final_masked_loss"} <= names
    assert not {"validation_loss", "train_loss", "final_loss", "final_perplexity"} & names
    assert run.curves[spec.tokens]["validation_masked_loss/mean"] == RUN.curves[spec.tokens]["validation_loss/mean"]


def test_a_failed_run_has_a_cost_and_no_losses():
    lost = replace(RUN.result, status="failed", domains={}, curve={}, error="killed")
    run = Tracked(SPEC, lost, "s", "r")
    assert run.curves == {}
    assert set(run.final) == {"cost/tokens", "cost/flops", "cost/seconds"}


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
