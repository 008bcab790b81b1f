"""What a run is worth: expected improvement and knowledge gradient, both of the objective at the *target*.

Improvement at the scale of the query would always favour the cheapest scale, where the best loss is no one's aim.

Symbols: P candidate mixtures at the target, Q queries (mixtures at scales), V losses, K domains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixopt.arrays import Floats, Indices
    from mixopt.methods.adso.fidelity_model import FidelityModel, Points

    Aggregate = Callable[[Floats], Floats]

# Nodes of the quadrature over a standard normal outcome.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
# Of central differences of an objective, nats/token.
_STEP = 1e-4


def expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """E max(best − y, 0) for y ~ N(mean, deviation²), to minimise (Jones et al. 1998, Eq. 15); any shape."""
    deviation = np.maximum(deviation, 1e-12)
    z = (best - mean) / deviation
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return np.maximum((best - mean) * ndtr(z) + deviation * density, 0.0)


def knowledge_gradient(mean: Floats, change: Floats) -> Floats:
    """(Q,) how much a run is expected to lower the least posterior mean at the target.

    The run's outcome, a standard normal Z, moves the means by Z · change: min(mean) − E min(mean + Z · change)
    (Frazier et al. 2009), by quadrature, which is within a few hundredths of the changes.

    Args:
        mean: (P,) posterior means at the target.
        change: (Q, P) standard deviation of each mean's change, signed.
    """
    after = np.zeros(len(change))
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        after += weight * (mean + node * change).min(axis=1)
    return np.maximum(mean.min() - after, 0.0)


@dataclass(frozen=True)
class Belief:
    """What a model says about an objective of the losses, at the target.

    The objective is linearised around the predicted losses (exact for weighted means of losses), and the errors of
    different losses are taken to be independent.

    Attributes:
        model: a process for each loss.
        objective: of losses (…, V).
        candidates: P mixtures, at the target.
        mean: (P,) objective.
        slopes: (P, V) its derivative by each loss.
        deviation: (P,) standard deviation, the noise of a run left out.
    """

    model: FidelityModel
    objective: Aggregate
    candidates: Points
    mean: Floats
    slopes: Floats
    deviation: Floats

    @classmethod
    def of(cls, model: FidelityModel, objective: Aggregate, candidates: Points) -> Belief:
        """The belief about mixtures at the target."""
        losses, variance = model.predict(candidates)
        slopes = derivative(objective, losses)
        deviation = np.sqrt((slopes**2 * variance).sum(1))
        return cls(model, objective, candidates, objective(losses), slopes, deviation)

    @property
    def optimistic(self) -> Floats:
        """(P,) means less three standard deviations."""
        return self.mean - 3 * self.deviation

    def plausible(self, most: int = 200) -> Indices:
        """Candidates that may be the best one: within three standard deviations of the least mean."""
        optimistic = self.optimistic
        order = np.argsort(optimistic, kind="stable")[:most]
        return np.sort(order[optimistic[order] <= self.mean.min()])

    def change(self, queries: Points, among: Indices) -> Floats:
        """(Q, P') standard deviation, signed, of how a run at each query moves the means of candidates `among`."""
        slopes = self._slopes(queries)
        targets = self.candidates.select(among).inputs
        shared, own = np.zeros((len(queries), len(among))), np.zeros(len(queries))
        for v, process in enumerate(self.model.processes):
            unit = process.output_scaling.scale[0] ** 2
            across = slopes[:, v, None] * self.slopes[None, among, v]
            shared += across * process.covariance(queries.inputs, targets) * unit
            own += slopes[:, v] ** 2 * (process.predict(queries.inputs)[1][:, 0] + process.noise[0])
        return shared / np.sqrt(own)[:, None]

    def _slopes(self, queries: Points) -> Floats:
        """(Q, V) the objective's derivative at the losses that each query's mixture is expected to have."""
        return derivative(self.objective, self.model.predict(queries.at_target())[0])


def pinned(model: FidelityModel, objective: Aggregate, candidates: Points) -> FidelityModel:
    """The model as if the worst of the candidates had come out as predicted at the target.

    Before the first run there the level of the target is unknown, and by far the greatest doubt about every
    mixture; but it is common to all of them, and which one is best does not depend on it.
    """
    worst = int(np.argmax(objective(model.predict(candidates)[0])))
    return model.believe(candidates.select(slice(worst, worst + 1)))


def derivative(objective: Aggregate, losses: Floats) -> Floats:
    """(m, V) central differences of an objective by the losses (m, V)."""
    steps = _STEP * np.eye(losses.shape[1])
    around = losses[:, None, :]
    return (objective(around + steps) - objective(around - steps)) / (2 * _STEP)
