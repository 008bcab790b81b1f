"""What every search method must do. A new one is a line in `METHODS`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.history import History, empty_history
from mixopt.methods.adso.scales import Ladder, Scale
from mixopt.methods.adso.searcher import Adso, AdsoSettings
from mixopt.methods.autoscale.searcher import AutoScale
from mixopt.methods.ddo.design import Design
from mixopt.methods.ddo.joint_searcher import JointDdo
from mixopt.methods.ddo.searcher import Ddo, DdoSettings
from mixopt.methods.swarm.designs import DesignSettings
from mixopt.methods.swarm.fit import regressors_of
from mixopt.methods.swarm.searcher import OneShot, OneShotSettings
from mixopt.mixture import Mixture
from tests.methods.world import World

if TYPE_CHECKING:
    from mixopt.methods.base import Searcher

WORLD = World(noise=0.001)

NATURAL = Mixture(WORLD.domains, (0.4, 0.3, 0.2, 0.1))


def one_shot(regressor: str | None, **settings: object) -> OneShot:
    regressors = None if regressor is None else regressors_of(regressor)
    return OneShot(NATURAL, WORLD.tokens, OneShotSettings(regressors=regressors, replicates=100, **settings))


METHODS = {
    "ddo": lambda: Ddo(WORLD.uniform, WORLD.tokens, DdoSettings(replicates=100)),
    "ddo, held total": lambda: Ddo(WORLD.uniform, WORLD.tokens, DdoSettings(perturb="replace", replicates=100)),
    "ddo, seeds and a floor": lambda: Ddo(
        WORLD.uniform, WORLD.tokens, DdoSettings(seeds=(0, 1), floor="0.4x", replicates=100)
    ),
    "autoscale": lambda: AutoScale(
        [Design(WORLD.uniform, tokens) for tokens in (WORLD.tokens // 4, WORLD.tokens)],
        8 * WORLD.tokens,
        DdoSettings(replicates=100),
    ),
    "random": lambda: one_shot(None, design=DesignSettings(runs=12), seeds=(0, 1)),
    "grid": lambda: one_shot(None, design=DesignSettings(kind="lattice", step=0.5)),
    "loglinear, a floor and a pull": lambda: one_shot(
        "loglinear", design=DesignSettings(runs=16), floor="0.4x", kl=0.05
    ),
    "gp": lambda: one_shot("gp", design=DesignSettings(kind="sobol", runs=8)),
    "ddo, joint law": lambda: JointDdo(WORLD.uniform, WORLD.tokens, DdoSettings(replicates=100)),
    "adso": lambda: Adso(
        WORLD.uniform,
        Ladder((Scale(None, 0, WORLD.tokens // 4, 0.25), Scale(None, 0, WORLD.tokens, 1.0))),
        AdsoSettings(budget=4),
    ),
}


SLOW = {"autoscale", "gp"}


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in METHODS])
def searcher(request: pytest.FixtureRequest) -> Searcher:
    return METHODS[request.param]()


@pytest.fixture
def history(searcher: Searcher) -> History:
    return World(noise=0.001).train(searcher.ask(empty_history()))


def test_ask_is_deterministic_and_changes_nothing(searcher, history):
    assert searcher.ask(empty_history()) == searcher.ask(empty_history())
    before = [array.copy() for array in (history.tokens_seen, history.losses, history.seeds)]
    assert searcher.ask(history) == searcher.ask(history)
    for array, copy in zip((history.tokens_seen, history.losses, history.seeds), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_proposals_are_runs_that_can_be_trained(searcher):
    proposals = searcher.ask(empty_history())
    assert proposals
    for proposal in proposals:
        assert proposal.mixture.domains == WORLD.domains
        assert sum(proposal.mixture.weights) == pytest.approx(1, abs=1e-9)
        assert isinstance(proposal.tokens, int)
        assert proposal.tokens > 0
    keys = [(proposal.role, proposal.seed) for proposal in proposals]
    assert len(set(keys)) == len(keys)


def test_recommend_is_deterministic(searcher, history):
    assert searcher.recommend(history).to_dict() == searcher.recommend(history).to_dict()


def test_recommend_does_not_depend_on_the_order_of_runs(searcher, history):
    order = np.random.default_rng(0).permutation(len(history))
    one, other = searcher.recommend(history), searcher.recommend(history.select(order))
    np.testing.assert_allclose(other.mixture.array, one.mixture.array, atol=1e-9)
    assert other.runs == one.runs
    for name, estimate in one.predicted.items():
        again = other.predicted[name]
        assert again.value == pytest.approx(estimate.value)
        assert (again.low, again.high) == pytest.approx((estimate.low, estimate.high))


def test_the_answer_is_whole(searcher, history):
    answer = searcher.recommend(history)
    assert answer.mixture.domains == WORLD.domains
    assert set(answer.intervals) == set(WORLD.domains)
    for domain, (low, high) in answer.intervals.items():
        assert 0 <= low <= answer.mixture.to_dict()[domain] <= high <= 1
    assert {"recommended", "uniform"} <= set(answer.predicted)
    assert set(answer.runs) <= set(history.runs)
    assert answer.runs


def test_weights_stay_within_bounds(searcher, history):
    bounds = searcher.bounds
    weights = searcher.recommend(history).mixture.array
    assert (weights >= bounds.floors - 1e-9).all()
    assert (weights <= bounds.caps + 1e-9).all()


def test_the_answer_survives_json(searcher, history):
    content = searcher.recommend(history).to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert {"weights", "intervals", "predicted", "warnings", "runs"} <= set(content)
