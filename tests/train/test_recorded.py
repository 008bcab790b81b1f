"""What a policy did is written down, whatever interrupts the run."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mixopt.policy import make_policy, refit
from mixopt.spec import PolicySpec
from mixopt.train.loop import LateLosses, train
from mixopt.train.recorded import recorded, trace_of
from tests.train.processes import Case, run_case

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mixopt.spec import RunSpec
    from mixopt.train.device import Runtime

WEIGHTS = (0.5, 0.3, 0.2)
# Fits after steps 5, 15, 25 and 35, each used four steps later: in between it is under way.
ADO = {"min_points": 5, "warmup": 6, "skip": 0, "stride": 1, "refit_interval": 10, "adopt_after": 4, "max_drift": 10.0}
POLICIES = {
    "ado": ADO,
    "odm": {"warmup": 3},
    "schedule": {"pieces": '[[5120, {"chant": 1.0}]]', "tokens_per_step": 256},
}


def make(make_spec: Callable[..., RunSpec], name: str, **options: Any) -> RunSpec:
    return make_spec(policy=PolicySpec(name=name, weights=WEIGHTS, options={**POLICIES.get(name, {}), **options}))


@pytest.fixture(scope="module")
def traces(make_spec: Callable[..., RunSpec], runtime: Runtime) -> dict[str, Any]:
    """Results of 40 steps with each policy."""
    return {name: train(make(make_spec, name), runtime) for name in POLICIES}


def test_every_steps_mixture_is_there(traces: dict[str, Any]) -> None:
    for name, result in traces.items():
        trace = result.trace
        assert (trace.policy, trace.domains) == (name, ("chant", "arithmetic", "words"))
        assert trace.steps.tolist() == list(range(40))
        assert trace.weights.dtype == np.float32
        np.testing.assert_allclose(trace.weights.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_array_equal(trace.weights[0], np.float32(WEIGHTS))
        # The points of the curve have the same mixtures, to single precision.
        for step, domain, weight in zip(*result.mixture.values(), strict=True):
            if step < 40:
                assert trace.weights[step, trace.domains.index(domain)] == np.float32(weight)


def test_new_laws_come_with_what_they_forecast_and_what_the_mixture_is_made_of(traces: dict[str, Any]) -> None:
    trace = traces["ado"].trace
    assert [moment.step for moment in trace.moments] == [9, 19, 29, 39]
    assert [moment.tokens for moment in trace.moments] == [2560, 5120, 7680, 10240]
    last = trace.moments[-1]
    assert last.laws.keys() >= {"log_beta", "log_eps", "alpha"}
    assert last.parts.keys() == {"speed", "credit", "preference", "policy"}
    assert set(last.outcome) == set(trace.domains)
    assert any(forecast is not None for forecast in last.forecasts.values())
    for name, forecast in last.forecasts.items():
        if forecast is not None:
            law = {key: values[name] for key, values in last.laws.items()}
            expected = np.exp(law["log_eps"]) + np.exp(law["log_beta"] - law["alpha"] * np.log(10240 / 1024))
            assert forecast == pytest.approx(expected)
    assert trace.settings["warmup"] == 6
    assert trace.failures.keys() == {"refused", "unusable"}


def test_the_points_are_the_losses_that_were_measured(traces: dict[str, Any]) -> None:
    points = traces["ado"].trace.points
    assert points.tokens.tolist() == [256 * (step + 1) for step in range(40)]
    curve = traces["ado"].curve
    first = [
        loss
        for step, split, loss in zip(curve["step"], curve["split"], curve["loss"], strict=True)
        if (step, split) == (10, "train")
    ]
    weights = points.weights[:10] / points.weights[:10].sum(axis=0)
    np.testing.assert_allclose(np.nansum(points.losses[:10] * weights, axis=0), first, rtol=1e-9)


def test_policies_without_laws_describe_themselves_where_the_run_is_evaluated(traces: dict[str, Any]) -> None:
    trace = traces["odm"].trace
    assert [moment.tokens for moment in trace.moments] == [2560, 5120, 7680, 10240]
    assert all(moment.laws == {} for moment in trace.moments)
    assert trace.moments[-1].parts.keys() == {"reward", "policy"}
    assert trace.points is None
    assert traces["schedule"].trace.moments == ()
    assert (traces["schedule"].trace.weights[20:, 0] == 1).all()


def test_a_fixed_mixture_has_no_trace(make_spec: Callable[..., RunSpec], runtime: Runtime) -> None:
    spec = make_spec(tokens=512)
    assert train(spec, runtime).trace is None
    policy = make_policy("static", spec.mixture)
    assert recorded(policy, spec, ()) is policy
    assert trace_of(policy, 2) is None


# 2: before the first fit; 6, 8: one is under way; 10: right after it was used; 37: under way for the fourth time.
@pytest.mark.parametrize(("name", "cuts"), [("ado", (2, 6, 8, 10, 37)), ("odm", (2, 21)), ("schedule", (19,))])
def test_a_run_that_is_cut_ends_as_if_it_had_not_been(
    name: str,
    cuts: tuple[int, ...],
    traces: dict[str, Any],
    make_spec: Callable[..., RunSpec],
    runtime: Runtime,
    tmp_path: Path,
) -> None:
    spec = make(make_spec, name)
    kept = replace(runtime, checkpoint_dir=str(tmp_path), checkpoint_seconds=0.0)
    for cut in cuts:
        assert run_case(Case(spec, kept, stop=cut * 256)).result is None
    again, whole = run_case(Case(spec, kept)).result, traces[name]
    assert again is not None
    assert again.trace == whole.trace
    assert (again.curve, again.mixture, again.domains) == (whole.curve, whole.mixture, whole.domains)


def test_a_checkpoint_waits_for_the_fit_under_way(
    make_spec: Callable[..., RunSpec],
    runtime: Runtime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    traces: dict[str, Any],
) -> None:
    spec, release = make(make_spec, "ado"), threading.Event()
    fit, began = refit.fit_laws, []

    def slow(*args: Any, **kwargs: Any) -> Any:
        began.append(threading.current_thread().name)
        threading.Timer(0.2, release.set).start()
        release.wait()
        return fit(*args, **kwargs)

    monkeypatch.setattr(refit, "fit_laws", slow)
    kept = replace(runtime, checkpoint_dir=str(tmp_path), checkpoint_seconds=0.0)
    assert run_case(Case(spec, kept, stop=6 * 256)).result is None
    assert began == []
    assert run_case(Case(spec, kept, stop=7 * 256)).result is None
    assert began == ["mixopt-refit"]
    again = run_case(Case(spec, kept)).result
    assert again is not None
    assert again.trace == traces["ado"].trace


def test_losses_that_rise_are_trained_through(
    make_spec: Callable[..., RunSpec], runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = LateLosses.sums
    monkeypatch.setattr(LateLosses, "sums", lambda late: sums(late) * (1 + 0.05 * late.step))
    result = train(make(make_spec, "ado", max_drift=0.05), runtime)
    assert result.status == "finished"
    assert result.trace is not None
    early, late = (np.nanmean(result.trace.points.losses[part]) for part in (slice(0, 10), slice(30, 40)))
    assert late > early
    assert sum(result.trace.failures["refused"].values()) > 0
    np.testing.assert_allclose(result.trace.weights.sum(axis=1), 1, rtol=1e-6)
    assert (result.trace.weights >= 0.0099).all()


def test_a_domain_that_is_never_drawn_has_no_law_and_no_share(
    make_spec: Callable[..., RunSpec], runtime: Runtime
) -> None:
    spec = make(make_spec, "ado")
    never = train(replace(spec, policy=replace(spec.policy, weights=(0.6, 0.4, 0.0))), runtime)
    assert never.trace is not None
    assert (never.trace.weights[:, 2] == 0).all()
    assert never.trace.moments[-1].forecasts["words"] is None
    assert never.trace.moments[-1].outcome["words"] == "0 points, 5 needed"
    assert never.domains["words"].tokens_seen == 0
