"""Adding a domain to a finished search: the old shares are kept, a small swarm finds the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.history import History, empty_history
from mixopt.methods.simplex.designs import DesignSettings
from mixopt.methods.swarm.evidence import Extended
from mixopt.methods.swarm.extension import VIRTUAL, Extension, Frozen
from mixopt.methods.swarm.extension_regression import WithEarlierRuns
from mixopt.methods.swarm.regressors import LAWS, Regressor
from mixopt.methods.swarm.searcher import OneShot, OneShotSettings
from mixopt.mixture import Mixture
from mixopt.objective import MeanLoss
from tests.methods.mixing_world import MixingWorld

WORLD = MixingWorld(noise=0.001)
OLD = ("code", "web", "books")


def old_optimum() -> Mixture:
    """The best shares of the old three for their own mean loss."""
    drawn = np.random.default_rng(0).dirichlet(np.ones(3), 200_000)
    losses = WORLD.losses(np.column_stack([drawn, np.zeros(len(drawn))]))[:, :3].mean(axis=1)
    return Mixture.normalised(dict(zip(OLD, drawn[losses.argmin()].tolist(), strict=True)))


FROZEN = Frozen(WORLD.domains, old_optimum())


def old_runs(count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Mixtures of the old three over all four, and their losses; the new one was not measured."""
    weights = np.column_stack([np.random.default_rng(1).dirichlet(np.ones(3), count), np.zeros(count)])
    losses = WORLD.losses(weights)
    losses[:, 3] = np.nan
    return weights, losses


def extension(*, earlier: bool, runs: int = 8) -> Extension:
    regressor = LAWS.get("loglinear")()
    if earlier:
        regressor = WithEarlierRuns(regressor, FROZEN.matrix, *old_runs())
    settings = OneShotSettings(
        design=DesignSettings(runs=runs), regressors=[regressor], objective=MeanLoss(), replicates=100
    )
    natural = Mixture(FROZEN.coordinates, (0.8, 0.2))
    baselines = {"natural share of new": natural, VIRTUAL: Mixture(FROZEN.coordinates, (1.0, 0.0))}
    inner = OneShot(natural, WORLD.tokens, settings, baselines, WORLD.domains)
    extended = Extended(study="abc", runs=(), differences=(), shares=FROZEN.earlier.to_dict())
    return Extension(FROZEN, inner, ["assumed: the old shares hold"], extended)


def test_old_domains_keep_their_shares_in_every_run():
    proposals = extension(earlier=False).ask(empty_history())
    shares = np.array([proposal.mixture.weights for proposal in proposals])
    with_old = shares[:, :3].sum(axis=1) > 0
    np.testing.assert_allclose(
        shares[with_old, :3] / shares[with_old, :3].sum(axis=1, keepdims=True),
        np.tile(FROZEN.earlier.array, (with_old.sum(), 1)),
        atol=1e-9,
    )
    assert len({round(share, 3) for share in shares[:, 3]}) == len(proposals)


@pytest.mark.parametrize("earlier", [False, True])
def test_the_share_of_the_new_domain_is_found(earlier: bool):
    searcher = extension(earlier=earlier)
    found = searcher.recommend(WORLD.train(searcher.ask(empty_history())))
    line = np.linspace(0, 1, 2001)
    mixtures = np.column_stack([1 - line, line]) @ FROZEN.matrix.T
    best = line[WORLD.losses(mixtures).mean(axis=1).argmin()]
    assert found.mixture.to_dict()["law"] == pytest.approx(best, abs=0.02)
    assert sum(found.mixture.weights) == pytest.approx(1)
    for name, (low, high) in found.intervals.items():
        assert low <= found.mixture.to_dict()[name] <= high
    assert found.warnings[0] == "assumed: the old shares hold"
    assert found.evidence.extended.coordinates[VIRTUAL] == pytest.approx(1 - found.mixture.to_dict()["law"])
    assert found.baselines[VIRTUAL].to_dict()["law"] == 0
    assert all(len(one.weights) == 4 for one in found.evidence.swarm)


def test_earlier_runs_make_the_laws_of_old_losses_better():
    swarm = np.column_stack([np.linspace(0, 1, 5), np.linspace(1, 0, 5)])
    losses = WORLD.losses(swarm @ FROZEN.matrix.T) + np.random.default_rng(2).normal(0, 0.02, (5, 4))
    base = LAWS.get("loglinear")()
    weights, known = old_runs()
    alone = base.fit(swarm, losses, seed=0)
    both = WithEarlierRuns(base, FROZEN.matrix, weights, known).fit(swarm, losses, seed=0)
    line = np.column_stack([np.linspace(0, 1, 21), np.linspace(1, 0, 21)])
    truth = WORLD.losses(line @ FROZEN.matrix.T)
    assert np.abs(both.predict(line) - truth)[:, :3].mean() < np.abs(alone.predict(line) - truth)[:, :3].mean()
    np.testing.assert_allclose(both.predict(line)[:, 3], base.fit(swarm, losses[:, 3:], seed=0).predict(line)[:, 0])


