"""Mixtures by tokens, and users' own functions."""

from __future__ import annotations

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.policy import Custom, Schedule, make_policy

PRIOR = Mixture.from_dict({"a": 0.5, "b": 0.5})
LATER = Mixture.from_dict({"b": 0.9, "a": 0.1})


def test_a_piece_holds_from_its_tokens_on():
    policy = Schedule(PRIOR, [(1000, LATER), (2000, PRIOR)], tokens_per_step=250)
    assert [policy.weights(step)[0] for step in (0, 3, 4, 7, 8, 99)] == [0.5, 0.5, 0.1, 0.1, 0.5, 0.5]


def test_pieces_as_text():
    text = '[[1000, {"a": 0.1, "b": 0.9}]]'
    policy = make_policy("schedule", PRIOR, {"pieces": text, "tokens_per_step": 250})
    assert policy.weights(4).tolist() == [0.1, 0.9]


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ("[[1000]]", "schedule: pieces: .*JSON"),
        ("tokens", "schedule: pieces: .*JSON"),
        ('[[1000, {"a": 0.1, "c": 0.9}]]', "'c'; .*a, b"),
        ([(2000, LATER), (1000, PRIOR)], r"increasing order, found \[2000, 1000\]"),
        ([(-1, LATER)], "from 0 on"),
    ],
)
def test_bad_pieces(pieces, message):
    with pytest.raises(ConfigError, match=message):
        Schedule(PRIOR, pieces)


def test_tokens_per_step_zero():
    with pytest.raises(ConfigError, match="expected at least 1, found 0"):
        Schedule(PRIOR, tokens_per_step=0)


def lean_to_high_losses(step, losses):
    """An example of a user's function, found by its name."""
    weights = np.nan_to_num(losses, nan=1.0) + 0.01 * step
    return weights / weights.sum()


def test_a_function_sees_the_last_losses_of_all_domains():
    policy = make_policy("custom", PRIOR, {"function": "tests.policy.test_schedule:lean_to_high_losses"})
    assert policy.weights(0).tolist() == [0.5, 0.5]
    policy.observe(0, np.array([3.0, np.nan]), np.array([64, 0]))
    assert policy.weights(1) == pytest.approx([3.01 / 4.02, 1.01 / 4.02])
    policy.observe(1, np.array([np.nan, 2.0]), np.array([0, 64]))
    assert policy.weights(2) == pytest.approx([3.02 / 5.04, 2.02 / 5.04])


def test_a_function_that_returns_no_mixture():
    policy = Custom(PRIOR, lambda step, losses: np.array([0.9, 0.9]))
    policy.observe(0, np.array([3.0, 2.0]), np.array([64, 64]))
    with pytest.raises(ConfigError, match=r"2 weights .*at step 7"):
        policy.weights(7)


@pytest.mark.parametrize("path", ["nowhere:f", "numpy:nothing", "numpy", "numpy:pi"])
def test_no_such_function(path):
    with pytest.raises(ConfigError, match="custom policy: function"):
        make_policy("custom", PRIOR, {"function": path})
