"""ADO with the law that knows the learning rate's schedule."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.laws.annealing import AnnealingLaws
from mixopt.laws.domain_law import DomainLaws
from mixopt.mixture import Mixture
from mixopt.policy import Ado
from mixopt.policy.ado_settings import AdoSettings

PRIOR = Mixture.from_dict({"a": 0.6, "b": 0.3, "c": 0.1})
STEPS, BATCH, UNIT = 400, 16, 64  # steps, samples of a step, tokens of a sample
AWARE = {
    "law": "schedule-aware", "total_tokens": STEPS * BATCH * UNIT, "lr_schedule": "linear", "lr_warmup": 0.05,
    "lr_final": 0.1, "annealing_memory": 0.05, "tokens_per_sample": UNIT,
}  # fmt: skip
SHORT = {"warmup": 60, "skip": 5, "stride": 2, "refit_interval": 30, "adopt_after": 8, "min_points": 20}


def truth() -> AnnealingLaws:
    rate = AdoSettings.of("robust", **AWARE).rate_schedule
    assert rate
    forward = DomainLaws(np.log([8.0, 12.0, 5.0]), np.log([2.0, 1.8, 2.4]), np.array([0.35, 0.5, 0.25]))
    return AnnealingLaws(forward, np.array([0.1, 0.05, 0.15]) / rate.annealing(rate.total), rate)


def batch(step, absent=()):
    """Losses after the true laws, with a wobble, and tokens."""
    wobble = 1 + 0.003 * np.sin(0.9 * step + np.arange(3))
    tokens = np.array([9, 5, 2]) * UNIT
    tokens[list(absent)] = 0
    return np.where(tokens > 0, truth().loss(BATCH * (step + 1.0)) * wobble, np.nan), tokens


def run(policy, steps, first=0, **given):
    for step in range(first, steps):
        policy.observe(step, *batch(step, **given))
    return policy


@pytest.fixture(scope="module")
def half_run():
    """Read-only by convention."""
    return run(Ado(PRIOR, **SHORT, **AWARE), STEPS // 2)


@pytest.mark.slow
def test_the_end_is_forecast_better_than_by_a_power_law(half_run):
    end = STEPS * BATCH
    power = run(Ado(PRIOR, **SHORT, tokens_per_sample=UNIT), STEPS // 2)
    errors = {name: np.abs(p.forecast(end) / truth().loss(end) - 1) for name, p in (("a", half_run), ("p", power))}
    assert np.median(errors["a"]) < 0.5 * np.median(errors["p"])
    assert not any(half_run.failures["refused"].values())


def test_the_preference_is_the_forward_parts_speed_times_prior_and_credit(half_run):
    laws = half_run.laws
    said = half_run.describe()
    speed = laws.forward.speed(laws.schedule.forward(half_run.samples))
    credit = np.array(list(said["credit"].values()))
    np.testing.assert_allclose(list(said["speed"].values()), speed * laws.schedule.rate(half_run.samples))
    # The credit told is that after the step, the preference that before it: they differ little by then.
    expected = PRIOR.array * credit * speed
    np.testing.assert_allclose(list(said["preference"].values()), expected / expected.sum(), rtol=0.02)


def test_what_annealing_takes_off_does_not_move_the_mixture():
    ends = []
    for annealing in (None, [0.0, 1e-4, 5e-5]):
        policy = Ado(PRIOR, refit=False, **SHORT, **AWARE)
        laws = truth().forward
        policy.set_laws(laws.log_beta, laws.log_eps, laws.alpha, annealing)
        ends.append((run(policy, STEPS // 2).weights(STEPS // 2), policy.forecast(STEPS * BATCH)))
    np.testing.assert_array_equal(ends[0][0], ends[1][0])
    assert (ends[1][1] <= ends[0][1]).all()
    assert ends[1][1][1] < ends[0][1][1]


@pytest.mark.slow
@pytest.mark.parametrize("cut", [30, 64, 150])
def test_resume_is_bitwise(cut):
    """In the warm-up; with a fit under way; with laws in use."""
    straight = run(Ado(PRIOR, **SHORT, **AWARE), cut)
    resumed = Ado(PRIOR, **SHORT, **AWARE)
    resumed.load_state_dict(json.loads(json.dumps(straight.state_dict())))
    for step in range(cut, 200):
        np.testing.assert_array_equal(straight.weights(step), resumed.weights(step))
        for policy in (straight, resumed):
            policy.observe(step, *batch(step))
    assert straight.state_dict() == resumed.state_dict()


@pytest.mark.parametrize(
    ("change", "name"),
    [({"law": "power"}, "law"), ({"lr_final": 0.2}, "lr_final"), ({"lr_schedule": "cosine"}, "lr_schedule"),
     ({"total_tokens": 10_000_000}, "total_tokens"), ({"annealing_memory": 0.1}, "annealing_memory")],
)  # fmt: skip
def test_resume_under_another_schedule_says_what_differs(half_run, change, name):
    with pytest.raises(ConfigError, match=f"the saved state has {name} "):
        Ado(PRIOR, **SHORT, **{**AWARE, **change}).load_state_dict(half_run.state_dict())


def test_a_state_from_before_there_was_a_choice_of_law_goes_on():
    policy = run(Ado(PRIOR, **SHORT), 100)
    state = policy.state_dict()
    for name in ("law", "total_tokens", "lr_schedule", "lr_warmup", "lr_final", "annealing_memory"):
        del state["settings"][name]
    resumed = Ado(PRIOR, **SHORT)
    resumed.load_state_dict(state)
    np.testing.assert_array_equal(resumed.weights(100), policy.weights(100))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"law": "schedule-aware"}, "total_tokens: .*found 0"),
        ({"law": "cubic"}, "law: .*found 'cubic'"),
        ({**AWARE, "lr_schedule": "constant"}, "lr_schedule: .*cosine, linear"),
        ({**AWARE, "lr_warmup": 1.0}, "lr_warmup: .*below 1"),
        ({**AWARE, "lr_final": 1.5}, "lr_final: .*0 to 1"),
        ({**AWARE, "annealing_memory": 0.0}, "annealing_memory: .*above 0"),
        ({**AWARE, "total_tokens": 1.5}, "total_tokens: expected a int"),
    ],
)
def test_bad_settings_are_one_clear_line(options, message):
    with pytest.raises(ConfigError, match=message):
        Ado(PRIOR, **options)


def test_annealing_is_for_laws_that_know_the_schedule():
    policy = Ado(PRIOR)
    with pytest.raises(ConfigError, match="give law='schedule-aware'"):
        policy.set_laws([1, 1, 1], [1, 1, 1], [1, 1, 1], [0, 0, 0])


def test_settings_come_back_from_their_values():
    for settings in (AdoSettings.of("robust", **AWARE), AdoSettings.of("paper")):
        assert AdoSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_a_domain_that_is_never_drawn_has_no_law_and_keeps_its_share():
    policy = run(Ado(PRIOR, **SHORT, **AWARE), 120, absent=(1,))
    assert policy.laws.known.tolist() == [True, False, True]
    assert policy.describe()["preference"]["b"] == pytest.approx(0.3)
    assert policy.refits[-1].outcome[1] == "0 points, 20 needed"


def test_rising_losses_keep_training():
    policy = Ado(PRIOR, **SHORT, **AWARE)
    for step in range(150):
        losses, tokens = batch(150 - step)
        policy.observe(step, losses, tokens)
        assert policy.weights(step).sum() == pytest.approx(1)
    assert len(policy.refits) > 2
