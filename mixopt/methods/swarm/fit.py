"""A law of a swarm, the optimum under it, and how sure both are.

Symbols: C mixtures, K domains, V evaluation domains, B replicates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats
from mixopt.methods.intervals import Prediction, forecast
from mixopt.methods.swarm.law_choice import LawChoice
from mixopt.methods.swarm.predicted_objective import Pull, Surface, check_prior
from mixopt.methods.swarm.regressors import LAWS
from mixopt.mixture import Mixture, total_variation
from mixopt.solve.simplex import with_multipliers

if TYPE_CHECKING:
    from mixopt.methods.base import Estimate
    from mixopt.methods.simplex.candidates import Candidates
    from mixopt.methods.simplex.optimum import Optimum
    from mixopt.methods.swarm.regressors.base import Fitted, Regressor
    from mixopt.methods.swarm.runs import Swarm
    from mixopt.objective import Objective
    from mixopt.solve import Bounds

# Draws of a replicate's search, which starts from the optimum: the best of them leads on downhill, so far as an
# interval needs. Trees are refitted for every replicate and searched by drawing alone, and fewer have to do.
_DRAWS, _STEPS = 128, 40
_ROUGH_REPLICATES, _ROUGH_DRAWS = 20, 1024
_SHARP = 1000.0
# An error is measured on so many mixtures at least.
_NEAREST = 5


def regressors_of(name: str) -> list[Regressor]:
    """The laws of a name, or of a `module:Class`: one, or with `auto` all that there are.

    Raises:
        ConfigError: there is no such law.
    """
    return [LAWS.get(one)() for one in (LAWS if name == "auto" else [name])]


def least_runs(regressors: Sequence[Regressor], domains: int) -> tuple[int, str]:
    """How many mixtures the least demanding of the laws needs, and its name."""
    return min((regressor.least_runs(domains), regressor.name) for regressor in regressors)


@dataclass(frozen=True, eq=False)
class OneShotFit:
    """The chosen law and the optimum under it."""

    swarm: Swarm  # the runs
    fitted: Fitted  # the law of every loss
    evidence: LawChoice  # how it, and the others that were tried, predict runs that they have not seen
    objective: Objective  # what is minimised
    values: Floats  # (C,) measured objectives
    candidates: Candidates  # what the optimum is chosen from
    prior: Floats  # (K,) the natural mixture
    kl: float  # strength of the pull towards it

    @classmethod
    def of(
        cls,
        swarm: Swarm,
        regressors: Sequence[Regressor],
        objective: Objective,
        candidates: Candidates,
        prior: Floats,
        kl: float,
    ) -> OneShotFit:
        """Choose a law by cross-validation and fit it to every mixture.

        Args:
            prior: (K,) the natural mixture.

        Raises:
            ConfigError: too few mixtures, a constant objective, or no law that predicts better than the mean.
        """
        if kl > 0:
            check_prior(prior, candidates.bounds.floors, candidates.bounds.domains)
        evidence = LawChoice.of(swarm, regressors, objective)
        fitted = evidence.regressor.fit(swarm.weights, swarm.losses, seed=0)
        return cls(swarm, fitted, evidence, objective, swarm.objective(objective), candidates, prior, kl)

    @property
    def bounds(self) -> Bounds:
        """Floors and caps of the answer."""
        return self.candidates.bounds

    def surface(self, objective: Objective) -> Surface:
        """An objective over mixtures, by the law, with the pull."""
        pull = None
        if self.kl > 0:
            pull = Pull(self.kl, self.prior, float(self.swarm.objective(objective).std()))
        return Surface.of(self.fitted, objective, self.swarm.history, self.swarm.trained, pull)

    @cached_property
    def optimum(self) -> Optimum:
        """The mixture advised."""
        return self.candidates.minimise(self.surface(self.objective))

    def under(self, objective: Objective) -> Floats:
        """(K,) the optimum under another objective, from the same law."""
        return self.candidates.minimise(self.surface(objective)).weights

    def multipliers(self) -> dict[str, float]:
        """For each domain at a bound, the change of the objective for one more unit of weight.

        Empty where the law is not smooth.
        """
        weights, bounds = self.optimum.weights, self.bounds
        surface = self.surface(self.objective).smoothed(_SHARP)
        slope = surface.slope(weights[None, None])
        if slope is None:
            return {}
        value = surface.value(weights[None])[0]
        found = with_multipliers(weights, value[0], -slope[0, 0], bounds.floors, bounds.caps).bound_multipliers
        return bounds.prices(weights, found)

    def replicates(self, count: int) -> OneShotReplicates:
        """Laws of resampled runs and the optimum under each."""
        surface = self.surface(self.objective)
        smooth = self.fitted.jacobian(self.prior[None]) is not None
        laws = surface.over(self.fitted.replicates(count if smooth else min(count, _ROUGH_REPLICATES), seed=0))
        drawn = self.candidates.minima(
            laws, self.optimum.weights, draws=_DRAWS if smooth else _ROUGH_DRAWS, steps=_STEPS
        )
        return OneShotReplicates(self, laws, drawn)


@dataclass(frozen=True, eq=False)
class OneShotReplicates:
    """Laws that the runs leave open as much as the fitted one."""

    fit: OneShotFit  # the fitted one
    laws: Surface  # B surfaces
    drawn: Floats  # (B, K) the optimum under each

    @cached_property
    def optimism(self) -> float:
        """By how much a law chosen for its least value promises too much (Efron 2004), in the objective's units.

        The mean of what the fitted law says of each replicate's optimum, less what that replicate promised for it.
        """
        promised = self.laws.bare.value(self.drawn[:, None])[:, 0]
        said = self.fit.surface(self.fit.objective).bare.value(self.drawn)[0]
        return max(0.0, float((said - promised).mean()))

    def forecast(
        self, mixture: Mixture, others: Mapping[str, Mixture]
    ) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
        """Predicted objectives and gains, with 95 % intervals.

        Replicates say what noise leaves open if the law's shape is right; the law's error on mixtures left out, of
        those that are nearest, is added in quadrature, as it need not be. Between two mixtures that error grows
        with their distance, up to that of the swarm's own mixtures. The optimism widens the recommended mixture's
        intervals to the worse side.
        """
        surface = self.fit.surface(self.fit.objective).bare
        mixtures = {"recommended": mixture, **others}
        arrays = np.stack([one.array for one in mixtures.values()])
        values, draws = surface.value(arrays)[0], self.laws.bare.value(arrays)
        said = {
            name: Prediction(array, float(value), drawn, self._misfit(array))
            for name, array, value, drawn in zip(mixtures, arrays, values, draws.T, strict=True)
        }
        best = said.pop("recommended")
        between = {name: float(np.hypot(best.error, other.error)) / other.value for name, other in said.items()}
        weights = self.fit.swarm.weights
        usual = float(total_variation(weights, weights.mean(axis=0)).mean()) or 1.0
        return forecast(best, said, optimism=self.optimism, between=between, usual=usual)

    def _misfit(self, weights: Floats) -> float:
        """The law's error on the quarter of the swarm, left out, that is nearest to a mixture (K,).

        Errors are greatest among mixtures of one domain, which say little of the others.
        """
        swarm = self.fit.swarm
        away = np.abs(swarm.weights - weights).sum(axis=1)
        near = np.argsort(away, kind="stable")[: max(_NEAREST, len(swarm) // 4)]
        errors = self.fit.evidence.chosen.left_out[near] - self.fit.values[near]
        return float(np.sqrt((errors**2).mean()))
