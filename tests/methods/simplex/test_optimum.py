"""Minima of surfaces: convex ones are exact, others are searched; the pull does not know the objective's units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixopt.history import History
from mixopt.methods.simplex.optimum import minimise, search
from mixopt.methods.swarm.pareto import non_dominated, pareto_front
from mixopt.methods.swarm.predicted_objective import Pull, Surface
from mixopt.methods.swarm.regressors.base import Fitted, Replicates
from mixopt.objective import MeanLoss, MeanPerplexity, Objective, WorstLoss
from mixopt.solve import Bounds

DOMAINS = ("a", "b", "c", "d")
SLOPES = -np.array([[3.0, 0.2, 0.1, 0.0], [0.3, 2.0, 0.0, 0.1], [0.1, 0.0, 2.5, 0.4], [0.0, 0.1, 0.2, 1.5]])
FLOOR = np.array([1.0, 1.4, 0.8, 1.2])
CAPPED = Bounds(DOMAINS, np.full(4, 0.05), np.array([0.3, 0.9, 0.9, 0.4]))
EVEN = np.full(4, 0.25)


class Exponential(Fitted):
    """L = floor + exp(slopes · w), convex."""

    rises = 1.0

    def predict(self, weights):
        return FLOOR + self.rises * np.exp(weights @ SLOPES.T)

    def jacobian(self, weights):
        return self.rises * np.exp(weights @ SLOPES.T)[..., None] * SLOPES

    def convex(self, weights, losses):
        import cvxpy as cp

        return FLOOR[losses] + cp.exp(SLOPES[losses] @ weights)

    def describe(self):
        return {}

    def replicates(self, count, seed):
        raise AssertionError("not asked for here")


class Searched(Exponential):
    """The same, of which nobody knows that it is convex."""

    def convex(self, weights, losses):
        return None


class Trees(Searched):
    """The same in steps, without derivatives."""

    def predict(self, weights):
        return np.round(super().predict(weights), 2)

    def jacobian(self, weights):
        return None


class Bumps(Searched):
    """Two valleys for the first loss; the deeper one is near b."""

    def predict(self, weights):
        near = [np.exp(-20 * ((weights - centre) ** 2).sum(axis=-1)) for centre in np.eye(4)[:2] * 0.7 + 0.075]
        return np.stack([3 - near[0] - 1.2 * near[1]], axis=-1)

    def jacobian(self, weights):
        step = 1e-6
        moved = [self.predict(weights + step * unit) - self.predict(weights - step * unit) for unit in np.eye(4)]
        return np.stack(moved, axis=-1) / (2 * step)


def history(losses: int = 4) -> History:
    weights = np.random.default_rng(0).dirichlet(np.ones(4), 30)
    zeros = np.zeros(30, dtype=np.int64)
    names = tuple(map(str, range(30)))
    return History(names, DOMAINS, DOMAINS[:losses], weights * 1e6, np.ones((30, losses)), zeros, zeros)


def surface(fitted: Fitted, objective: Objective, pull: Pull | None = None, losses: int = 4) -> Surface:
    return Surface.of(fitted, objective, history(losses), DOMAINS, pull)


def brute(function: Surface, bounds: Bounds) -> float:
    """The least value on a fine lattice."""
    steps = np.linspace(0, 1, 41)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    grid = np.column_stack([grid, 1 - grid.sum(axis=1)])
    inside = ((grid >= bounds.floors - 1e-9) & (grid <= bounds.caps + 1e-9)).all(axis=1)
    return float(function.value(grid[inside]).min())


@pytest.mark.parametrize("objective", [MeanLoss(), MeanPerplexity(), WorstLoss()])
def test_a_convex_programme_and_a_search_agree_and_beat_brute_force(objective: Objective):
    exact = minimise(surface(Exponential(), objective), CAPPED, EVEN)
    searched = minimise(surface(Searched(), objective), CAPPED, EVEN)
    assert exact.convex
    assert not searched.convex
    assert exact.value <= brute(surface(Exponential(), objective), CAPPED) + 1e-9
    assert searched.value == pytest.approx(exact.value, abs=2e-4)
    for found in (exact, searched):
        assert found.weights.sum() == pytest.approx(1)
        assert (found.weights >= CAPPED.floors - 1e-9).all()
        assert (found.weights <= CAPPED.caps + 1e-9).all()
    stationary = minimise(surface(Exponential(), objective), CAPPED, EVEN).weights
    np.testing.assert_array_equal(stationary, exact.weights)


def test_the_deeper_of_two_valleys_is_found():
    found = minimise(surface(Bumps(), MeanLoss(), losses=1), Bounds.free(DOMAINS), EVEN)
    assert found.weights[1] > 0.6


def test_trees_give_the_mean_of_their_best_draws():
    exact = minimise(surface(Exponential(), MeanLoss()), CAPPED, EVEN)
    found = minimise(surface(Trees(), MeanLoss()), CAPPED, EVEN)
    assert not found.convex
    # Steps of 0.01 hide what is nearer to the optimum.
    assert float(surface(Exponential(), MeanLoss()).value(found.weights[None])[0, 0]) < exact.value + 0.01


def test_a_pull_is_the_same_in_any_units_of_the_objective():
    def optimum(scale: float, strength: float = 0.5) -> np.ndarray:
        function = surface(Exponential(), MeanLoss(), Pull(strength, EVEN, scale * 0.1))
        return minimise(replace(function, share=function.share * scale), Bounds.free(DOMAINS), EVEN).weights

    np.testing.assert_allclose(optimum(1000.0), optimum(1.0), atol=1e-4)
    free = optimum(1.0, 0.0)
    assert np.abs(optimum(1.0) - EVEN).sum() < np.abs(free - EVEN).sum()
    np.testing.assert_allclose(optimum(1.0, 1e4), EVEN, atol=1e-3)


def test_slopes_are_derivatives():
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.full(4, 3.0), 5)[None]
    for objective in (MeanLoss(), MeanPerplexity(), WorstLoss()):
        function = surface(Exponential(), objective, Pull(0.3, EVEN, 1.0)).smoothed(30.0)
        step = 1e-6
        expected = [
            (function.value(weights + step * unit) - function.value(weights - step * unit)) / (2 * step)
            for unit in np.eye(4)
        ]
        np.testing.assert_allclose(function.slope(weights), np.stack(expected, axis=-1), rtol=1e-5)


def test_replicates_are_searched_each_for_itself():
    class Shifted(Replicates):
        """Bowls around different mixtures."""

        centres = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]])

        def __len__(self):
            return 3

        def predict(self, weights):
            each = np.broadcast_to(weights, (3, *weights.shape[-2:]))
            return 1 + ((each - self.centres[:, None]) ** 2).sum(axis=-1, keepdims=True)

        def jacobian(self, weights):
            return 2 * (weights - self.centres[:, None])[:, :, None]

    function = surface(Exponential(), MeanLoss(), losses=1).over(Shifted())
    found = search(function, Bounds.free(DOMAINS), EVEN, EVEN[None], draws=64)
    np.testing.assert_allclose(found, Shifted.centres, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("fitted", [Exponential(), Searched()])
def test_a_front_trades_one_objective_for_the_other(fitted: Fitted):
    one, other = surface(fitted, MeanLoss()), surface(fitted, WorstLoss())
    front = pareto_front(one, other, CAPPED, EVEN)
    assert front.convex == (type(fitted) is Exponential)
    assert len(front.values) >= 4
    assert (np.diff(front.values[:, 0]) > 0).all()
    assert (np.diff(front.values[:, 1]) < 0).all()
    assert front.values[0, 0] == pytest.approx(
        minimise(surface(Exponential(), MeanLoss()), CAPPED, EVEN).value, abs=1e-3
    )
    drawn = np.random.default_rng(0).dirichlet(np.ones(4), 3000)
    drawn = drawn[((drawn >= CAPPED.floors) & (drawn <= CAPPED.caps)).all(axis=1)]
    values = np.stack([one.value(drawn)[0], other.value(drawn)[0]], axis=1)
    # No drawn mixture is better in both than every point of the front says is possible.
    slack = 1e-3 if front.convex else 0.02
    beaten = (values[:, None] < front.values[None] - slack).all(axis=2)
    assert not beaten.any()


def test_non_dominated_rows_are_those_that_nothing_beats():
    values = np.array([[1, 5], [2, 2], [3, 3], [5, 1], [1, 6], [2, 2]])
    assert non_dominated(values).tolist() == [0, 1, 3, 5]
