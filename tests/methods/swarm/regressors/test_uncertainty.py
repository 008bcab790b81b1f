"""How sure laws say they are, against theory and against the truth."""

from __future__ import annotations

import numpy as np
import pytest

from mixopt.methods.swarm.regressors import LAWS
from tests.methods.swarm.regressors.worlds import exponential, mixtures

WEIGHTS = mixtures(48, 4)
NEW = mixtures(30, 4, seed=9)


@pytest.mark.parametrize("name", ["loglinear", "mixing-law", "gp"])
def test_replicates_agree_with_the_standard_deviation(name: str):
    fit = LAWS.get(name)().fit(WEIGHTS, exponential(WEIGHTS, 2, noise=0.03), seed=0)
    sd = fit.sd(NEW)
    drawn = fit.replicates(400, seed=3).predict(NEW)
    assert np.median(drawn.std(axis=0) / sd) == pytest.approx(1, abs=0.15)
    np.testing.assert_allclose(drawn.mean(axis=0), fit.predict(NEW), atol=0.02)


def test_replicates_of_the_additive_law_agree_with_its_curvature():
    fit = LAWS.get("ddo")().fit(WEIGHTS, exponential(WEIGHTS, 1, noise=0.01), seed=0)
    assert np.median(fit.replicates(60, seed=3).predict(NEW).std(axis=0) / fit.sd(NEW)) == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize("name", ["loglinear", "gp"])
def test_two_standard_deviations_hold_the_truth(name: str):
    truth = exponential(NEW, 1)[:, 0]
    held = []
    for seed in range(10):
        noise = 0.03 * np.random.default_rng(100 + seed).standard_normal((len(WEIGHTS), 1))
        fit = LAWS.get(name)().fit(WEIGHTS, exponential(WEIGHTS, 1) + noise, seed=0)
        held.append(np.abs(fit.predict(NEW)[:, 0] - truth) < 2 * fit.sd(NEW)[:, 0])
    assert 0.85 <= np.mean(held) <= 1.0


def test_errors_of_a_runs_losses_are_resampled_together():
    """Losses that are off together stay so in every replicate."""
    rng = np.random.default_rng(0)
    shared = 0.03 * rng.standard_normal((len(WEIGHTS), 1))
    fit = LAWS.get("loglinear")().fit(WEIGHTS, exponential(WEIGHTS, 1) + shared * np.array([[1.0, 1.0]]), seed=0)
    drawn = fit.replicates(100, seed=0).predict(NEW)
    np.testing.assert_allclose(drawn[..., 0], drawn[..., 1], atol=1e-5)


def test_a_law_without_noise_is_sure():
    fit = LAWS.get("loglinear")().fit(WEIGHTS, exponential(WEIGHTS, 2), seed=0)
    assert fit.sd(NEW).max() < 1e-3
    assert fit.replicates(10, seed=0).predict(NEW).std(axis=0).max() < 1e-3
