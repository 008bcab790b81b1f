"""Fits of domains' scaling laws against brute force, known laws, and laws that cannot be fitted."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from mixopt.laws.ado_fit import HUBER, fit_laws
from mixopt.laws.domain_law import DomainLaws
from mixopt.laws.huber_newton import LawBounds

REAL = json.loads((Path(__file__).parents[1] / "golden" / "loss_curves.json").read_text())
# The published grid, thinned: log β, log ε, α.
STARTS = list(itertools.product((0, 3, 6), (0, 1), (0.1, 0.3, 0.5, 0.7)))


def real_curves():
    """n (T,), losses (7, T) and weights (7, T) of a real run, its first tenth left out."""
    losses, tokens = np.array(REAL["loss"]), np.array(REAL["tokens"], dtype=float)
    points = REAL["samples_per_step"] * REAL["steps_per_point"] * (np.arange(losses.shape[1]) + 0.5)
    return points[30:], losses[:, 30:], (tokens / tokens.mean(axis=1, keepdims=True))[:, 30:]


def made_curves(points=151, noise=0.01, seed=0):
    rng = np.random.default_rng(seed)
    samples = 64.0 * (500 + 10 * np.arange(points))
    eps, amplitude = np.array([[2.4], [1.8], [1.5]]), np.array([[1.2], [0.8], [0.4]])
    losses = eps + amplitude * (samples / samples[0]) ** -np.array([[0.3], [0.45], [0.15]])
    return samples, losses * np.exp(noise * rng.standard_normal(losses.shape))


def published_objective(theta, samples, losses, weights):
    """As the paper's code has it, less its constant."""
    log_beta, log_eps, alpha = theta
    size = np.abs(np.log(losses) - np.logaddexp(log_beta - alpha * np.log(samples), log_eps))
    huber = np.where(size > HUBER, HUBER * (size - 0.5 * HUBER), 0.5 * size**2)
    outside = max(alpha - 0.8, 0) + max(0.001 - alpha, 0) + max(0.5 - log_eps, 0) + max(log_beta - 6.5, 0)
    return (weights * huber).sum() + outside


def brute_force(samples, losses, weights):
    """Least objective of Nelder-Mead from every start, the best ones restarted until they stay."""
    args = (samples, losses, weights)
    found = [minimize(published_objective, s, args, method="Nelder-Mead", options={"maxfev": 200}) for s in STARTS]
    best = np.inf
    for start in sorted(found, key=lambda r: r.fun)[:2]:
        x, before = start.x, np.inf
        for _ in range(20):
            simplex = x + np.vstack([np.zeros(3), np.diag([0.05, 0.01, 0.01])])
            options = {"xatol": 1e-10, "fatol": 1e-14, "maxfev": 2000, "initial_simplex": simplex}
            again = minimize(published_objective, x, args, method="Nelder-Mead", options=options)
            x, before, done = again.x, again.fun, before - again.fun < 1e-11
            if done:
                break
        best = min(best, before)
    return best


