"""What every regressor must do. A new one is a parameter here by its line in `LAWS`."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

import cvxpy as cp
import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.methods.swarm.regressors import LAWS
from tests.methods.swarm.regressors.worlds import exponential, mixtures

if TYPE_CHECKING:
    from mixopt.methods.swarm.regressors.base import Fitted

# One that is not ours, as users have them.
FLOORED = "experiments.floored_law:Floored"
RUNS, DOMAINS, LOSSES = 40, 4, 3
WEIGHTS = mixtures(RUNS, DOMAINS)
MEASURED = exponential(WEIGHTS, LOSSES, noise=0.005)
NEW = mixtures(7, DOMAINS, seed=9)
# Out-of-sample error on this world, in spreads of its losses: the additive law knows no interplay of domains, and
# trees make steps of what is smooth.
OFF = {"loglinear": 0.03, "mixing-law": 0.03, FLOORED: 0.3, "ddo": 0.4, "gp": 0.2, "regmix": 0.6}
# Replicates, and how far their mean may be from the fit, in spreads of the losses.
REPLICATES = {
    "loglinear": (60, 0.02),
    "mixing-law": (60, 0.02),
    FLOORED: (60, 0.1),
    "ddo": (6, 0.25),
    "gp": (60, 0.1),
    "regmix": (3, 0.5),
}

each = pytest.mark.parametrize("name", [*LAWS, FLOORED])


@cache
def fitted(name: str) -> Fitted:
    return LAWS.get(name)().fit(WEIGHTS, MEASURED, seed=0)


@each
def test_new_mixtures_are_predicted(name: str):
    new = mixtures(200, DOMAINS, seed=5)
    truth = exponential(new, LOSSES)
    error = np.sqrt(((fitted(name).predict(new) - truth) ** 2).mean(axis=0))
    assert (error < OFF[name] * truth.std(axis=0)).all()


@each
def test_predictions_have_the_shape_of_what_is_asked(name: str):
    fit = fitted(name)
    assert fit.predict(NEW[0]).shape == (LOSSES,)
    stacked = np.stack([NEW, NEW[::-1]])
    assert fit.predict(stacked).shape == (2, 7, LOSSES)
    np.testing.assert_allclose(fit.predict(stacked)[1], fit.predict(NEW)[::-1], rtol=1e-12)


@each
def test_a_fit_is_deterministic_and_changes_nothing(name: str):
    before = WEIGHTS.copy(), MEASURED.copy()
    again = LAWS.get(name)().fit(WEIGHTS, MEASURED, seed=0)
    np.testing.assert_array_equal(again.predict(NEW), fitted(name).predict(NEW))
    np.testing.assert_array_equal(WEIGHTS, before[0])
    np.testing.assert_array_equal(MEASURED, before[1])


@each
def test_each_loss_is_modelled_by_itself(name: str):
    alone = LAWS.get(name)().fit(WEIGHTS, MEASURED[:, 1:2], seed=0)
    np.testing.assert_allclose(alone.predict(NEW)[:, 0], fitted(name).predict(NEW)[:, 1], atol=1e-6)


@each
def test_a_left_out_run_is_never_seen(name: str):
    """Whatever the losses of a fold are, its predictions are the same."""
    folds = np.arange(RUNS) % 2 == np.arange(2)[:, None]
    predicted = LAWS.get(name)().left_out(WEIGHTS, MEASURED, folds, seed=0)
    assert predicted.shape == (2, RUNS, LOSSES)
    spoilt = np.where(folds[1][:, None], 9.0 + np.arange(RUNS)[:, None], MEASURED)
    again = LAWS.get(name)().left_out(WEIGHTS, spoilt, folds, seed=0)
    np.testing.assert_allclose(again[1], predicted[1], atol=1e-9)
    apart = LAWS.get(name)().fit(WEIGHTS[~folds[1]], MEASURED[~folds[1]], seed=0)
    np.testing.assert_allclose(predicted[1], apart.predict(WEIGHTS), atol=0.02)


@each
def test_replicates_scatter_about_the_fit(name: str):
    fit, (count, near) = fitted(name), REPLICATES[name]
    replicates = fit.replicates(count, seed=1)
    assert len(replicates) == count
    common = replicates.predict(NEW)
    assert common.shape == (count, 7, LOSSES)
    own = replicates.predict(np.broadcast_to(NEW, (count, *NEW.shape)))
    np.testing.assert_allclose(own, common, atol=1e-8)
    np.testing.assert_array_equal(fit.replicates(count, seed=1).predict(NEW), common)
    assert np.abs(fit.replicates(2, seed=2).predict(NEW) - common[:2]).max() > 0
    spread = common.std(axis=0)
    assert (spread > 0).all()
    assert np.abs(common.mean(axis=0) - fit.predict(NEW)).max() < near * MEASURED.std()


@each
def test_derivatives_are_those_of_the_predictions(name: str):
    fit = fitted(name)
    replicates = fit.replicates(3, seed=0)
    slope, slopes = fit.jacobian(NEW), replicates.jacobian(NEW)
    if slope is None:
        assert slopes is None
        return
    assert slopes is not None
    step = 1e-6 * np.eye(DOMAINS)
    by_hand = [(fit.predict(NEW + e) - fit.predict(NEW - e)) / 2e-6 for e in step]
    np.testing.assert_allclose(slope, np.stack(by_hand, axis=-1), atol=1e-6)
    by_hand = [(replicates.predict(NEW + e) - replicates.predict(NEW - e)) / 2e-6 for e in step]
    np.testing.assert_allclose(slopes, np.stack(by_hand, axis=-1), atol=1e-6)


@each
def test_a_convex_law_says_the_same_to_the_solver(name: str):
    weights, some = cp.Variable(DOMAINS), np.array([2, 0])
    expression = fitted(name).convex(weights, some)
    if expression is None:
        assert name in ("gp", "regmix")
        return
    assert expression.is_convex()
    weights.value = NEW[0]
    np.testing.assert_allclose(expression.value, fitted(name).predict(NEW[0])[some], rtol=1e-9)


@each
def test_a_fit_describes_itself_as_json(name: str):
    described = json.loads(json.dumps(fitted(name).describe(), allow_nan=False))
    assert described["law"].startswith("loss = ")
    assert any(isinstance(value, list) and len(value) == LOSSES for value in described.values())


@each
def test_a_domain_that_never_varies_does_no_harm(name: str):
    """Nothing is learned of it, and the others are learned as without it."""
    for share in (0.0, 0.2):
        there = np.column_stack([WEIGHTS * (1 - share), np.full(RUNS, share)])
        fit = LAWS.get(name)().fit(there, MEASURED, seed=0)
        asked = np.column_stack([NEW * (1 - share), np.full(len(NEW), share)])
        np.testing.assert_allclose(fit.predict(asked), fitted(name).predict(NEW), atol=0.05)


@each
def test_as_many_runs_as_are_asked_for_are_enough(name: str):
    least = LAWS.get(name)().least_runs(DOMAINS)
    fit = LAWS.get(name)().fit(WEIGHTS[:least], MEASURED[:least], seed=0)
    assert np.isfinite(fit.predict(NEW)).all()
    assert np.isfinite(fit.replicates(2, seed=0).predict(NEW)).all()


@each
def test_fewer_runs_are_refused_with_how_many_are_needed(name: str):
    least = LAWS.get(name)().least_runs(DOMAINS)
    repeated = np.r_[np.arange(least - 1), np.zeros(5, dtype=int)]
    needs = f"a fit of 4 domains needs at least {least} runs of different mixtures, found {least - 1}"
    with pytest.raises(ConfigError, match=f"{LAWS.get(name).name}: {needs}"):
        LAWS.get(name)().fit(WEIGHTS[repeated], MEASURED[repeated], seed=0)


@each
@pytest.mark.parametrize(("number", "found"), [(np.nan, "nan"), (np.inf, "inf")])
def test_numbers_that_are_none_are_refused(name: str, number: float, found: str):
    losses = MEASURED.copy()
    losses[5, 2] = number
    with pytest.raises(ConfigError, match=f"loss 2 of run 5 is {found}, expected a finite number"):
        LAWS.get(name)().fit(WEIGHTS, losses, seed=0)


@each
def test_it_is_called_what_its_line_says(name: str):
    assert name in (LAWS.get(name).name, FLOORED)
    assert LAWS.get(name).title


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"law: .*found 'best'"):
        LAWS.get("best")()


def test_weights_and_losses_of_different_runs_are_refused():
    with pytest.raises(ConfigError, match=r"found shapes \(40, 4\) and \(39, 3\)"):
        LAWS.get("gp")().fit(WEIGHTS, MEASURED[:-1], seed=0)
