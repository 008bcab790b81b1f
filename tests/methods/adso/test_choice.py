"""Which run next: information for its cost, and the guard on cheap runs."""

from __future__ import annotations

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.methods.adso.choice import Belief, ChoiceSettings, Done, Options, affordable, choose, pinned, runs_paid
from mixopt.methods.adso.fidelity_model import FidelityModel, Points
from tests.methods.adso.test_fidelity_model import MIXTURES, runs

NOTHING_YET = Done(16, 0.2, 0)


def mean_loss(losses: np.ndarray) -> np.ndarray:
    return losses.mean(axis=-1)


@pytest.fixture(scope="module")
def belief() -> Belief:
    points, losses = runs(6, 0)
    model = FidelityModel.fit(points, losses)
    candidates = Points(MIXTURES, np.zeros((40, 1)))
    return Belief.of(pinned(model, mean_loss, candidates), mean_loss, candidates)


@pytest.fixture(scope="module")
def options() -> Options:
    """Mixtures 16 to 40 at 1/60 of the target's cost, then at the target."""
    weights = np.vstack([MIXTURES[16:], MIXTURES[16:]])
    at_target = np.repeat([False, True], 24)
    scales = np.where(at_target, 0.0, 1.8)[:, None]
    return Options(Points(weights, scales), np.where(at_target, 1.0, 1 / 60), at_target)


def test_cheap_runs_tell_most_for_their_cost(belief, options):
    choice = choose(belief, options, None, NOTHING_YET, ChoiceSettings())
    assert choice is not None
    assert choice.why == "information"
    assert not options.at_target[choice.index]
    assert choice.worth > 0


def test_when_cheap_runs_had_their_share_the_best_prediction_is_checked(belief, options):
    choice = choose(belief, options, None, Done(30, 0.5, 0), ChoiceSettings())
    assert choice is not None
    assert choice.why == "check"
    assert choice.index == 24 + int(belief.mean[16:].argmin())


def test_after_that_cheap_runs_have_another_share(belief, options):
    settings = ChoiceSettings(guard=0.5, patience=40)
    assert not settings.is_due(Done(30, 0.6, 1))
    assert settings.is_due(Done(60, 1.0, 1))
    assert settings.is_due(Done(40, 1e-6, 0))  # runs that cost nothing are counted
    best = float(belief.mean.min())
    choice = choose(belief, options, best, Done(60, 1.0, 1), settings)
    assert choice is not None
    assert choice.why == "check"


def test_with_nothing_but_the_target_it_is_bayesian_optimisation(belief, options):
    only = Options(options.points.select(slice(24, None)), options.costs[24:], options.at_target[24:])
    choice = choose(belief, only, float(belief.mean.min()), Done(0, 0.0, 5), ChoiceSettings())
    assert choice is not None
    assert choice.why == "check"


def test_nothing_to_choose_from(belief, options):
    none = Options(options.points.select(slice(0, 0)), options.costs[:0], options.at_target[:0])
    assert choose(belief, none, None, NOTHING_YET, ChoiceSettings()) is None


def test_a_target_run_is_kept_for_as_long_as_there_is_money_for_one():
    costs = np.array([0.1, 0.5, 1.0])
    assert affordable(costs, 1.3).tolist() == [True, False, True]
    assert affordable(costs, 1.0).tolist() == [False, False, True]
    assert affordable(costs, 0.6).tolist() == [True, True, False]
    assert affordable(costs, 0.05).tolist() == [False, False, False]


def test_done_counts_by_cost():
    assert Done.of(np.array([0.1, 1.0, 0.2, 1.0])) == Done(2, pytest.approx(0.3), 2)


def test_the_initial_design_costs_a_target_run_at_most():
    settings = ChoiceSettings()
    assert settings.initial_runs(17, 1 / 60) == 24
    assert settings.initial_runs(17, 0.1) == 10
    assert settings.initial_runs(3, 1e-4) == 8
    assert settings.initial_runs(17, 1.0) == 3
    assert ChoiceSettings(initial=5).initial_runs(17, 1 / 60) == 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"guard": 0.0}, "guard: expected a cost above 0"),
        ({"patience": 0}, r"patience: .*one cheap run"),
        ({"initial": 1}, r"initial: .*two runs"),
    ],
)
def test_refuses(wrong, message):
    with pytest.raises(ConfigError, match=message):
        ChoiceSettings(**wrong)


def test_short_runs_leave_a_target_run_to_pay_for():
    assert [runs_paid(0.1, 2.0), runs_paid(1.0, 3.0), runs_paid(0.3, 1.9)] == [10, 3, 3]
