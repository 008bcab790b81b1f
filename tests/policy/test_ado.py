"""Adaptive data optimisation: the published trace, Algorithm 1 to the letter, and what must not stop a run."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mixopt.errors import ConfigError
from mixopt.laws.ado_fit import HUBER
from mixopt.mixture import Mixture
from mixopt.policy import Ado
from mixopt.policy.ado import Floor, published_clip
from mixopt.solve.bounds import project
from tests.policy import ado_trace

PRIOR = Mixture.from_dict({"a": 0.6, "b": 0.3, "c": 0.1})
# A short run: fits from step 60 on, every 20 steps.
SHORT = {"warmup": 60, "skip": 10, "stride": 1, "refit_interval": 20, "adopt_after": 0}
PRESETS = ("robust", "paper", "official")


def batch(step, absent=(), factor=1.0):
    """Losses of three domains that fall at different speeds, with a wobble, and tokens of 16 samples."""
    n = 16 * (step + 1)
    wobble = 1 + 0.01 * np.sin(0.9 * step + np.arange(3))
    losses = (
        (np.array([2.0, 1.8, 2.5]) + np.array([6.0, 9.0, 4.0]) * n ** -np.array([0.3, 0.45, 0.2])) * wobble * factor
    )
    tokens = np.array([9, 5, 2]) * 1024
    tokens[list(absent)] = 0
    return np.where(tokens > 0, losses, np.nan), tokens


def run(policy, steps, first=0, **given):
    for step in range(first, steps):
        policy.observe(step, *batch(step, **given))
    return policy


def assert_mixture(weights):
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-9)


@pytest.fixture(scope="module")
def official_run():
    policy = Ado(ado_trace.PRIOR, "official", warmup=ado_trace.WARMUP)
    for step in range(ado_trace.STEPS):
        policy.observe(step, *ado_trace.inputs(step))
    return policy


def test_official_reproduces_the_published_trace_given_its_laws():
    policy, golden = Ado(ado_trace.PRIOR, "official", warmup=ado_trace.WARMUP, refit=False), ado_trace.GOLDEN
    rows = {step: row for row, step in enumerate(golden["steps"])}
    for step in range(ado_trace.STEPS):
        if step in ado_trace.LAWS:
            policy.set_laws(*ado_trace.LAWS[step])
        policy.observe(step, *ado_trace.inputs(step))
        if step in rows:
            assert np.abs(policy.weights(step + 1) - golden["policy"][rows[step]]).max() < 1e-8


@pytest.mark.slow
def test_official_fits_are_as_good_as_the_published_ones(official_run):
    from scipy.signal import savgol_filter

    losses = np.empty((6, ado_trace.STEPS))
    for step in range(ado_trace.STEPS):
        loss, _ = ado_trace.inputs(step)
        if step == 0:
            loss[5] = loss[:5] @ [31, 16, 9, 6, 2] / 64
        losses[:, step] = np.where(np.isfinite(loss), loss, losses[:, step - 1])

    def objective(theta, points, smooth):
        log_beta, log_eps, alpha = theta
        size = np.abs(np.log(smooth) - np.logaddexp(log_beta - alpha * np.log(points), log_eps))
        huber = np.where(size > HUBER, HUBER * (size - 0.5 * HUBER), 0.5 * size**2).sum()
        outside = max(alpha - 0.8, 0) + max(0.5 - log_eps, 0) + max(log_beta - 6.5, 0)
        return huber + outside - min(alpha, 0.001)

    assert [refit.step for refit in official_run.refits] == list(ado_trace.LAWS)
    for refit, golden in zip(official_run.refits, ado_trace.GOLDEN["refits"], strict=True):
        smooth = savgol_filter(losses[:, : refit.step + 1], 101, 3)[:, 500::10]
        points = 64.0 * np.arange(1, refit.step + 2)[500::10]
        laws = refit.laws
        for k in range(6):
            ours = objective((laws.log_beta[k], laws.log_eps[k], laws.alpha[k]), points, smooth[k])
            theirs = objective(golden["laws"][k], points, smooth[k])
            assert ours <= theirs + 1e-8
            assert theirs == pytest.approx(golden["objective"][k], abs=1e-6)  # float32 there


def test_paper_follows_algorithm_1_to_the_letter():
    warmup, gamma, floor, unit = 1000, 0.1, 0.01, 1024
    prior = ado_trace.PRIOR.array
    policy = Ado(ado_trace.PRIOR, "paper", warmup=warmup, refit=False)
    log_beta, log_eps, alpha = ado_trace.LAWS[2000]
    policy.set_laws(log_beta, log_eps, alpha)
    h = average = prior
    tokens = 0
    for step in range(warmup + 300):
        if step < warmup:
            assert policy.weights(step) == pytest.approx(prior)
        else:
            t, n = step - warmup, tokens / unit
            speed = alpha * (np.exp(log_eps) + np.exp(log_beta) * n**-alpha - np.exp(log_eps)) / n
            rho = prior * speed * np.sqrt(h)
            rho = rho / rho.sum()
            policy_t = gamma * rho + (1 - gamma) * average
            policy_t = np.maximum(policy_t, floor) / np.maximum(policy_t, floor).sum()
            np.testing.assert_allclose(policy.weights(step), policy_t, rtol=0, atol=1e-12)
            h = gamma * policy_t + (1 - gamma) * h
            average = rho / (t + 1) + (1 - 1 / (t + 1)) * average
        loss_k, tokens_k = ado_trace.inputs(step)
        tokens += tokens_k.sum()
        policy.observe(step, loss_k, tokens_k)


def test_paper_fits_after_the_warm_up_then_after_t_0_then_every_interval():
    policy = run(Ado(PRIOR, "paper", **SHORT), 125)
    assert [refit.step for refit in policy.refits] == [59, 60, 80, 100, 120]


@pytest.mark.slow
def test_the_clock_decides_how_much_of_the_prior_stays():
    """At step 3,000 of the trace with the same laws, the paper's clock is far ahead of the code's."""
    ends = {}
    for preset in ("official", "paper", "robust"):
        policy = Ado(ado_trace.PRIOR, preset, warmup=ado_trace.WARMUP, refit=False)
        policy.set_laws(*ado_trace.LAWS[3000])
        for step in range(ado_trace.STEPS):
            policy.observe(step, *ado_trace.inputs(step))
        ends[preset] = policy.weights(ado_trace.STEPS)
    assert ends["official"] == pytest.approx([0.563, 0.229, 0.106, 0.062, 0.032, 0.008], abs=5e-3)
    assert ends["paper"] == pytest.approx([0.78, 0.15, 0.04, 0.013, 0.01, 0.01], abs=5e-3)
    assert ends["paper"][5] < 0.01 == pytest.approx(ends["robust"][5])


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_speeds_are_those_of_the_true_laws_and_the_policy_follows(preset):
    policy = run(Ado(PRIOR, preset, **{**SHORT, "warmup": 150, "skip": 20}), 400)
    n, alpha, beta = 16 * 400, np.array([0.3, 0.45, 0.2]), np.array([6.0, 9.0, 4.0])
    parts = {name: np.array(list(values.values())) for name, values in policy.describe().items()}
    np.testing.assert_allclose(parts["speed"], alpha * beta * n ** -(alpha + 1), rtol=0.15)
    asked, given = parts["preference"] / PRIOR.array, parts["policy"] / PRIOR.array
    assert asked.argmax() == given.argmax() == 0
    assert given[0] > 1.1
    assert np.array_equal(parts["policy"], policy.weights(400))
    assert_mixture(policy.weights(400))


def test_forecasts_meet_the_losses_that_come():
    policy = run(Ado(PRIOR, **{**SHORT, "warmup": 300}), 300)
    steps = np.array([600, 1200])
    losses = np.stack([np.mean([batch(s + i)[0] for i in range(-50, 50)], axis=0) for s in steps])
    np.testing.assert_allclose(policy.forecast(16 * steps), losses, rtol=0.02)
    early = policy.refits[0]
    assert early.samples == 300 * 16
    assert early.outcome == ("ok",) * 3


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("cut", [0, 64, 130])
def test_resume_is_bitwise(preset, cut):
    constants = {**SHORT, "refit_interval": 40, "adopt_after": 10, "max_points": 40}
    straight = Ado(PRIOR, preset, **constants)
    run(straight, cut)
    resumed = Ado(PRIOR, preset, **constants)
    resumed.load_state_dict(json.loads(json.dumps(straight.state_dict())))
    for step in range(cut, 160):
        assert np.array_equal(straight.weights(step), resumed.weights(step))
        for policy in (straight, resumed):
            policy.observe(step, *batch(step))
    assert straight.state_dict() == resumed.state_dict()


def test_a_background_fit_is_used_when_its_time_has_come_and_not_before():
    policy = run(Ado(PRIOR, **{**SHORT, "adopt_after": 10}), 69)
    assert policy.refits == []
    assert np.array_equal(policy.weights(69), PRIOR.array)
    run(policy, 70, first=69)
    assert [refit.step for refit in policy.refits] == [59]
    assert not np.array_equal(policy.weights(70), PRIOR.array)


def test_total_steps_scale_the_constants_of_steps():
    whole, short = Ado(PRIOR, total_steps=60_000).settings, Ado(PRIOR, total_steps=600).settings
    assert whole == Ado(PRIOR).settings
    assert (short.warmup, short.skip, short.stride, short.refit_interval, short.adopt_after) == (50, 5, 1, 50, 0)
    assert Ado(PRIOR, total_steps=600, warmup=7).settings.warmup == 7


@pytest.mark.slow
def test_one_domain_stays_whole():
    for preset in PRESETS:
        policy = Ado(Mixture.uniform(["only"]), preset, **SHORT)
        for step in range(150):
            loss, tokens = batch(step)
            policy.observe(step, loss[:1], tokens[:1])
        assert policy.weights(150).tolist() == [1.0]


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "share"), [("robust", 0.0), ("paper", 0.0098), ("official", 0.001)])
def test_a_prior_of_zero(preset, share):
    """`robust` never draws it; the published floors raise it, at once or as ρ is averaged in."""
    policy = run(Ado(Mixture.from_dict({"a": 0.7, "b": 0.3, "c": 0.0}), preset, **SHORT), 200, absent=[2])
    assert policy.weights(200)[2] == 0 if share == 0 else policy.weights(200)[2] >= share
    assert_mixture(policy.weights(200))


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_a_domain_that_is_never_drawn(preset, caplog):
    with caplog.at_level(logging.WARNING):
        policy = run(Ado(PRIOR, preset, **SHORT), 200, absent=[2])
    assert_mixture(policy.weights(200))
    if preset == "official":  # makes up its losses, as published
        assert policy.laws.known.all()
        return
    assert policy.laws.known.tolist() == [True, True, False]
    assert policy.describe()["preference"]["c"] == pytest.approx(0.1)
    assert policy.failures["refused"] == {"a": 0, "b": 0, "c": len(policy.refits)}
    assert len(caplog.records) == 1
    assert "the law of c was refused at step" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_losses_that_are_no_losses_are_counted_and_left_out(preset, bad):
    rare = {**SHORT, "warmup": 120, "refit_interval": 70}
    policy = Ado(PRIOR, preset, **rare)
    for step in range(200):
        loss, tokens = batch(step)
        if step % 7 == 3:
            loss[1] = bad
        policy.observe(step, loss, tokens)
    assert policy.failures["unusable"] == {"a": 0, "b": 29, "c": 0}
    assert policy.laws.known.all()
    clean = run(Ado(PRIOR, preset, **rare), 200)
    np.testing.assert_allclose(policy.weights(200), clean.weights(200), atol=0.015)


@pytest.mark.parametrize(("relative", "power"), [(True, 1.0), (False, 2.0)])
def test_where_all_is_learnt_alike_relative_credit_keeps_the_prior_and_the_papers_squares_it(relative, power):
    policy = Ado(PRIOR, relative_credit=relative, refit=False, warmup=1, gamma2=1.0, delta_min=0.001)
    policy.set_laws([1.0] * 3, [0.5] * 3, [0.3] * 3)
    tokens = np.array([6, 3, 1]) * 1024
    for step in range(300):
        policy.observe(step, np.full(3, 3.0), tokens)
    # π = ρ ∝ μ·h^s with h = π: a power 1/(1 − s) of the prior.
    settled = PRIOR.array**power
    np.testing.assert_allclose(policy.weights(300), settled / settled.sum(), atol=1e-4)


@pytest.mark.parametrize("preset", PRESETS)
def test_only_bad_losses_leave_the_prior(preset):
    policy = Ado(PRIOR, preset, **SHORT)
    for step in range(200):
        policy.observe(step, np.full(3, np.nan), np.array([9, 5, 2]))
    assert np.array_equal(policy.weights(200), PRIOR.array)
    assert policy.refits
    assert not policy.laws.known.any()


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_rising_losses_keep_training(preset):
    policy = run(Ado(PRIOR, preset, **SHORT), 120)
    for step in range(120, 300):
        policy.observe(step, *batch(step, factor=1 + 0.002 * (step - 120)))
        assert_mixture(policy.weights(step + 1))
    assert len(policy.refits) >= 10


def test_a_law_that_misses_the_recent_losses_is_refused_and_the_last_good_one_kept():
    policy = run(Ado(PRIOR, **SHORT), 120)
    before, count = policy.laws, len(policy.refits)
    for step in range(120, 160):
        policy.observe(step, *batch(step, factor=1.5))
    assert len(policy.refits) == count + 2
    assert policy.refits[-1].refused.all()
    assert "misses the recent losses" in policy.refits[-1].outcome[0]
    assert np.array_equal(policy.laws.alpha, before.alpha)
    assert sum(policy.failures["refused"].values()) >= 3


@pytest.mark.parametrize("kind", [np.linalg.LinAlgError, ValueError, MemoryError])
def test_a_fit_that_raises_does_not_stop_training(monkeypatch, kind):
    def fail(*args, **kwargs):
        raise kind("no convergence")

    monkeypatch.setattr("mixopt.policy.refit.fit_laws", fail)
    policy = run(Ado(PRIOR, **SHORT), 100)
    assert np.array_equal(policy.weights(100), PRIOR.array)
    assert policy.refits[0].outcome == (f"the fit failed: {kind.__name__}: no convergence",) * 3


@pytest.mark.parametrize("preset", PRESETS)
def test_fewer_points_than_a_fit_needs(preset):
    policy = run(Ado(PRIOR, preset, warmup=12, skip=10, stride=5, refit_interval=5, adopt_after=0), 20)
    assert np.array_equal(policy.weights(20), PRIOR.array)
    assert all("needed" in outcome for refit in policy.refits for outcome in refit.outcome)
    assert policy.refits


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refit_interval": 0}, "refit_interval: .* at least 1, found 0"),
        ({"preset": "papr"}, "preset: .*paper.*, found 'papr'"),
        ({"gama1": 0.2}, "'gama1'; nearest: gamma1"),
        ({"gamma2": 0.0}, "gamma2: .*, found 0.0"),
        ({"delta_min": 0.4}, r"delta_min: .* 0.333 \(1 / 3 domains\), found 0.4"),
        ({"warmup": 2.5}, "warmup: .*, found 2.5"),
        ({"clock": "wall"}, "clock: .*policy, absolute, found 'wall'"),
        ({"adopt_after": 1000}, "adopt_after: .*refit_interval 1000, found 1000"),
        ({"total_steps": 0}, "total_steps: .*, found 0"),
    ],
)
def test_bad_settings_are_one_clear_line(options, message):
    with pytest.raises(ConfigError, match=f"^ado: .*{message}$"):
        Ado(PRIOR, **options)


def test_resume_with_other_domains_another_prior_or_another_preset():
    state = json.loads(json.dumps(run(Ado(PRIOR), 5).state_dict()))
    with pytest.raises(ConfigError, match=r"domains .*'a', 'b', 'c'.*policy .*'a', 'b'"):
        Ado(Mixture.from_dict({"a": 0.5, "b": 0.5})).load_state_dict(state)
    with pytest.raises(ConfigError, match=r"preset robust, .*paper"):
        Ado(PRIOR, "paper").load_state_dict(state)
    with pytest.raises(ConfigError, match=r"gamma1 0\.1, .*0\.2"):
        Ado(PRIOR, gamma1=0.2).load_state_dict(state)
    with pytest.raises(ConfigError, match="another prior"):
        Ado(Mixture.from_dict({"a": 0.3, "b": 0.6, "c": 0.1})).load_state_dict(state)


def test_laws_of_another_number_of_domains():
    with pytest.raises(ConfigError, match="expected 3 values"):
        Ado(PRIOR).set_laws([1.0, 2.0], [0.1, 0.2], [0.3, 0.3])


def test_extreme_laws_do_not_overflow():
    policy = run(Ado(PRIOR, refit=False, **SHORT), 100)
    policy.set_laws([900.0, -900.0, 3.0], [0.5] * 3, [0.3, 0.3, 80.0])
    run(policy, 110, first=100)
    assert_mixture(policy.weights(110))
    assert (policy.weights(110) >= 0.01 - 1e-12).all()


AMOUNTS = arrays(np.float64, st.integers(1, 30), elements=st.floats(1e-6, 1.0))


@settings(deadline=None)
@given(amounts=AMOUNTS, share=st.floats(0.0, 1.0))
def test_the_projection_is_that_of_the_solver_and_keeps_the_floor(amounts, share):
    weights = amounts / amounts.sum()
    floor = np.full(weights.size, share / weights.size)
    floor[::3] = 0
    projected = Floor(floor).project(weights)
    assert (projected >= floor - 1e-15).all()
    assert projected.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(projected, project(weights, floor, np.ones_like(floor)), atol=1e-12)


def test_what_is_missing_is_taken_evenly():
    projected = Floor(np.full(3, 0.1)).project(np.array([0.6, 0.4, 0.0]))
    np.testing.assert_allclose(projected, [0.55, 0.35, 0.1])


def test_the_published_clip_breaks_its_own_floor():
    one_hot = np.eye(22)[0]
    assert published_clip(one_hot, 0.01).min() == pytest.approx(0.01 / 1.21)
    assert Floor(np.full(22, 0.01)).project(one_hot).min() == pytest.approx(0.01)


def test_the_published_clip_is_raise_then_divide():
    weights = np.array([0.6, 0.395, 0.005])
    raised = np.maximum(weights, 0.01)
    np.testing.assert_allclose(published_clip(weights, 0.01), raised / raised.sum(), rtol=0, atol=1e-15)
