"""The schedule-aware law: its areas against the paper's sums, its fit against known laws and brute force."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from mixopt.laws.ado_fit import HUBER, fit_laws
from mixopt.laws.annealing import AnnealingLaws, RateSchedule, laws_from_dict, no_laws
from mixopt.laws.annealing_fit import fit_annealing
from mixopt.laws.domain_law import DomainLaws
from mixopt.laws.huber_newton import LawBounds

REAL = json.loads((Path(__file__).parents[1] / "golden" / "loss_curves.json").read_text())
STEPS = 1500  # of that run
SHAPES = ("cosine", "linear")


def schedule(shape="cosine", total=24_000.0, warmup=0.1, final=0.1, memory=1 / 60) -> RateSchedule:
    return RateSchedule(total=total, shape=shape, warmup=warmup, final=final, memory=memory)


def real_curves(until=1.0):
    """n (T,) and losses (7, T) of a real run under a cosine, its very first points left out."""
    losses = np.array(REAL["loss"])
    points = REAL["samples_per_step"] * REAL["steps_per_point"] * (np.arange(losses.shape[1]) + 0.5)
    seen = slice(3, int(until * losses.shape[1]))
    return points[seen], losses[:, seen]


def made_laws(rate, alpha=(0.3, 0.45, 0.6), drop=(0.05, 0.1, 0.0)) -> AnnealingLaws:
    """Laws whose reducible loss is about 1 early in the run; `drop` is what annealing takes off in all."""
    exponents = np.array(alpha)
    unit = np.log(rate.forward(0.1 * rate.total))
    forward = DomainLaws(exponents * unit, np.log([2.0, 1.5, 2.5]), exponents)
    return AnnealingLaws(forward, np.array(drop) / rate.annealing(rate.total), rate)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("warmup", [0.0, 0.05])
def test_areas_are_the_sums_of_tissue_et_al(shape, warmup):
    """S₁ = Σ η_i, S₂ = Σ m_i with m_i = λ·m_(i−1) + η_(i−1) − η_i, in steps, the peak being 1."""
    steps, decay = 20_000, 0.999
    rate = schedule(shape, total=steps, warmup=warmup, final=0.05, memory=1 / (1 - decay) / steps)
    i = np.arange(1, steps + 1)
    progress = np.clip(i / steps - warmup, 0, None) / (1 - warmup)
    fall = progress if shape == "linear" else (1 - np.cos(np.pi * progress)) / 2
    eta = 1 - 0.95 * fall
    momentum, area, areas = 0.0, 0.0, []
    for drop in -np.diff(eta, prepend=1.0):
        momentum = decay * momentum + drop
        area += momentum
        areas.append(area)
    np.testing.assert_allclose(rate.annealing(i), areas, atol=2e-3 * areas[-1])
    trained = np.where(i <= warmup * steps, i / max(warmup * steps, 1), eta)
    np.testing.assert_allclose(rate.rate(i), trained, atol=1e-9)
    np.testing.assert_allclose(rate.forward(i), np.cumsum(trained), rtol=1e-3, atol=2)


def test_a_constant_rate_makes_it_a_power_law():
    rate = schedule(warmup=0.0, final=1.0, total=1000.0)
    n = np.linspace(1, 1000, 50)
    np.testing.assert_allclose(rate.forward(n), n)
    np.testing.assert_array_equal(rate.annealing(n), 0)
    losses = 2 + 3 * n ** -np.array([[0.3], [0.5]])
    power = fit_laws(n, losses, bounds=LawBounds.scale_free(n, losses))
    aware = fit_annealing(n, losses, schedule=rate)
    np.testing.assert_allclose(aware.laws.loss(n), power.laws.loss(n), rtol=1e-5)


def test_beyond_the_end_it_stays_as_it_is_there():
    rate = schedule()
    for value in (rate.rate, rate.forward, rate.annealing):
        assert value(2 * rate.total) == value(rate.total)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_law_without_noise_is_found(shape):
    rate = schedule(shape)
    laws, n = made_laws(rate), np.linspace(0.02, 1, 200) * rate.total
    fit = fit_annealing(n, laws.loss(n).T, schedule=rate)
    np.testing.assert_allclose(fit.laws.forward.alpha, laws.forward.alpha, atol=1e-3)
    np.testing.assert_allclose(fit.laws.forward.log_eps, laws.forward.log_eps, atol=1e-3)
    np.testing.assert_allclose(fit.laws.annealing, laws.annealing, atol=1e-3 * laws.annealing.max())
    np.testing.assert_allclose(fit.drift, 0, atol=1e-5)
    assert not fit.bound.any()


@settings(max_examples=15, deadline=None)
@given(
    alpha=st.floats(0.15, 0.8), floor=st.floats(0.5, 3.0), drop=st.floats(0.0, 0.08), warmup=st.floats(0.0, 0.2),
    final=st.floats(0.0, 0.3), shape=st.sampled_from(SHAPES), unit=st.sampled_from([1.0, 1e-3, 1e6]),
)  # fmt: skip
def test_the_end_is_forecast_from_a_curve_without_noise(alpha, floor, drop, warmup, final, shape, unit):
    rate = schedule(shape, total=unit, warmup=warmup, final=final, memory=0.05)
    forward = DomainLaws(*np.array([[alpha * np.log(0.1 * unit)], [np.log(floor)], [alpha]]))
    laws = AnnealingLaws(forward, np.array([drop * floor]) / rate.annealing(unit), rate)
    n = np.linspace(0.02, 0.8, 150) * unit
    fit = fit_annealing(n, laws.loss(n).T, schedule=rate)
    assert fit.laws.loss(unit)[0] == pytest.approx(laws.loss(unit)[0], rel=5e-3)


def scipy_best(n, losses, rate):
    """Least objective that scipy's trust region finds from eight starts, under the same bounds."""
    amount, lowest = rate.forward(n), losses.min()
    x, s = np.log(amount / amount[-1]), rate.annealing(n) / rate.annealing(rate.total)
    low = np.array([1e-4 * lowest, 0.05 * lowest, 1e-3, 0.0])
    high = np.array([losses.max(), losses.max(), 1.5, 0.1 * lowest])

    def residuals(theta):
        a, e, alpha, c = theta
        return np.log(np.maximum(e + a * np.exp(-alpha * x) - c * s, 1e-9)) - np.log(losses)

    best = np.inf
    for alpha in (0.05, 0.2, 0.5, 1.0):
        for share in (0.1, 0.9):
            start = np.clip([0.4 * lowest, 0.6 * lowest, alpha, share * high[3]], low, high)
            found = least_squares(
                residuals, start, bounds=(low, high), loss="huber", f_scale=HUBER, x_scale=0.1 * (high - low),
                ftol=1e-13, xtol=1e-13, gtol=1e-13, max_nfev=200,
            )  # fmt: skip
            best = min(best, found.cost)
    return best


