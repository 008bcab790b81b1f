"""Joint laws of histories: known worlds recovered, noise, cross-validation, replicates, bad histories."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.optimize import minimize

from mixopt.errors import ConfigError
from mixopt.methods.joint.law_of_runs import JointFit
from mixopt.mixture import Mixture
from mixopt.objective import MeanLoss, MeanPerplexity, WeightedLoss, WorstLoss
from mixopt.solve import Bounds
from tests.methods.world import TransferWorld, World

WORLD = TransferWorld()
BOUNDS = Bounds(WORLD.domains, np.full(3, 0.05), np.ones(3))
SCALES = (300_000.0, 900_000.0, 2_700_000.0)
TARGET = 8 * SCALES[-1]


@cache
def exact(world: TransferWorld = WORLD, objective=None, **settings) -> JointFit:
    history = world.train(world.design(*SCALES))
    return JointFit.of(history, objective or MeanPerplexity(), noise=1e-6, **settings)


def true_optimum(world: TransferWorld, objective, total: float) -> np.ndarray:
    """By scipy, from the world's own losses."""

    def cost(weights):
        return float(objective.value(world.losses(weights * total), world.eval_domains, world.domains))

    starts = np.random.default_rng(0).dirichlet(np.ones(3), 5)
    sums = {"type": "eq", "fun": lambda weights: weights.sum() - 1}
    tries = [
        minimize(cost, start, method="SLSQP", bounds=[(0.05, 1)] * 3, constraints=sums, options={"ftol": 1e-13})
        for start in starts
    ]
    return min(tries, key=lambda found: found.fun).x


@pytest.mark.slow
@pytest.mark.parametrize("objective", [MeanPerplexity(), MeanLoss()], ids=lambda o: o.name)
def test_a_known_world_is_predicted_and_solved_at_eight_times_its_largest_scale(objective):
    fit = exact(objective=objective)
    assert fit.form == "per_domain"
    tokens = TARGET * np.random.default_rng(0).dirichlet(np.ones(3), 20)
    true = objective.value(WORLD.losses(tokens), WORLD.eval_domains, WORLD.domains)
    np.testing.assert_allclose(fit.predict(tokens), true, rtol=1e-3)
    np.testing.assert_allclose(fit.losses(tokens), WORLD.losses(tokens), rtol=1e-3)
    weights, value = fit.optimum(TARGET, BOUNDS)
    np.testing.assert_allclose(weights, true_optimum(WORLD, objective, TARGET), atol=1e-3)
    assert value == pytest.approx(float(fit.predict(weights * TARGET)))


def test_the_worst_domain_is_evened_out():
    world = replace(WORLD, floor=(2.0, 1.9, 2.4, 1.8))
    fit = exact(world, objective=WorstLoss())
    weights, value = fit.optimum(900_000, BOUNDS)
    losses = np.sort(world.losses(weights * 900_000))
    assert losses[-1] - losses[-2] < 2e-3
    others = np.random.default_rng(0).dirichlet(np.ones(3), 200) * 0.85 + 0.05
    assert world.losses(others * 900_000).max(axis=1).min() > value - 2e-3


def test_an_additive_world_is_recovered_by_the_additive_form():
    world = World(domains=("code", "web", "books"), a=(1.0, 0.6, 2.0), b=(1.2, 1.6, 1.0), tokens=900_000)
    history = replace_losses(world)
    fit = JointFit.of(history, MeanLoss(), form="additive", noise=1e-6)
    np.testing.assert_allclose(
        fit.predict(TARGET * np.eye(3) + 1e5), world.mean_loss(TARGET * np.eye(3) + 1e5), rtol=1e-3
    )
    weights, _ = fit.optimum(900_000, Bounds.free(world.domains))
    np.testing.assert_allclose(weights, world.best().array, atol=1e-3)
    with pytest.raises(ConfigError, match="form=per_domain"):
        fit.losses(history.tokens_seen)


