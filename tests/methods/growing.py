"""Worlds whose best mixture is known at every scale, and AutoScale on them."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from mixopt.history import History, empty_history
from mixopt.methods.autoscale.searcher import AutoScale
from mixopt.methods.ddo.design import Design
from mixopt.methods.ddo.searcher import DdoSettings
from mixopt.mixture import Mixture
from mixopt.objective import MeanLoss
from mixopt.solve import Bounds, PowerSum, solve_simplex
from tests.methods.world import World

SETTINGS = DdoSettings(objective=MeanLoss(), replicates=100, floor=0.01)
SCALES, TARGET = (1_000_000, 4_000_000), 32_000_000
# Amounts are in millions of tokens; without offsets this is Theorem 1's world.
PURE = World(a=(0.0, 0.0, 0.0, 0.0), b=(0.5, 0.7, 0.9, 1.2), tokens=4_000_000, noise=1e-4)
OFFSET = World(a=(1.5, 0.3, 0.8, 0.1), b=(1.4, 1.0, 1.2, 0.8), tokens=4_000_000, noise=1e-4)


def searcher(scales=SCALES, target=TARGET, settings=SETTINGS, domains=PURE.domains, **arguments) -> AutoScale:
    designs = [Design(Mixture.uniform(domains), n, settings.factors, settings.perturb) for n in scales]
    return AutoScale(designs, target, settings, **arguments)


def history_of(world: World, search: AutoScale) -> History:
    return replace(world, rng=np.random.default_rng(0)).train(search.ask(empty_history()))


@functools.cache
def answer(world: World, scales=SCALES, target=TARGET, settings=SETTINGS, **arguments):
    search = searcher(scales, target, settings, **arguments)
    return search.recommend(history_of(world, search))


def truth(world: World, total: int) -> np.ndarray:
    """The best weights for `total` tokens."""
    size = len(world.domains)
    law = PowerSum(np.ones(size), np.array(world.a), np.full(size, total / world.unit), np.array(world.b))
    return solve_simplex(law, Bounds.free(world.domains)).weights


def loss(world: World, weights: np.ndarray, total: int) -> float:
    return float(world.mean_loss(weights * total))


def weights_of(found, name) -> np.ndarray:
    return np.array(list(found.evidence.predictors[name].weights.values()))
