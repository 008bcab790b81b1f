"""One-shot methods: a design, one fit, targets in the predicted order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mixopt.bench.ledger import Ledger
from mixopt.bench.methods.one_shot import OneShot
from mixopt.bench.replay import replay
from mixopt.bench.tables import find_table
from mixopt.errors import ConfigError
from mixopt.methods.swarm.regressors.base import Fitted, Regressor, Replicates
from mixopt.methods.swarm.regressors.loglinear import LogLinear
from tests.bench.made import OBJECTIVE, made_table


class Plane(Regressor):
    """A least-squares plane that counts its fits."""

    name = "plane"
    title = "plane"
    fits = 0

    def least_runs(self, domains: int) -> int:
        return domains

    def fit(self, weights: np.ndarray, losses: np.ndarray, *, seed: int) -> Fitted:
        self.check(weights, losses)
        self.fits += 1
        return FittedPlane(np.linalg.lstsq(weights, losses, rcond=None)[0])


class FittedPlane(Fitted):
    def __init__(self, slopes: np.ndarray) -> None:
        self.slopes = slopes

    def predict(self, weights: np.ndarray) -> np.ndarray:
        return weights @ self.slopes

    def describe(self) -> dict[str, Any]:
        return {"law": "plane"}

    def replicates(self, count: int, seed: int) -> Replicates:
        raise AssertionError("a replay needs no replicates")


def test_the_design_comes_first_and_then_targets_in_the_predicted_order() -> None:
    table, plane = made_table(), Plane()
    found = replay(OneShot(plane, 5), table, OBJECTIVE, seed=0, top=1)
    assert found.fidelity.tolist() == [0] * 5 + [2] * (len(found.fidelity) - 5)
    design, measured = found.mixture[:5], found.mixture[5:]
    slopes = np.linalg.lstsq(table.mixtures[design], table.losses[0, design] @ OBJECTIVE, rcond=None)[0]
    np.testing.assert_array_equal(measured, np.argsort(table.mixtures @ slopes)[: len(measured)])
    assert plane.fits == 1


def test_modelling_domains_and_the_objective_are_one_for_a_linear_law() -> None:
    by_domain, at_once = (
        replay(OneShot(Plane(), 5, by_domain=flag), made_table(), OBJECTIVE, seed=0, top=1)
        for flag in (True, False)
    )
    np.testing.assert_array_equal(by_domain.mixture, at_once.mixture)


def test_domains_that_do_not_count_are_not_fitted() -> None:
    table = made_table()
    table.losses[0, :, 1] = 1e6  # would ruin a fit of the mean
    found = replay(OneShot(Plane(), 5), table, np.array([1.0, 0.0]), seed=0, top=1)
    design = found.mixture[:5]
    slopes = np.linalg.lstsq(table.mixtures[design], table.losses[0, design, 0], rcond=None)[0]
    assert found.mixture[5] == np.argmin(table.mixtures @ slopes)


def test_a_small_budget_buys_fewer_cheap_runs_and_keeps_one_for_the_target() -> None:
    found = replay(OneShot(Plane(), 10), made_table(), OBJECTIVE, seed=0, top=1, budget=1.45)
    assert found.fidelity.tolist() == [0] * 4 + [2]


@pytest.mark.parametrize("budget", [1, 1.25])
def test_too_few_runs_for_a_fit_are_refused_in_one_line(budget: float) -> None:
    with pytest.raises(ConfigError, match=r"plane: .*at least 3 runs"):
        replay(OneShot(Plane(), 10), made_table(), OBJECTIVE, seed=0, top=1, budget=budget)


def test_methods_with_one_seed_share_their_design() -> None:
    first, second = (
        replay(OneShot(Plane(), runs), made_table(), OBJECTIVE, seed=3, top=1).mixture[:4] for runs in (4, 6)
    )
    np.testing.assert_array_equal(first, second)


def test_before_the_fit_the_nearest_to_the_best_cheap_run_is_recommended() -> None:
    table = find_table("regmix-1b")  # none of its cheap mixtures can be run at the target
    objective = np.full(13, 1 / 13)
    ledger, method = Ledger(table, objective, seed=0, budget=5), OneShot(LogLinear(), 64)
    for _ in range(3):
        purchase = method.next(ledger.view())
        assert purchase is not None
        ledger.buy(purchase.mixture, purchase.fidelity)
    view = ledger.view()
    best = table.mixtures[view.mixture[np.argmin(view.values)]]
    distance = np.abs(table.mixtures[view.problem.candidates] - best).sum(axis=1)
    assert method.recommend(view) == view.problem.candidates[np.argmin(distance)]


def test_log_linear_from_64_small_runs_finds_the_best_of_the_large_ones_first() -> None:
    table = find_table("regmix-1b")
    objective = np.array([float(domain == "pile_cc") for domain in table.eval_domains])
    found = [replay(OneShot(LogLinear(), 64), table, objective, seed=seed, top=1) for seed in range(5)]
    assert max(one.reached for one in found) <= 2
    assert np.median([one.rank_correlation for one in found]) >= 0.97