def replace_losses(world: World):
    tokens = WORLD.design(*SCALES)
    losses = world.mean_loss(tokens)[:, None] + np.linspace(-0.4, 0.4, 3)
    return replace(WORLD.train(tokens), domains=world.domains, eval_domains=world.domains, losses=losses)


@pytest.mark.slow
def test_auto_takes_the_form_that_predicts_left_out_runs_better():
    assert exact().form == "per_domain"
    # Domain losses that all move with the total law: each depends on everything, in the additive way.
    fit = JointFit.of(
        replace_losses(World(domains=("a", "b", "c"), a=(1, 0.6, 2), b=(1.2, 1.6, 1))), MeanLoss(), noise=1e-4
    )
    errors = {form: checked.error for form, checked in fit.cross_validation.items()}
    assert fit.form == "additive"
    assert errors["additive"] < errors["per_domain"]
    assert "runs left out (per_domain:" in fit.words


@pytest.mark.slow
def test_the_order_of_runs_and_the_unit_of_tokens_change_nothing():
    world = replace(WORLD, noise=0.01)
    history = world.train(world.design(*SCALES[:2]), seeds=(0, 1))
    one = JointFit.of(history, MeanPerplexity())
    shuffled = history.select(np.random.default_rng(3).permutation(len(history)))
    other = JointFit.of(shuffled, MeanPerplexity())
    np.testing.assert_array_equal(other.optimum(TARGET, BOUNDS)[0], one.optimum(TARGET, BOUNDS)[0])
    np.testing.assert_array_equal(
        other.replicates(10).optima(TARGET, BOUNDS), one.replicates(10).optima(TARGET, BOUNDS)
    )
    thousands = JointFit.of(replace(history, tokens_seen=history.tokens_seen / 1000), MeanPerplexity())
    np.testing.assert_allclose(thousands.optimum(TARGET / 1000, BOUNDS)[0], one.optimum(TARGET, BOUNDS)[0], atol=1e-5)


@pytest.mark.slow
def test_a_shift_that_runs_of_a_seed_share_is_no_noise():
    world = replace(WORLD, seed_shift=0.3)
    plain = JointFit.of(WORLD.train(WORLD.design(*SCALES), seeds=(0, 1, 2)), MeanLoss())
    shifted = JointFit.of(world.train(world.design(*SCALES), seeds=(0, 1, 2)), MeanLoss())
    np.testing.assert_allclose(shifted.optimum(TARGET, BOUNDS)[0], plain.optimum(TARGET, BOUNDS)[0], atol=0.01)
    assert shifted.noise < 1e-3


def test_repeats_measure_the_noise():
    world = replace(WORLD, noise=0.02)
    fit = JointFit.of(world.train(world.design(*SCALES), seeds=tuple(range(6))), MeanLoss(), form="per_domain")
    assert fit.fit.noise.source == "repeats"
    np.testing.assert_allclose(np.sqrt(np.diag(fit.fit.noise.covariance)), 0.02, rtol=0.25)
    assert fit.fit.noise.freedom == 20 * 5


def test_residuals_are_the_noise_of_runs_that_are_not_repeated():
    world = replace(WORLD, noise=0.03)
    fit = JointFit.of(world.train(world.design(*SCALES)), MeanLoss(), form="per_domain", noise=0.001)
    assert fit.fit.noise.source == "residuals"
    np.testing.assert_allclose(np.sqrt(np.diag(fit.fit.noise.covariance)).mean(), 0.03, rtol=0.4)


def test_noise_is_at_least_what_is_assumed():
    fit = JointFit.of(WORLD.train(WORLD.design(*SCALES)), MeanPerplexity(), form="per_domain", noise=0.01)
    assert fit.fit.noise.source == "assumed"
    np.testing.assert_allclose(np.sqrt(np.diag(fit.fit.noise.covariance)), 0.01)


