"""Mixtures to choose from: within bounds, all over, and near good ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.methods.simplex.candidates import Rows, Simplex, abroad, near
from mixopt.methods.simplex.designs import DesignSettings
from mixopt.mixture import Mixture
from mixopt.solve import Bounds

NAMES = tuple("abcdefghijklmnopqrst")


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), size=st.integers(2, 20))
def test_they_are_mixtures_within_bounds(seed, size):
    rng = np.random.default_rng(seed)
    floors = rng.dirichlet(np.ones(size)) * 0.3
    bounds = Bounds(NAMES[:size], floors, np.minimum(1.0, floors + 1.6 / size))
    natural = rng.dirichlet(np.ones(size))
    drawn = abroad(natural, bounds, 20, rng)
    for mixtures in (drawn, near(drawn[:3], bounds, 20, rng)):
        assert mixtures.shape == (20, size)
        np.testing.assert_allclose(mixtures.sum(axis=1), 1)
        assert (mixtures >= bounds.floors - 1e-9).all()
        assert (mixtures <= bounds.caps + 1e-9).all()


def test_near_is_near_and_abroad_is_not():
    rng, bounds = np.random.default_rng(0), Bounds.free(NAMES[:5])
    natural = np.full(5, 0.2)
    centre = np.array([[0.6, 0.3, 0.1, 0.0, 0.0]])
    distance = 0.5 * np.abs(near(centre, bounds, 300, rng) - centre).sum(axis=1)
    assert np.median(distance) < 0.08
    assert distance.max() > 0.1
    assert np.median(0.5 * np.abs(abroad(natural, bounds, 300, rng) - centre).sum(axis=1)) > 0.4


SMALL, TARGET = ("1M", 1000), ("60M", 1000)
NATURAL = Mixture(("a", "b", "c"), (0.5, 0.3, 0.2))


def table() -> Rows:
    weights = np.random.default_rng(0).dirichlet(np.ones(3), 20)
    at_small, at_target = np.arange(20) < 15, np.arange(20) >= 5
    return Rows(NATURAL.domains, weights, {SMALL: at_small, TARGET: at_target}, TARGET)


class Away:
    """B functions: the squared distance from each of B points."""

    kinked = False

    def __init__(self, *points: object) -> None:
        self.points = np.array(points)

    def __len__(self) -> int:
        return len(self.points)

    def value(self, weights: np.ndarray) -> np.ndarray:
        return ((np.atleast_3d(weights).reshape(1, -1, 3) - self.points[:, None]) ** 2).sum(axis=-1)

    def slope(self, weights: np.ndarray) -> np.ndarray:
        return 2 * (weights - self.points[:, None])

    def expression(self, weights: object) -> None:
        return None


def test_a_table_gives_only_what_can_be_run_at_a_place():
    rows = table()
    first = rows.first(30, (NATURAL, NATURAL), SMALL, np.random.default_rng(0))
    assert len(first) == 15
    assert {row.tobytes() for row in first} == {row.tobytes() for row in rows.weights[:15]}
    away = np.abs(rows.weights[:15] - NATURAL.array).sum(axis=1)
    np.testing.assert_array_equal(first[0], rows.weights[away.argmin()])
    design = rows.swarm(DesignSettings(runs=6, seed=3), (NATURAL,), SMALL, None)
    assert len(design) == 6
    np.testing.assert_allclose(design[0].array, first[0])
    assert design == rows.swarm(DesignSettings(runs=6), (NATURAL,), SMALL, None)
    assert design != replace(rows, seed=1).swarm(DesignSettings(runs=6), (NATURAL,), SMALL, None)


def test_a_table_recommends_rows_of_the_target_and_runs_none_twice():
    rows, nowhere = table(), np.zeros((0, 3))
    pool = rows.pool(nowhere, lambda some: np.arange(len(some)), np.random.default_rng(0))
    np.testing.assert_array_equal(pool, rows.weights[5:])
    np.testing.assert_array_equal(rows.runnable(SMALL, pool, rows.weights[[2, 3, 9]]), rows.weights[[
        0, 1, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14]])  # fmt: skip
    aim = Away(rows.weights[2], rows.weights[8])
    found = rows.minimise(Away(rows.weights[8]))
    np.testing.assert_array_equal(found.weights, rows.weights[8])
    np.testing.assert_array_equal(rows.minima(aim, found.weights, 10, 10)[1], rows.weights[8])
    order = []
    while (best := rows.next_best(Away(rows.weights[8]), np.array(order).reshape(-1, 3))) is not None:
        order.append(best)
    away = ((np.array(order) - rows.weights[8]) ** 2).sum(axis=1)
    assert len(order) == 15
    assert (np.diff(away) >= 0).all()


def test_on_the_simplex_the_next_best_is_some_way_from_all_that_was_run():
    simplex = Simplex(NATURAL, Bounds.free(NATURAL.domains))
    aim, ran = Away((0.6, 0.3, 0.1)), np.zeros((0, 3))
    for _ in range(3):
        best = simplex.next_best(aim, ran)
        assert best is not None
        assert not len(ran) or (0.5 * np.abs(ran - best).sum(axis=1)).min() > 0.05
        ran = np.vstack([ran, best])
    np.testing.assert_allclose(ran[0], (0.6, 0.3, 0.1), atol=1e-6)
    assert (0.5 * np.abs(ran - ran[0]).sum(axis=1)).max() < 0.1