@pytest.mark.parametrize(("until", "domain"), [(0.2, 6), (0.5, 1), (1.0, 4)])
def test_real_curves_are_fitted_as_well_as_by_scipy(until, domain):
    n, losses = real_curves(until)
    fit = fit_annealing(n, losses[[domain]], schedule=schedule())
    assert fit.objective[0] <= scipy_best(n, losses[domain], schedule()) + 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_noisy_curves_are_fitted_as_well_as_by_scipy(shape):
    rate = schedule(shape)
    n = np.linspace(0.02, 0.7, 60) * rate.total
    losses = made_laws(rate).loss(n).T * np.exp(0.01 * np.random.default_rng(3).standard_normal((3, 60)))
    fit = fit_annealing(n, losses, schedule=rate)
    for k in range(3):
        assert fit.objective[k] <= scipy_best(n, losses[k], rate) + 1e-10


def test_long_curves_are_screened_and_found():
    rate = schedule(total=1e6)
    n = np.linspace(0.02, 1, 1500) * rate.total
    losses = made_laws(rate).loss(n).T * np.exp(0.005 * np.random.default_rng(0).standard_normal((3, 1500)))
    fit = fit_annealing(n, losses, schedule=rate)
    np.testing.assert_allclose(fit.laws.loss(n), made_laws(rate).loss(n), rtol=3e-3)
    assert fit.objective[1] <= scipy_best(n, losses[1], rate) + 1e-9