def test_cross_validation_predicts_runs_from_the_others():
    """By hand: leave a cell and its repeats out, fit again, predict it."""
    world = replace(WORLD, noise=0.01)
    history = world.train(world.design(), seeds=(0, 1))
    fit = JointFit.of(history, MeanPerplexity(), form="per_domain")
    cells = fit.fit.cells
    cell = 3
    rest = replace(history.select(np.abs(history.tokens_seen - cells.tokens[cell]).max(axis=1) > 1))
    alone = JointFit.of(rest, MeanPerplexity(), form="per_domain")
    assert fit.checked.predicted[cell] == pytest.approx(float(alone.predict(cells.tokens[cell])), rel=5e-3)
    off = np.array(fit.checked.predicted) / fit.fit.measured - 1
    assert fit.checked.error == pytest.approx(np.sqrt((off**2).mean()))


def test_the_largest_scale_is_predicted_from_the_others():
    fit = exact()
    ahead = fit.checked.largest_scale
    assert ahead.tokens == pytest.approx(2_700_000)
    assert ahead.error < 5e-3
    one_scale = JointFit.of(WORLD.train(WORLD.design()), MeanPerplexity(), form="per_domain")
    assert one_scale.checked.largest_scale is None


def test_misfit_grows_beyond_the_largest_scale():
    world = replace(WORLD, noise=0.02)
    fit = JointFit.of(world.train(world.design(*SCALES)), MeanPerplexity(), form="per_domain")
    ahead = fit.checked.largest_scale
    assert fit.misfit(1e6) == fit.checked.error
    assert fit.misfit(1e12) == pytest.approx(ahead.error * np.log(1e12 / ahead.tokens) / ahead.reach)
    further = np.log(1e12 / ahead.tokens) / ahead.reach
    assert fit.misfit(1e12, differences=True) == pytest.approx(ahead.error_of_differences * further)


@pytest.mark.slow
def test_a_domain_that_is_only_measured_counts_for_the_objective_that_names_it():
    world = replace(WORLD, only=1)
    asked = WeightedLoss(Mixture(("code", "docs", "maths", "news"), (0.0, 0.0, 0.0, 1.0)))
    fit = exact(world, objective=asked)
    assert fit.losses(world.design()).shape == (7, 4)
    weights, value = fit.optimum(TARGET, BOUNDS)
    np.testing.assert_allclose(weights, [0.05, 0.9, 0.05], atol=1e-6)  # `docs` helps `news` most
    assert value == pytest.approx(world.losses(weights * TARGET)[3], rel=2e-3)
    without = exact(world).optimum(TARGET, BOUNDS)[0]
    np.testing.assert_allclose(without, exact().optimum(TARGET, BOUNDS)[0], atol=2e-3)


@pytest.mark.slow
def test_another_objective_needs_no_other_fit():
    fit = exact()
    np.testing.assert_allclose(
        fit.under(MeanLoss()).optimum(TARGET, BOUNDS)[0],
        exact(objective=MeanLoss()).optimum(TARGET, BOUNDS)[0],
        atol=2e-3,
    )
    additive = exact(form="additive").under(MeanLoss())
    assert additive.form == "additive"
    assert float(additive.predict(WORLD.design()[0])) == pytest.approx(
        float(WORLD.losses(WORLD.design()[0]).mean()), rel=0.01
    )


def test_replicates_are_the_same_for_the_same_seed_and_spread_with_the_noise():
    history = WORLD.train(WORLD.design(*SCALES[:2]))
    quiet = JointFit.of(history, MeanPerplexity(), form="per_domain", noise=0.002).replicates(30)
    loud = JointFit.of(history, MeanPerplexity(), form="per_domain", noise=0.02).replicates(30)
    again = JointFit.of(history, MeanPerplexity(), form="per_domain", noise=0.002).replicates(30)
    np.testing.assert_array_equal(quiet.optima(TARGET, BOUNDS), again.optima(TARGET, BOUNDS))
    assert loud.optima(TARGET, BOUNDS).std(axis=0).max() > 3 * quiet.optima(TARGET, BOUNDS).std(axis=0).max()
    tokens = WORLD.design()[:2]
    assert quiet.predict(tokens).shape == (30, 2)
    optima = quiet.optima(TARGET, BOUNDS)
    own = quiet.predict_own(optima, TARGET)
    np.testing.assert_allclose(own, [quiet.predict(TARGET * w)[i] for i, w in enumerate(optima)])


