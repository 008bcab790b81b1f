"""What trackers are told of a run."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mixopt.methods.base import Proposal
from mixopt.mixture import Mixture
from mixopt.presets import model_spec
from mixopt.trackers import Tracked
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