def test_parameters_are_not_negative_and_annealing_takes_off_a_tenth_at_most():
    n, losses = real_curves(1 / 6)
    for curves in (losses, losses[:, ::-1]):  # falling, rising
        laws = fit_annealing(n, curves, schedule=schedule()).laws
        assert (laws.annealing >= 0).all()
        assert (laws.annealing * schedule().annealing(24_000) <= 0.1 * curves.min(axis=1) + 1e-12).all()
        assert (laws.forward.alpha > 0).all()
        assert laws.known.all()
        assert (laws.loss(schedule().total) > 0).all()


def test_a_real_runs_end_is_forecast_better_with_the_schedule_known():
    """The curves on which the cap on annealing was chosen, so a check and no evidence."""
    whole, losses = real_curves()
    final = losses[:, -15:].mean(axis=1)
    n, seen = real_curves(0.5)
    power = fit_laws(n, seen, bounds=LawBounds.scale_free(n, seen)).laws.loss(whole[-15:]).mean(axis=0)
    aware = fit_annealing(n, seen, schedule=schedule()).laws.loss(whole[-15:]).mean(axis=0)
    assert np.median(np.abs(aware / final - 1)) < 0.7 * np.median(np.abs(power / final - 1))


def test_points_of_weight_0_do_not_count():
    n, losses = real_curves()
    weights = np.ones_like(losses)
    weights[1, ::3] = 0
    fit = fit_annealing(n, np.where(weights > 0, losses, np.nan), weights, schedule=schedule())
    kept = weights[1] > 0
    alone = fit_annealing(n[kept], losses[[1]][:, kept], schedule=schedule())
    assert fit.objective[1] == pytest.approx(alone.objective[0], rel=1e-3)


def test_a_warm_start_is_never_worse():
    n, losses = real_curves()
    cold = fit_annealing(n, losses, schedule=schedule())
    nowhere = AnnealingLaws.none(7, schedule()).updated(cold.laws, np.arange(7) % 2 == 0)
    for laws in (cold.laws, nowhere):
        assert (fit_annealing(n, losses, schedule=schedule(), warm=laws).objective <= cold.objective + 1e-12).all()


def test_speed_is_the_slope_without_the_annealing():
    rate = schedule()
    laws, step = made_laws(rate), 1.0
    forward = AnnealingLaws(laws.forward, np.zeros(3), rate)
    for n in (1500.0, 12_000.0, 20_000.0):  # in the warm-up, and in the fall
        slope = (forward.loss(n + step) - forward.loss(n - step)) / (2 * step)
        np.testing.assert_allclose(laws.speed(n), -slope, rtol=1e-4)
    assert laws.speed(np.array([1e3, 1e4])).shape == laws.loss(np.array([1e3, 1e4])).shape == (2, 3)


def test_some_laws_can_be_picked_and_left_out():
    laws = made_laws(schedule())
    picked = laws.some(np.array([2, -1, 0]))
    assert picked.known.tolist() == [True, False, True]
    np.testing.assert_array_equal(picked.loss(5000.0)[[0, 2]], laws.loss(5000.0)[[2, 0]])


def test_laws_survive_json():
    rate = schedule()
    laws = made_laws(rate).some(np.array([0, -1, 2]))
    again = laws_from_dict(json.loads(json.dumps(laws.to_dict())), rate)
    np.testing.assert_array_equal(again.loss(123.0), laws.loss(123.0))
    assert isinstance(laws_from_dict(DomainLaws.none(2).to_dict(), None), DomainLaws)
    assert not no_laws(3, rate).known.any()
