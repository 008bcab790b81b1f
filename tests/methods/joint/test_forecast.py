"""Forecasts of a joint law: their intervals taken apart."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from mixopt.methods.joint.forecast import Forecast
from mixopt.methods.joint.law_of_runs import JointFit
from mixopt.mixture import Mixture
from mixopt.objective import MeanPerplexity
from mixopt.solve import Bounds
from tests.methods.world import TransferWorld

WORLD = TransferWorld(noise=0.02)
TARGET = 900_000
UNIFORM = Mixture.uniform(WORLD.domains)
NEAR = Mixture(WORLD.domains, (0.34, 0.33, 0.33))
ADVISED = Mixture(WORLD.domains, (0.5, 0.3, 0.2))


@cache
def law():
    fit = JointFit.of(WORLD.train(WORLD.design(300_000, TARGET)), MeanPerplexity(), form="per_domain")
    laws = fit.replicates(200)
    return fit, laws, laws.optima(TARGET, Bounds(WORLD.domains, np.full(3, 1 / 9), np.ones(3)))


def forecast(recommended=ADVISED, **others):
    return Forecast.of(*law(), TARGET, recommended, others)


class Promising:
    """Replicates that agree with the fitted law, but for promising `beyond` more for an optimum of their own."""

    def __init__(self, beyond: float) -> None:
        self.beyond = beyond

    def predict(self, tokens):
        return np.full(100, float(law()[0].predict(tokens)))

    def predict_own(self, weights, total_tokens):
        return law()[0].predict(weights * total_tokens) - self.beyond


def test_what_was_chosen_on_noisy_runs_is_less_sure_to_the_worse_side_by_its_optimism():
    fit, _, drawn = law()
    found, sober, gloomy = (
        Forecast.of(fit, Promising(beyond), drawn, TARGET, ADVISED, {"uniform": UNIFORM, "same": ADVISED})
        for beyond in (0.3, 0.0, -0.3)
    )
    chosen = found.predicted["recommended"]
    assert chosen.high - sober.predicted["recommended"].high == pytest.approx(0.3)
    assert chosen.low == sober.predicted["recommended"].low
    other = found.predicted["uniform"].value
    assert sober.gains["uniform"].low - found.gains["uniform"].low == pytest.approx(0.3 / other)
    assert found.gains["uniform"].high == sober.gains["uniform"].high
    # Nobody chose the others, and no promise makes anything surer.
    assert found.predicted["same"] == sober.predicted["recommended"]
    assert gloomy == sober


def test_a_mixture_gains_nothing_over_itself_and_surely_so():
    gain = forecast(same=ADVISED).gains["same"]
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)


def test_the_laws_error_counts_in_proportion_to_how_far_mixtures_are_apart():
    """Two mixtures that are nearly one differ by next to nothing, whatever the law gets wrong."""
    found = forecast(UNIFORM, near=NEAR, far=ADVISED)
    near, far = found.gains["near"], found.gains["far"]
    assert near.high - near.value < 0.1 * (far.high - far.value)


def test_a_prediction_holds_what_the_law_missed_of_runs_left_out():
    fit, laws, _ = law()
    estimate = forecast(uniform=UNIFORM).predicted["uniform"]
    below = estimate.value - float(np.quantile(laws.predict(TARGET * UNIFORM.array), 0.025))
    assert estimate.value - estimate.low == pytest.approx(np.hypot(below, 1.96 * fit.misfit(TARGET) * estimate.value))
