"""ADSO and its baselines in a replay: model and choice are those of studies, the candidates are a table's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mixopt.bench.base import Purchase, View
from mixopt.errors import ConfigError
from mixopt.methods.adso.acquisition import Belief, pinned
from mixopt.methods.adso.choice import ChoiceSettings, Done, Options, affordable, choose
from mixopt.methods.adso.fidelity_model import FidelityModel, Points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixopt.bench.base import Problem

Preset = Literal["adso", "tokens-only", "single-fidelity"]

# Cheap runs between two fits of the hyperparameters; in between the model is only conditioned on them.
_REFIT = 8


class Adso:
    """Multi-fidelity Bayesian optimisation over a table.

    A random design at the cheapest scale, then the run that tells most about the target for its cost. The model is
    fitted anew after every target run and every eight cheap ones; fit and belief are kept from call to call, as
    they depend on nothing but the runs that they were made from.

    Args:
        problem: what is free to know.
        preset: `adso` (all scales), `tokens-only` (those of the target's size), `single-fidelity` (the target).
        settings: how runs are chosen.

    Raises:
        ConfigError: `tokens-only`, where the table has one number of tokens for the target's size.
    """

    def __init__(self, problem: Problem, preset: Preset = "adso", settings: ChoiceSettings | None = None) -> None:
        self._settings = settings or ChoiceSettings()
        target = problem.fidelities[problem.target]
        everything = range(len(problem.fidelities))
        if preset == "tokens-only":
            self._scales = [f for f in everything if problem.fidelities[f].parameters == target.parameters]
            if len(self._scales) == 1:
                raise ConfigError(
                    f"method tokens-only: the table has no runs of the target's size with fewer tokens than "
                    f"{target.name}; use single-fidelity"
                )
        else:
            self._scales = [problem.target] if preset == "single-fidelity" else list(everything)
        below = np.log10([[target.parameters / f.parameters, target.tokens / f.tokens] for f in problem.fidelities])
        self._axes = below[:, np.ptp(below[self._scales], axis=0) > 0]
        self._used = np.flatnonzero(problem.objective)
        self._weights = problem.objective[self._used]
        self._fitted: tuple[bytes, list[NDArray[np.float64]]] | None = None
        self._believed: tuple[bytes, Belief] | None = None

    def next(self, view: View) -> Purchase | None:
        """The initial design, then what tells most about the target for its cost."""
        problem, cheapest = view.problem, self._scales[0]
        count = self._initial(view)
        if len(view.purchases) < count:
            order = view.rng("design").permutation(np.flatnonzero(problem.available[cheapest]))
            left = order[~view.paid(cheapest)[order]]
            return Purchase(int(left[0]), cheapest)
        paid = affordable(problem.costs, view.left)
        possible = [
            (row, scale)
            for scale in self._scales
            if paid[scale]
            for row in np.flatnonzero(problem.available[scale] & ~view.paid(scale))
        ]
        if not possible:
            return None
        rows, scales = np.array(possible).T
        options = Options(
            Points(problem.mixtures[rows], self._axes[scales]), problem.costs[scales], scales == problem.target
        )
        at_target = view.values[view.fidelity == problem.target]
        belief = self._belief(view)
        if not at_target.size:
            belief = Belief.of(
                pinned(belief.model, belief.objective, belief.candidates), belief.objective, belief.candidates
            )
        choice = choose(
            belief,
            options,
            float(at_target.min()) if at_target.size else None,
            Done.of(np.array([problem.fidelities[p.fidelity].cost for p in view.purchases])),
            self._settings,
        )
        return None if choice is None else Purchase(int(rows[choice.index]), int(scales[choice.index]))

    def recommend(self, view: View) -> int:
        """The candidate of the least posterior mean; the best measured while there are too few runs for a model."""
        predicted = self.predict(view)
        return view.best_measured() if predicted is None else int(view.problem.candidates[np.argmin(predicted)])

    def predict(self, view: View) -> NDArray[np.float64] | None:
        """(candidates,) posterior mean of the objective at the target; None during the initial design."""
        return None if len(view.purchases) < self._initial(view) else self._belief(view).mean

    def _initial(self, view: View) -> int:
        """Runs of the initial design: as many as there are, and as leave a target run to pay for."""
        problem, cheapest = view.problem, self._scales[0]
        cost = problem.fidelities[cheapest].cost
        affordable = int((view.budget - (cost < 1)) / cost + 1e-9)
        there = int(problem.available[cheapest].sum())
        return min(self._settings.initial_runs(len(problem.domains), cost), there, affordable)

    def _belief(self, view: View) -> Belief:
        points = Points(view.problem.mixtures[view.mixture], self._axes[view.fidelity])
        losses = view.losses[:, self._used]
        runs = np.hstack([points.inputs, losses]).tobytes()
        if self._believed is None or self._believed[0] != runs:
            self._believed = runs, self._new_belief(view, points, losses)
        return self._believed[1]

    def _new_belief(self, view: View, points: Points, losses: NDArray[np.float64]) -> Belief:
        problem, last = view.problem, self._fitted_entries(view)
        head = points.select(slice(last))
        key = np.hstack([head.inputs, losses[:last]]).tobytes()
        thetas = self._fitted[1] if self._fitted and self._fitted[0] == key else None
        model = FidelityModel.fit(head, losses[:last], thetas)
        self._fitted = key, [process.theta for process in model.processes]
        model = model.observe(points.select(slice(last, None)), losses[last:])
        candidates = problem.mixtures[problem.candidates]
        there = Points(candidates, np.zeros((len(candidates), self._axes.shape[1])))
        return Belief.of(model, lambda values: values @ self._weights, there)

    def _fitted_entries(self, view: View) -> int:
        """How many of the view's entries hyperparameters are fitted to."""
        fitted = self._initial(view)
        for count in range(fitted + 1, len(view.purchases) + 1):
            if view.purchases[count - 1].fidelity == view.problem.target or count - fitted >= _REFIT:
                fitted = count
        last = view.purchases[fitted - 1]
        # A run's own entry comes after those of the shorter points that it shows.
        return int(np.flatnonzero((view.mixture == last.mixture) & (view.fidelity == last.fidelity))[0]) + 1
