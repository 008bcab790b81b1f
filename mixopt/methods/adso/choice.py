"""Which run next: the most information about the target for its cost, and no endless run of cheap ones.

Symbols: Q options (mixtures at scales), P candidate mixtures at the target, V losses. Costs are in target runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import ndtr

from mixopt.arrays import Bools, Floats, Indices
from mixopt.errors import ConfigError

if TYPE_CHECKING:
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
    """

    model: FidelityModel  # a process for each loss
    objective: Aggregate  # of losses (…, V)
    candidates: Points  # P mixtures, at the target
    mean: Floats  # (P,) objective
    slopes: Floats  # (P, V) its derivative by each loss
    deviation: Floats  # (P,) standard deviation, the noise of a run left out

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


@dataclass(frozen=True, kw_only=True)
class ChoiceSettings:
    """How runs are chosen.

    Raises:
        ConfigError: a number outside its range.
    """

    # for so much spent on cheap runs, in target runs, the recommendation is run at the target once. Half a target run
    # measured best on RegMix's tables (1.6 against 2.2 for a whole one).
    guard: float = 0.5
    patience: int = 64  # the same as a number of cheap runs, where they cost next to nothing
    # runs of the cheapest scale before anything is fitted; None for 1.4 a domain, 8 or more. They never cost more than
    # a target run together.
    initial: int | None = None

    def __post_init__(self) -> None:
        if not self.guard > 0:
            raise ConfigError(f"guard: expected a cost above 0, in target runs, found {self.guard}")
        if self.patience < 1:
            raise ConfigError(f"patience: expected one cheap run or more, found {self.patience}")
        if self.initial is not None and self.initial < 2:
            raise ConfigError(f"initial: expected two runs or more, found {self.initial}")

    def is_due(self, done: Done) -> bool:
        """Whether cheap runs have had their share, so that the target is next."""
        turns = done.target_runs + 1
        return done.cheap_cost >= self.guard * turns - 1e-9 or done.cheap_runs >= self.patience * turns

    def initial_runs(self, domains: int, cost: float) -> int:
        """Runs of the initial design, at a scale of this cost.

        At the target itself they are three: a process of so few points is a poor guide, but each one counts.
        """
        if cost >= 1:
            return self.initial or 3
        wanted = self.initial or max(8, round(1.4 * domains))
        return max(3, min(wanted, int(1 / cost + 1e-9)))


@dataclass(frozen=True)
class Done:
    """Runs so far, in whatever order."""

    cheap_runs: int  # below the target
    cheap_cost: float  # what they cost, in target runs
    target_runs: int  # at the target

    @classmethod
    def of(cls, costs: Floats) -> Done:
        """From the cost of each run; one at the target costs 1."""
        cheap = costs < 1 - 1e-9
        return cls(int(cheap.sum()), float(costs[cheap].sum()), int((~cheap).sum()))


@dataclass(frozen=True)
class Options:
    """Runs to choose from."""

    points: Points  # Q mixtures at scales
    costs: Floats  # (Q,) in target runs
    at_target: Bools  # (Q,) whether it is a run at the target


@dataclass(frozen=True)
class Choice:
    """The run that was chosen, and why."""

    index: int  # of the option
    # `information` (most for its cost) or `check` (the recommendation is run at the target, as the guard on cheap runs
    # has it)
    why: Literal["information", "check"]
    worth: float  # how much it is expected to lower the objective at the target


def choose(belief: Belief, options: Options, best: float | None, done: Done, settings: ChoiceSettings) -> Choice | None:
    """The next run; None where there is nothing to choose from.

    Args:
        belief: about the candidates at the target, with runs under way believed in.
        best: least objective measured at the target; None before the first run there.
    """
    if not len(options.points):
        return None
    if options.at_target.any() and (settings.is_due(done) or options.at_target.all()):
        return _check(belief, options, best)
    among = belief.plausible()
    worth = knowledge_gradient(belief.mean[among], belief.change(options.points, among))
    index = int(np.argmax(worth / options.costs))
    return Choice(index, "information", float(worth[index]))


def _check(belief: Belief, options: Options, best: float | None) -> Choice:
    """The mixture to run at the target: the best prediction first, then the greatest expected improvement."""
    rows = np.flatnonzero(options.at_target)
    there = type(belief).of(belief.model, belief.objective, options.points.select(rows))
    if best is None:
        index = int(np.argmin(there.mean))
        return Choice(int(rows[index]), "check", float(there.deviation[index]))
    improvement = expected_improvement(there.mean, there.deviation, best)
    index = int(np.argmax(improvement))
    return Choice(int(rows[index]), "check", float(improvement[index]))


def runs_paid(cost: float, budget: float) -> int:
    """Runs of this cost that a budget pays for, a target run at 1 being kept for if they are cheaper."""
    return int((budget - (cost < 1)) / cost + 1e-9)


def affordable(costs: Floats, left: float) -> Bools:
    """Which runs the rest of a budget pays for; while it pays for a target run, one is kept for.

    Args:
        costs: of runs, in target runs; those at the target cost 1.
    """
    slack = 1 + 1e-9
    kept = np.where((costs < 1 - 1e-9) & (left * slack >= 1), 1.0, 0.0)
    return costs + kept <= left * slack
