"""The joint laws' fits: closed forms recovered, gradients, outliers, batches, units."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from mixopt.laws.joint import Additive, AdditivePrior, PerDomain, evaluate, fit_law
from tests.methods.world import TransferWorld

WORLD = TransferWorld(only=1)
OWN = np.array([0, 1, 2, -1])
TOKENS = WORLD.design(300_000, 900_000, 2_700_000)
FAR = 8 * WORLD.design(2_700_000)
FORMS = {"additive": Additive.of(TOKENS), "per_domain": PerDomain.of(TOKENS, OWN)}

A, B, C = np.array([0.4, 0.2, 0.6]), np.array([0.5, 1.0, 0.3]), np.array([0.8, 0.4, 1.2])


def additive_world(tokens):
    return 0.6 + (A * (B + tokens / 300_000) ** -C).sum(axis=-1)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_derivatives_are_those_of_finite_differences(form):
    rng = np.random.default_rng(0)
    theta = form.centre[:1] + 0.5 * rng.standard_normal(form.centre[:1].shape)
    exact = form.jacobian(theta, form.curve(theta)).values[0]
    numeric = approx_fprime(theta[0], lambda t: form.curve(t[None])[0], 1e-7)
    np.testing.assert_allclose(exact, np.asarray(numeric), rtol=1e-4, atol=1e-6)


def test_the_law_by_domain_is_recovered_and_holds_at_eight_times_the_largest_scale():
    law = fit_law(FORMS["per_domain"], WORLD.losses(TOKENS)[None], np.full(4, 1e-6))
    np.testing.assert_allclose(evaluate(FORMS["per_domain"], law, FAR)[0], WORLD.losses(FAR), rtol=1e-3)
    np.testing.assert_allclose(np.exp(law.theta[0, :3, 1:]), np.array(WORLD.transfer)[:3], rtol=0.05, atol=2e-3)
    # Without tokens of its own, a domain's transfer is known up to a factor.
    np.testing.assert_allclose(
        np.exp(law.theta[0, 3, 1:] - law.theta[0, 3, 2]), np.array(WORLD.transfer[3]) / 1.0, rtol=0.02
    )
    np.testing.assert_allclose(law.floor[0], WORLD.floor, atol=0.02)


def test_the_additive_law_is_recovered_and_holds_at_eight_times_the_largest_scale():
    form = FORMS["additive"]
    law = fit_law(form, additive_world(TOKENS)[None, :, None], np.full(1, 1e-6))
    np.testing.assert_allclose(evaluate(form, law, FAR)[0, :, 0], additive_world(FAR), rtol=1e-3)


@pytest.mark.parametrize("name", FORMS)
def test_no_local_search_from_elsewhere_finds_a_better_fit(name):
    """The penalised cost, floor and amplitude included, against scipy's L-BFGS from the truth and from the fit."""
    form, rng = FORMS[name], np.random.default_rng(1)
    exact = additive_world(TOKENS)[:, None] if name == "additive" else WORLD.losses(TOKENS)[:, :1]
    sd, one = 0.01, form.centre.shape[1]
    y = exact + sd * rng.standard_normal(exact.shape)
    form = form if name == "additive" else PerDomain.of(TOKENS, OWN[:1])
    law = fit_law(form, y[None], np.full(1, sd))
    fixed = np.equal(*form.box)[0]
    root = np.linalg.inv(form.prior_covariance[0] + np.diag(fixed.astype(float)))

    def cost(point):
        theta = np.where(fixed, 0.0, point[:one])
        curve = form.curve(theta[None])[0]
        slopes = point[one + 1] * form.jacobian(theta[None], form.curve(theta[None])).values[0]
        off = (y[:, 0] - point[one] - point[one + 1] * curve) / sd
        misfit = np.where(np.abs(off) <= 1.345, off**2, 2 * 1.345 * np.abs(off) - 1.345**2).sum()
        pull = np.where(fixed, 0.0, theta - form.centre[0])
        push = -2 * np.clip(off, -1.345, 1.345) / sd
        gradient = [push @ slopes + 2 * root @ pull, [push.sum(), push @ curve]]
        return misfit + pull @ root @ pull, np.where(np.append(fixed, [False] * 2), 0.0, np.concatenate(gradient))

    found = np.concatenate([law.theta[0, 0], law.floor[0], law.amplitude[0]])
    low, high = (np.append(end[0], ends) for end, ends in zip(form.box, ([0, 0], [np.inf, np.inf]), strict=True))
    if name == "additive":
        low[-2:], high[-1] = (-np.inf, 1), 1
    for _ in range(2):
        start = found + 0.3 * rng.standard_normal(found.size)
        start = np.clip(start, low, high)
        better = minimize(
            cost, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}, bounds=list(zip(low, high, strict=True))
        )
        assert np.isfinite(better.fun)
        assert cost(found)[0] <= better.fun * (1 + 1e-6)


