"""Online data mixing: both published forms by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.policy import Odm

PRIOR = Mixture.from_dict({"a": 0.5, "b": 0.3, "c": 0.2})
LOSSES, TOKENS = np.array([2.0, 3.0, np.nan]), np.array([60, 40, 0])


def exploration(t):
    return min(1 / 3, math.sqrt(math.log(3) / (3 * t)))


def test_paper_by_hand():
    policy = Odm(PRIOR, "paper", smoothing=0.9, warmup=0)
    policy.observe(99, LOSSES, TOKENS)
    rewards = 0.1 * np.array([2.0 * 0.6 / 0.5, 3.0 * 0.4 / 0.3, 0.0])
    drive = np.exp(exploration(100) * rewards)
    expected = (1 - 3 * exploration(101)) * drive / drive.sum() + exploration(101)
    np.testing.assert_allclose(policy.weights(100), expected)


def test_code_by_hand():
    policy = Odm(PRIOR, "code", smoothing=0.5, warmup=0)
    policy.observe(98, LOSSES, TOKENS)
    policy.observe(99, np.array([np.nan, 1.0, 2.0]), np.array([0, 50, 50]))
    rewards = np.array([0.5 * math.exp(2), 0.25 * math.exp(3) + 0.5 * math.exp(1), 0.5 * math.exp(2)])
    expected = (1 - 3 * exploration(100)) * rewards / rewards.sum() + exploration(100)
    np.testing.assert_allclose(policy.weights(100), expected)


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_domains_of_high_loss_gain_and_none_falls_below_the_exploration_rate(variant):
    policy = Odm(Mixture.uniform("abc"), variant, warmup=0)
    rng = np.random.default_rng(0)
    for step in range(500):
        policy.observe(step, np.array([1.0, 2.0, 4.0]), rng.multinomial(64, policy.weights(step)))
    weights = policy.weights(500)
    assert weights[2] > weights[1] > weights[0] >= 0.99 * exploration(501)


def test_the_warm_up_is_the_prior():
    policy = Odm(PRIOR, total_steps=1000)
    for step in range(20):
        assert policy.weights(step) == pytest.approx(PRIOR.array)
        policy.observe(step, LOSSES, TOKENS)
    policy.observe(20, LOSSES, TOKENS)
    assert policy.weights(21) != pytest.approx(PRIOR.array)


def test_updates_come_every_interval():
    policy, changes, before = Odm(PRIOR, "code", warmup=0, interval=10), [], PRIOR.array
    for step in range(40):
        policy.observe(step, LOSSES + 0.01 * step, TOKENS)
        if not np.array_equal(policy.weights(step + 1), before):
            changes.append(step)
        before = policy.weights(step + 1)
    assert changes == [9, 19, 29, 39]


@pytest.mark.parametrize("variant", ["paper", "code"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e6])
def test_bad_losses_do_not_spoil_the_mixture(variant, bad):
    policy = Odm(PRIOR, variant, warmup=0)
    for step in range(30):
        policy.observe(step, np.array([2.0, bad, 3.0]), np.array([5, 3, 2]))
    assert np.isfinite(policy.weights(30)).all()
    assert policy.weights(30).sum() == pytest.approx(1)


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_one_domain(variant):
    policy = Odm(Mixture.uniform(["only"]), variant, warmup=0)
    policy.observe(0, np.array([2.0]), np.array([5]))
    assert policy.weights(1).tolist() == [1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "exp3"}, "variant: .*, found 'exp3'"),
        ({"interval": 0}, "interval: .*, found 0"),
        ({"smoothing": 1.0}, "smoothing: .*, found 1.0"),
        ({"warmup": -1}, "warmup: .*, found -1"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ConfigError, match=f"^odm: {message}$"):
        Odm(PRIOR, **options)


def test_resume_with_the_other_variant():
    state = json.loads(json.dumps(Odm(PRIOR, "paper").state_dict()))
    with pytest.raises(ConfigError, match=r"odm: .*variant paper, .*code"):
        Odm(PRIOR, "code").load_state_dict(state)
