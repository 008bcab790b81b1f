"""One-shot methods: cheap runs of a random design, one fit, then target runs in the order that the fit predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixopt.bench.base import Purchase, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixopt.methods.swarm.regressors.base import Regressor


class OneShot:
    """Buys `runs` at the cheapest fidelity, fits, and verifies its predictions at the target, best first.

    A smaller budget buys fewer, so that one target run can be paid for. The fit is kept from call to call, as it
    depends on nothing but those first runs.

    Args:
        regressor: how losses are learned from mixtures.
        runs: how many cheap runs to buy.
        by_domain: model each domain's loss, then aggregate; otherwise the objective itself.
    """

    def __init__(self, regressor: Regressor, runs: int, *, by_domain: bool = True) -> None:
        self._regressor, self._runs, self._by_domain = regressor, runs, by_domain
        self._fitted: tuple[bytes, NDArray[np.float64]] | None = None

    def next(self, view: View) -> Purchase | None:
        """A run of the design, else the candidate that is predicted best of those not measured yet."""
        design = self._design(view)
        missing = design[~view.paid(0)[design]]
        if missing.size:
            return Purchase(int(missing[0]), 0)
        predicted = self.predict(view)
        problem = view.problem
        if predicted is None:
            return None
        order = problem.candidates[np.argsort(predicted, kind="stable")]
        left = order[~view.paid(problem.target)[order]]
        return Purchase(int(left[0]), problem.target) if left.size else None

    def recommend(self, view: View) -> int:
        """The best measured at the target; else the one predicted best; else the nearest to the best cheap run."""
        predicted = self.predict(view) if view.incumbent() is None else None
        return view.best_measured() if predicted is None else int(view.problem.candidates[np.argmin(predicted)])

    def predict(self, view: View) -> NDArray[np.float64] | None:
        """(candidates,) predicted objective; None before all of the design is paid for."""
        design = self._design(view)
        if not view.paid(0)[design].all():
            return None
        key = design.tobytes()
        if self._fitted is None or self._fitted[0] != key:
            losses = np.array([view.loss(int(row), 0) for row in design])
            losses = losses.reshape(
                len(design), len(view.problem.eval_domains)
            )  # a budget may pay for no run at all
            self._fitted = key, self._fit(view, design, losses)
        return self._fitted[1]

    def _fit(self, view: View, design: NDArray[np.intp], losses: NDArray[np.float64]) -> NDArray[np.float64]:
        mixtures, objective = view.problem.mixtures, view.problem.objective
        new = mixtures[view.problem.candidates]
        if not self._by_domain:
            values = (losses @ objective)[:, None]
            return self._regressor.fit(mixtures[design], values, seed=view.seed).predict(new)[:, 0]
        used = objective != 0
        fitted = self._regressor.fit(mixtures[design], losses[:, used], seed=view.seed)
        return fitted.predict(new) @ objective[used]

    def _design(self, view: View) -> NDArray[np.intp]:
        """Rows of the cheap runs: with one seed, the same for all one-shot methods."""
        problem = view.problem
        there = np.flatnonzero(problem.available[0])
        affordable = int((view.budget - 1 + 1e-9) / problem.fidelities[0].cost)
        return view.rng("design").permutation(there)[: min(self._runs, affordable)]