def test_two_domains_and_one_scale_are_enough():
    tokens = np.array([[3, 3], [9, 3], [1, 3], [3, 9], [3, 1]]) * 1e5
    world = replace(WORLD, domains=("code", "docs"), transfer=((1.0, 0.3), (0.1, 1.0)), floor=(1.5, 2.0),
                    amplitude=(1.2, 2.0), exponent=(0.3, 0.5), only=-1)  # fmt: skip
    losses = np.array(world.floor) + np.array(world.amplitude) * (
        (tokens / 3e5) @ np.array(world.transfer).T
    ) ** -np.array(world.exponent)
    history = replace(
        WORLD.train(np.ones((5, 3))),
        domains=world.domains,
        eval_domains=world.domains,
        tokens_seen=tokens,
        losses=losses,
    )
    fit = JointFit.of(history, MeanLoss(), noise=1e-5)
    np.testing.assert_allclose(fit.predict(tokens), losses.mean(axis=1), rtol=1e-3)
    assert fit.optimum(6e5, Bounds.free(world.domains))[0].sum() == pytest.approx(1)


def test_losses_that_do_not_vary_give_a_flat_law_and_no_preference():
    history = WORLD.train(WORLD.design())
    flat = replace(history, losses=np.full_like(history.losses, 3.0))
    fit = JointFit.of(flat, MeanLoss())
    tokens = 1e6 * np.random.default_rng(0).dirichlet(np.ones(3), 10)
    np.testing.assert_allclose(fit.predict(tokens), 3.0, rtol=0.01)
    assert fit.checked.spearman is None
    assert fit.optimum(9e5, BOUNDS)[0].sum() == pytest.approx(1)


def test_the_description_has_every_run_and_domain():
    content = exact().describe()
    assert {run for cell in content.cells for run in cell.runs} == {f"run {i}" for i in range(21)}
    assert set(content.parameters) == set(WORLD.domains)


def test_unknown_forms_objectives_and_domains_are_refused():
    history = WORLD.train(WORLD.design())
    with pytest.raises(ConfigError, match="auto, additive, per_domain"):
        JointFit.of(history, MeanLoss(), form="linear")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="news"):
        JointFit.of(history, WeightedLoss(Mixture(("code", "news"), (0.5, 0.5))))
    with pytest.raises(ConfigError, match="domains code, docs, maths"):
        JointFit.of(history, MeanLoss()).optimum(9e5, Bounds.free("abc"))


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say():
    """95 % intervals of weights and of a prediction, over 30 noisy histories of two seeds at two scales."""
    world = replace(WORLD, noise=0.01)
    tokens = world.design(300_000, 1_200_000)
    target = 1_200_000
    truth = true_optimum(world, MeanPerplexity(), target)
    uniform = np.full(3, target / 3)
    value = float(np.exp(world.losses(uniform)).mean())
    inside, predicted, width = [], [], []
    clean = WORLD.train(tokens, seeds=(0, 1))
    for seed in range(30):
        noise = np.random.default_rng(seed).standard_normal(clean.losses.shape)
        fit = JointFit.of(replace(clean, losses=clean.losses + 0.01 * noise), MeanPerplexity(), form="per_domain")
        replicates = fit.replicates(200)
        low, high = np.quantile(replicates.optima(target, BOUNDS), [0.025, 0.975], axis=0)
        width.append(high - low)
        inside.append((truth >= low - 1e-6) & (truth <= high + 1e-6))
        low, high = np.quantile(replicates.predict(uniform), [0.025, 0.975])
        predicted.append(low <= value <= high)
    assert np.mean(inside) > 0.87
    assert np.mean(predicted) > 0.87
    assert np.mean(width) < 0.05
