"""Group DRO's weights against the formulas of the published code, and against what has to come out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.policy import POLICIES, GroupDro, LossWeighting, make_policy, weighs_losses
from mixopt.spec import PolicySpec

NAMES = ("a", "b", "c")
UNIFORM = Mixture.uniform(NAMES)
TOKENS = np.array([64, 64, 64])

excesses = st.lists(
    st.tuples(*[st.one_of(st.just(math.nan), st.floats(0, 20)) for _ in NAMES]), min_size=1, max_size=30
)


def fed(policy, rows):
    """The policy after these excess losses, NaN where a domain is absent; and each step's loss weights."""
    weights = [
        policy.loss_weights(step, np.array(row), np.where(np.isnan(row), 0, TOKENS)) for step, row in enumerate(rows)
    ]
    return policy, np.array(weights)


def test_the_first_step_by_hand():
    policy, (weights,) = fed(GroupDro(Mixture(NAMES, (0.5, 0.25, 0.25)), eta=2.0, smoothing=0.1), [(0.0, 0.5, 1.0)])
    raised = [1, math.e, math.e**2]
    alpha = [0.9 * x / sum(raised) + 0.1 / 3 for x in raised]
    assert policy.alpha == pytest.approx(alpha, abs=1e-15)
    assert policy.average == pytest.approx(alpha, abs=1e-15)
    ratio = np.array(alpha) / [0.5, 0.25, 0.25]
    assert weights == pytest.approx(ratio / ratio.sum(), abs=1e-15)


@settings(deadline=None, max_examples=40)
@given(excesses, st.floats(0.01, 3), st.floats(0, 0.5))
def test_the_path_is_that_of_the_published_formulas(rows, eta, smoothing):
    policy, weights = fed(GroupDro(UNIFORM, eta=eta, smoothing=smoothing), rows)
    alpha, scores, average = [1 / 3] * 3, [0.0] * 3, [0.0] * 3
    for step, row in enumerate(rows):
        scores = [old if math.isnan(new) else new for old, new in zip(scores, row, strict=True)]
        logs = [math.log(a) + eta * s if a else -math.inf for a, s in zip(alpha, scores, strict=True)]
        total = max(logs) + math.log(sum(math.exp(x - max(logs)) for x in logs))
        alpha = [(1 - smoothing) * math.exp(x - total) + smoothing / 3 for x in logs]
        average = [mean * step / (step + 1) + a / (step + 1) for mean, a in zip(average, alpha, strict=True)]
        assert weights[step] == pytest.approx(np.array(alpha) / sum(alpha), rel=1e-9, abs=1e-300)
    assert policy.alpha == pytest.approx(alpha, rel=1e-9, abs=1e-300)
    assert policy.steps == len(rows)
    assert policy.average == pytest.approx(average, rel=1e-9, abs=1e-300)
    Mixture(NAMES, tuple((policy.average / policy.average.sum()).tolist()))
    assert policy.average.sum() == pytest.approx(1, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.lists(st.floats(0, 5), min_size=1, max_size=20))
def test_equal_excess_losses_leave_every_weight_uniform(domains, levels):
    names = tuple("abcdef"[:domains])
    policy = GroupDro(Mixture.uniform(names))
    for step, level in enumerate(levels):
        weights = policy.loss_weights(step, np.full(domains, level), np.full(domains, 64))
        assert weights == pytest.approx(np.full(domains, 1 / domains), abs=1e-12)
    assert policy.average == pytest.approx(np.full(domains, 1 / domains), abs=1e-12)


def test_a_constant_excess_without_smoothing_is_a_softmax_of_its_sum():
    rows = [(0.1, 0.2, 0.4)] * 10
    policy, _ = fed(GroupDro(UNIFORM, eta=0.5, smoothing=0.0), rows)
    raised = np.exp(0.5 * 10 * np.array(rows[0]))
    assert policy.alpha == pytest.approx(raised / raised.sum(), rel=1e-12)