def test_units_of_tokens_change_nothing():
    losses = WORLD.losses(TOKENS)[None]
    for make in (lambda t: PerDomain.of(t, OWN), Additive.of):
        one, other = make(TOKENS), make(TOKENS / 1000)
        y = losses if one.targets == 4 else losses.mean(axis=2, keepdims=True)
        sd = np.full(one.targets, 0.01)
        np.testing.assert_allclose(
            evaluate(other, fit_law(other, y, sd), FAR / 1000), evaluate(one, fit_law(one, y, sd), FAR), rtol=1e-6
        )


def test_one_run_that_failed_hardly_moves_the_law():
    form, losses = FORMS["per_domain"], WORLD.losses(TOKENS)
    broken = losses.copy()
    broken[4] += 1.0
    law = fit_law(form, broken[None], np.full(4, 0.005))
    np.testing.assert_allclose(evaluate(form, law, TOKENS)[0], losses, atol=0.05)
    assert law.weight[0, 4].max() < 0.05
    assert law.weight[0].min(axis=1).argmin() == 4


def test_a_run_of_infinite_deviation_is_left_out():
    form, losses = FORMS["per_domain"], WORLD.losses(TOKENS)
    broken = losses.copy()
    broken[4] = 50.0
    sd = np.full(losses.shape, 0.01)
    sd[4] = np.inf
    rest = np.arange(len(TOKENS)) != 4
    law = fit_law(form, broken[None], sd)
    alone = PerDomain(form.x[rest], form.unit, OWN)
    expected = fit_law(alone, losses[None, rest], np.full(4, 0.01))
    np.testing.assert_allclose(evaluate(form, law, FAR), evaluate(alone, expected, FAR), rtol=1e-5)


def test_a_batch_gives_what_its_replicates_give_alone():
    form, rng = FORMS["per_domain"], np.random.default_rng(2)
    y = WORLD.losses(TOKENS) + 0.01 * rng.standard_normal((3, *WORLD.losses(TOKENS).shape))
    batch = evaluate(form, fit_law(form, y, np.full(4, 0.01)), FAR)
    for row in range(3):
        alone = fit_law(form, y[row : row + 1], np.full(4, 0.01))
        np.testing.assert_allclose(batch[row], evaluate(form, alone, FAR)[0], rtol=1e-5)


def test_losses_that_rise_with_tokens_get_a_flat_law():
    rising = np.log(TOKENS.sum(axis=1))[:, None]
    law = fit_law(PerDomain.of(TOKENS, OWN[:1]), rising[None], np.full(1, 0.01))
    assert law.amplitude[0, 0] == 0
    assert law.floor[0, 0] == pytest.approx(np.median(rising), abs=1.5)


def test_the_floor_of_a_loss_is_not_below_zero():
    y = np.sqrt(1e5 / TOKENS[:, :1])  # a pure power
    law = fit_law(PerDomain.of(TOKENS, OWN[:1]), y[None] - 0.1, np.full(1, 1e-3))
    assert law.floor[0, 0] == 0


def test_without_data_the_law_is_the_prior():
    form = FORMS["additive"]
    law = fit_law(form, additive_world(TOKENS)[None, :, None], np.full(1, 1e6))
    np.testing.assert_allclose(law.theta[0], form.centre, atol=1e-3)
    assert law.used[0, 0] == pytest.approx(1, abs=1e-3)  # the floor
    assert np.exp(law.theta[0, 0, 0]) == pytest.approx(AdditivePrior().amplitude[0], rel=1e-3)


def test_exact_data_use_every_parameter():
    law = fit_law(FORMS["additive"], additive_world(TOKENS)[None, :, None], np.full(1, 1e-9))
    assert 8 < law.used[0, 0] <= 10
