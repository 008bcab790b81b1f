"""Expected improvement, knowledge gradient, and how a run would move what is believed about the target."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from mixopt.methods.adso.choice import Belief, derivative, expected_improvement, knowledge_gradient, pinned
from mixopt.methods.adso.fidelity_model import FidelityModel, Points
from tests.methods.adso.test_fidelity_model import MIXTURES, runs


def test_expected_improvement_by_hand():
    # At the best so far it is σ φ(0); far below it is certain; far above it is nothing.
    found = expected_improvement(np.array([1.0, -9.0, 9.0]), np.array([0.5, 0.01, 0.01]), 1.0)
    np.testing.assert_allclose(found, [0.5 / np.sqrt(2 * np.pi), 10.0, 0.0], atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(mean=st.floats(-2, 2), deviation=st.floats(0.05, 2), best=st.floats(-2, 2))
def test_expected_improvement_is_the_mean_over_outcomes(mean, deviation, best):
    draws = mean + deviation * norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    expected = np.maximum(best - draws, 0).mean()
    assert expected_improvement(np.array(mean), np.array(deviation), best) == pytest.approx(expected, abs=1e-3)


def test_knowledge_gradient_of_two_mixtures_in_closed_form():
    mean, change = np.array([0.0, 0.3]), np.array([[0.1, 0.9]])
    spread, gap = 0.8, 0.3  # of the difference of the two
    expected = spread * norm.pdf(gap / spread) - gap * norm.cdf(-gap / spread)
    assert knowledge_gradient(mean, change)[0] == pytest.approx(expected, rel=0.1)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_knowledge_gradient_is_the_mean_over_outcomes(seed):
    rng = np.random.default_rng(seed)
    mean, change = rng.normal(size=5), rng.normal(size=(4, 5))
    outcomes = norm.ppf((np.arange(4000) + 0.5) / 4000)
    least = (mean + outcomes[:, None, None] * change).min(axis=2).mean(axis=0)
    np.testing.assert_allclose(knowledge_gradient(mean, change), mean.min() - least, atol=0.05 * np.abs(change).max())


def test_a_run_that_moves_all_alike_is_worth_nothing():
    assert knowledge_gradient(np.array([1.0, 2.0]), np.array([[3.0, 3.0]]))[0] == pytest.approx(0, abs=1e-12)


@pytest.fixture(scope="module")
def belief() -> Belief:
    points, losses = runs(16, 4)
    model = FidelityModel.fit(points, losses)
    return Belief.of(model, lambda values: values @ np.array([0.25, 0.75]), Points(MIXTURES, np.zeros((40, 1))))


def test_an_objective_is_put_together_from_losses(belief):
    mean, variance = belief.model.predict(belief.candidates)
    np.testing.assert_allclose(belief.mean, mean @ [0.25, 0.75])
    np.testing.assert_allclose(belief.deviation, np.sqrt(variance @ [0.25**2, 0.75**2]), rtol=1e-6)


def test_change_is_that_of_conditioning_on_an_outcome(belief):
    """One loss, its outcome a standard deviation above what was expected: the mean moves by `change`."""
    points, losses = runs(16, 4)
    model = FidelityModel.fit(points, losses[:, :1])
    before = Belief.of(model, lambda values: values[..., 0], Points(MIXTURES, np.zeros((40, 1))))
    query = Points(MIXTURES[[33]], np.array([[1.8]]))
    everything = np.arange(40)
    mean, variance = model.predict(query)
    outcome = mean + np.sqrt(variance + model.processes[0].noise)
    after = Belief.of(model.observe(query, outcome), before.objective, before.candidates)
    np.testing.assert_allclose(before.change(query, everything)[0], after.mean - before.mean, rtol=1e-4, atol=1e-7)


def test_plausible_candidates_hold_the_best_and_leave_out_the_hopeless(belief):
    plausible = belief.plausible()
    assert int(belief.mean.argmin()) in plausible
    assert (belief.mean[plausible] - 3 * belief.deviation[plausible] <= belief.mean.min()).all()
    assert len(belief.plausible(most=3)) <= 3


def test_pinning_takes_away_the_doubt_that_all_mixtures_share():
    points, losses = runs(16, 0)
    model, candidates = FidelityModel.fit(points, losses), Points(MIXTURES, np.zeros((40, 1)))
    before = Belief.of(model, lambda values: values.mean(axis=-1), candidates)
    after = Belief.of(pinned(model, before.objective, candidates), before.objective, candidates)
    np.testing.assert_allclose(after.mean, before.mean, rtol=1e-3)
    assert after.deviation.max() < 0.5 * before.deviation.min()


def test_derivative_of_mean_perplexity():
    losses = np.array([[1.0, 2.0], [0.5, 3.0]])
    found = derivative(lambda values: np.exp(values).mean(axis=-1), losses)
    np.testing.assert_allclose(found, np.exp(losses) / 2, rtol=1e-6)