def test_smoothing_keeps_a_domain_that_is_never_behind():
    policy, _ = fed(GroupDro(UNIFORM), [(0.0, 0.0, 5.0)] * 200)
    assert policy.alpha[:2] == pytest.approx([1e-3 / 3] * 2, rel=0.02)
    assert policy.alpha[2] > 0.999


def test_an_absent_domain_keeps_its_score():
    policy, _ = fed(GroupDro(UNIFORM), [(0.3, 0.2, 0.1), (math.nan, 0.4, math.nan)])
    assert policy.scores.tolist() == [0.3, 0.4, 0.1]


def test_an_excess_that_is_not_finite_counts_as_absent():
    policy = GroupDro(UNIFORM)
    policy.loss_weights(0, np.array([0.3, math.inf, math.nan]), TOKENS)
    assert policy.scores.tolist() == [0.3, 0.0, 0.0]


def test_sampling_and_weighing_together_are_alpha():
    sampling = Mixture(NAMES, (0.6, 0.3, 0.1))
    policy, (weights,) = fed(GroupDro(sampling), [(0.1, 0.7, 0.3)])
    product = sampling.array * weights
    assert product / product.sum() == pytest.approx(policy.alpha, abs=1e-15)
    assert np.array_equal(policy.weights(1), sampling.array)


def test_save_load_continue_is_bitwise_equal():
    rng = np.random.default_rng(0)
    rows = [tuple(row) for row in rng.uniform(0, 2, size=(40, 3))]
    whole, _ = fed(GroupDro(UNIFORM), rows)
    half, _ = fed(GroupDro(UNIFORM), rows[:20])
    resumed = GroupDro(UNIFORM)
    resumed.load_state_dict(json.loads(json.dumps(half.state_dict())))
    resumed, _ = fed(resumed, rows[20:])
    assert resumed.state_dict() == whole.state_dict()


def test_a_state_of_other_settings_is_refused():
    state = GroupDro(UNIFORM).state_dict()
    for other, says in [
        (GroupDro(UNIFORM, eta=0.1), "state has settings"),
        (GroupDro(Mixture(NAMES, (0.5, 0.3, 0.2))), "another sampling"),
        (GroupDro(Mixture.uniform(("a", "b", "z"))), "state has domains"),
    ]:
        with pytest.raises(ConfigError, match=says):
            other.load_state_dict(state)


def test_it_describes_itself_by_domain():
    policy, _ = fed(GroupDro(UNIFORM), [(0.3, 0.2, 0.1)])
    described = policy.describe()
    assert described["excess"] == {"a": 0.3, "b": 0.2, "c": 0.1}
    assert described["alpha"] == described["average"] == dict(zip(NAMES, policy.alpha, strict=True))


@pytest.mark.parametrize(
    ("prior", "options", "says"),
    [
        (UNIFORM, {"eta": 0}, "eta: .*above 0"),
        (UNIFORM, {"eta": math.nan}, "eta: .*above 0"),
        (UNIFORM, {"smoothing": 1}, "smoothing: .*below 1"),
        (Mixture(NAMES, (0.5, 0.5, 0.0)), {}, "found 0 for 'c'"),
    ],
)
def test_settings_out_of_range_are_refused(prior, options, says):
    with pytest.raises(ConfigError, match=says):
        make_policy("group_dro", prior, options)


def test_only_policies_that_weigh_losses_have_a_reference_run():
    assert isinstance(GroupDro(UNIFORM), LossWeighting)
    assert not isinstance(make_policy("static", UNIFORM), LossWeighting)
    assert [name for name in POLICIES if weighs_losses(name)] == ["group_dro"]
    with pytest.raises(ConfigError, match="reference run, found None; `mixopt doremi`"):
        PolicySpec(name="group_dro", weights=UNIFORM.weights)
    with pytest.raises(ConfigError, match=r"policy static: .*no reference run, found 0123456789abcdef"):
        PolicySpec(weights=UNIFORM.weights, reference="0123456789abcdef")