def test_laws_of_both_kinds_are_one_law_in_the_order_of_losses():
    import cvxpy as cp

    base, (weights, known) = LAWS.get("loglinear")(), old_runs()
    swarm = np.column_stack([np.linspace(0.1, 1, 6), np.linspace(0.9, 0, 6)])
    losses = WORLD.losses(swarm @ FROZEN.matrix.T)
    order = [3, 0, 2, 1]  # the new loss first
    both = WithEarlierRuns(base, FROZEN.matrix, weights, known[:, order]).fit(swarm, losses[:, order], seed=0)
    point = np.array([0.7, 0.3])
    np.testing.assert_allclose(both.predict(point), WORLD.losses(FROZEN.matrix @ point)[order], atol=0.01)
    step = 1e-6
    moved = [(both.predict(point + step * unit) - both.predict(point - step * unit)) / (2 * step) for unit in np.eye(2)]
    np.testing.assert_allclose(both.jacobian(point), np.stack(moved, axis=-1), rtol=1e-4)
    variable = cp.Variable(2)
    expression = both.convex(variable, np.array([2, 0, 3]))
    variable.value = point
    np.testing.assert_allclose(expression.value, both.predict(point)[[2, 0, 3]])
    assert both.sd(point).shape == (4,)
    replicates = both.replicates(5, 0)
    assert replicates.predict(point[None]).shape == (5, 1, 4)
    assert replicates.jacobian(point[None]).shape == (5, 1, 4, 2)


def test_text_and_floors_of_the_virtual_domain_are_its_scarcest_domains():
    frozen = Frozen(("a", "b", "c"), Mixture(("a", "b"), (0.8, 0.2)))
    assert frozen.supply({"a": 800.0, "b": 100.0, "c": 50.0}) == {VIRTUAL: 500.0, "c": 50.0}
    np.testing.assert_allclose(frozen.floors(0.1), [0.5, 0.1])
    assert frozen.reduce({"a": 3, "b": 4, "c": 5}) == {VIRTUAL: 7, "c": 5}
    with pytest.raises(ConfigError, match=r"nothing of 'b', .*floor"):
        Frozen(("a", "b", "c"), Mixture(("a", "b"), (1.0, 0.0))).floors(0.1)


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        (("code", "web", "law"), "no domain 'books'"),
        (OLD, r"no new domain, .*code, web, books"),
        ((*OLD, VIRTUAL), "'earlier mixture'"),
    ],
)
def test_data_that_does_not_extend_the_earlier_is_refused(domains: tuple[str, ...], message: str):
    with pytest.raises(ConfigError, match=message):
        Frozen(domains, FROZEN.earlier)


def test_domains_in_another_order_are_told_apart_by_name():
    searcher = extension(earlier=False)
    history = WORLD.train(searcher.ask(empty_history()))
    turned: History = replace(history, domains=history.domains[::-1], tokens_seen=history.tokens_seen[:, ::-1])
    assert searcher.recommend(turned).mixture == searcher.recommend(history).mixture


def test_a_wrapped_law_is_as_costly_and_left_out_as_quickly_as_without(monkeypatch: pytest.MonkeyPatch):
    order = [3, 0, 2, 1]  # the new loss first
    swarm = np.column_stack([np.linspace(0.1, 1, 8), np.linspace(0.9, 0, 8)])
    losses = WORLD.losses(swarm @ FROZEN.matrix.T)[:, order]
    folds = np.arange(8) % 2 == np.arange(2)[:, None]
    weights, known = old_runs()
    law = WithEarlierRuns(LAWS.get("loglinear")(), FROZEN.matrix, weights, known[:, order])
    one_by_one = Regressor.left_out(law, swarm, losses, folds, seed=0)
    monkeypatch.setattr(type(LAWS.get("loglinear")()), "fit", None)  # all folds are one batch
    np.testing.assert_allclose(law.left_out(swarm, losses, folds, seed=0), one_by_one, atol=1e-3)
    trees = WithEarlierRuns(LAWS.get("regmix")(), FROZEN.matrix, weights, known)
    assert (trees.costly, law.costly, trees.name) == (True, False, "regmix")
