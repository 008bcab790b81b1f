"""The contract that every mixture policy meets; a new policy is one more parameter."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.policy import POLICIES, make_policy

PRIOR = Mixture.from_dict({"a": 0.5, "b": 0.3, "c": 0.2})
# Options by which a policy is at work within the few steps of these tests.
OPTIONS = {
    "static": {},
    "ado": {"warmup": 10, "skip": 0, "stride": 1, "refit_interval": 15, "adopt_after": 2, "min_points": 5},
    "odm": {"warmup": 5},
    "schedule": {"pieces": '[[10, {"a": 0.2, "b": 0.2, "c": 0.6}]]'},
    "custom": {"function": "tests.policy.test_schedule:lean_to_high_losses"},
    "group_dro": {"eta": 0.5},
}
# Policies and their options by the name of the case: every policy, and choices that change what it keeps.
CASES = {name: (name, options) for name, options in OPTIONS.items()} | {
    "ado, schedule-aware": ("ado", {**OPTIONS["ado"], "law": "schedule-aware", "total_tokens": 20_000})
}


def losses(rng):
    loss_k = rng.uniform(1, 5, size=3)
    tokens_k = rng.integers(0, 3, size=3) * 64
    loss_k[tokens_k == 0] = np.nan
    return loss_k, tokens_k


@pytest.fixture(params=CASES)
def make(request):
    name, options = CASES[request.param]
    return lambda: make_policy(name, PRIOR, options)


def test_every_policy_is_a_case():
    assert [*OPTIONS] == [*POLICIES]


def test_weights_are_a_mixture_and_have_no_side_effects(make):
    policy, rng = make(), np.random.default_rng(0)
    for step in range(50):
        weights = policy.weights(step)
        Mixture(PRIOR.domains, tuple(weights.tolist()))
        assert np.array_equal(policy.weights(step), weights)
        policy.observe(step, *losses(rng))


def test_it_starts_from_the_prior(make):
    assert make().weights(0) == pytest.approx(PRIOR.array)


def test_save_load_continue_is_bitwise_equal(make):
    straight, rng = make(), np.random.default_rng(1)
    seen = [losses(rng) for _ in range(40)]
    for step in range(20):
        straight.observe(step, *seen[step])
    resumed = make()
    resumed.load_state_dict(json.loads(json.dumps(straight.state_dict())))
    for step in range(20, 40):
        assert np.array_equal(straight.weights(step), resumed.weights(step))
        straight.observe(step, *seen[step])
        resumed.observe(step, *seen[step])


def test_unknown_policy_and_option():
    with pytest.raises(ConfigError, match="policy: expected static or module:Class, found 'statc'"):
        make_policy("statc", PRIOR)
    with pytest.raises(ConfigError, match="policy static"):
        make_policy("static", PRIOR, {"speed": 3})