@pytest.mark.parametrize("domain", [1, 6])
def test_real_curves_are_fitted_as_well_as_by_brute_force(domain):
    samples, losses, weights = (a if a.ndim == 1 else a[[domain]] for a in real_curves())
    fit = fit_laws(samples, losses, weights, bounds=LawBounds.official())
    assert fit.objective[0] <= brute_force(samples, losses[0], weights[0]) + 1e-8
    laws = fit.laws
    theta = laws.log_beta[0], laws.log_eps[0], laws.alpha[0]
    assert fit.objective[0] == pytest.approx(published_objective(theta, samples, losses[0], weights[0]), abs=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize(("points", "noise"), [(30, 0.02), (51, 0.005), (300, 0.03)])
def test_made_curves_are_fitted_as_well_as_by_brute_force(points, noise):
    samples, losses = made_curves(points, noise, seed=points)
    fit = fit_laws(samples, losses, bounds=LawBounds.official())
    for k in (0, 2):
        assert fit.objective[k] <= brute_force(samples, losses[k], np.ones(points)) + 1e-8


@pytest.mark.parametrize("bounds", ["paper", "official", "scale_free"])
def test_a_law_without_noise_is_found(bounds):
    samples, losses = made_curves(noise=0)
    losses = losses[:2]
    given = (samples, losses) if bounds == "scale_free" else ()
    fit = fit_laws(samples, losses, bounds=getattr(LawBounds, bounds)(*given))
    np.testing.assert_allclose(fit.laws.alpha, [0.3, 0.45], atol=2e-3)
    np.testing.assert_allclose(np.exp(fit.laws.log_eps), [2.4, 1.8], atol=3e-3)
    np.testing.assert_allclose(fit.drift, 0, atol=1e-4)
    assert not fit.bound.any()


def test_scale_free_bounds_do_not_depend_on_the_unit_of_samples_or_of_loss():
    samples, losses, weights = real_curves()

    def slopes(unit, scale):
        bounds = LawBounds.scale_free(samples * unit, losses * scale)
        fit = fit_laws(samples * unit, losses * scale, weights, bounds=bounds)
        return fit.laws.alpha, fit.laws.speed(samples[-1] * unit) * unit / scale

    for ours, theirs in zip(slopes(1.0, 1.0), slopes(1e6, 0.01), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_published_bounds_bind_where_the_data_do_not_ask_for_it():
    samples, losses, weights = real_curves()
    maths = [REAL["domains"].index("maths")]
    losses, weights = losses[maths], weights[maths]
    paper = fit_laws(samples, losses, weights, bounds=LawBounds.paper())
    free = fit_laws(samples, losses, weights, bounds=LawBounds.scale_free(samples, losses))
    assert paper.bound.all()
    assert not free.bound.any()
    assert abs(free.drift[0]) < 0.01 < 0.05 < abs(paper.drift[0])


def test_hard_bounds_hold():
    samples, losses, weights = real_curves()
    laws = fit_laws(samples, losses, weights, bounds=LawBounds.paper()).laws
    assert (laws.log_beta <= 6.5).all()
    assert (laws.log_eps >= 0.5).all()
    assert ((laws.alpha >= 0.001) & (laws.alpha <= 0.8)).all()


def test_points_of_weight_0_do_not_count():
    samples, losses = made_curves()
    weights = np.ones_like(losses)
    weights[1, ::3] = 0
    spoilt = np.where(weights > 0, losses, np.nan)
    fit = fit_laws(samples, spoilt, weights, bounds=LawBounds.official())
    kept = weights[1] > 0
    alone = fit_laws(samples[kept], losses[[1]][:, kept], bounds=LawBounds.official())
    assert fit.objective[1] == pytest.approx(alone.objective[0], abs=1e-8)


def test_rising_losses_have_a_law_with_nothing_left_to_learn():
    samples, losses = made_curves()
    rising = losses[:, ::-1]
    laws = fit_laws(samples, rising, bounds=LawBounds.scale_free(samples, rising)).laws
    falling = fit_laws(samples, losses, bounds=LawBounds.scale_free(samples, losses)).laws
    assert laws.known.all()
    assert (laws.speed(samples[-1]) < 0.02 * falling.speed(samples[-1])).all()


def test_a_warm_start_is_never_worse():
    samples, losses, weights = real_curves()
    cold = fit_laws(samples, losses, weights, bounds=LawBounds.official())
    nowhere = DomainLaws.none(7).updated(cold.laws, np.arange(7) % 2 == 0)
    for laws in (cold.laws, nowhere):
        warm = fit_laws(samples, losses, weights, bounds=LawBounds.official(), warm=laws)
        assert (warm.objective <= cold.objective + 1e-12).all()


def test_speed_is_the_slope_of_the_loss():
    laws = DomainLaws(np.array([3.0, 4.0]), np.array([0.5, 1.0]), np.array([0.2, 0.5]))
    n, step = 1e4, 1.0
    slope = (laws.loss(n + step) - laws.loss(n - step)) / (2 * step)
    np.testing.assert_allclose(laws.speed(n), -slope, rtol=1e-6)
    assert laws.loss(np.array([1e3, 1e4, 1e5])).shape == (3, 2)


def test_laws_survive_json():
    laws = DomainLaws(np.array([3.0, np.nan]), np.array([0.1, np.nan]), np.array([1 / 3, np.nan]))
    again = DomainLaws.from_dict(json.loads(json.dumps(laws.to_dict())))
    for name in ("log_beta", "log_eps", "alpha"):
        np.testing.assert_array_equal(getattr(again, name), getattr(laws, name))
    assert again.known.tolist() == [True, False]
