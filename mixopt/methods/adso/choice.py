"""Which run next: the most information about the target for its cost, and no endless run of cheap ones.

Symbols: Q options (mixtures at scales), P candidate mixtures at the target. Costs are in target runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mixopt.errors import ConfigError
from mixopt.methods.adso.acquisition import expected_improvement, knowledge_gradient

if TYPE_CHECKING:
    from mixopt.arrays import Bools, Floats
    from mixopt.methods.adso.acquisition import Belief
    from mixopt.methods.adso.fidelity_model import Points


@dataclass(frozen=True, kw_only=True)
class ChoiceSettings:
    """How runs are chosen.

    Attributes:
        guard: for so much spent on cheap runs, in target runs, the recommendation is run at the target once. Half a
            target run measured best on RegMix's tables (1.6 against 2.2 for a whole one).
        patience: the same as a number of cheap runs, where they cost next to nothing.
        initial: runs of the cheapest scale before anything is fitted; None for 1.4 a domain, 8 or more. They never
            cost more than a target run together.

    Raises:
        ConfigError: a number outside its range.
    """

    guard: float = 0.5
    patience: int = 64
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
    """Runs so far, in whatever order.

    Attributes:
        cheap_runs: below the target.
        cheap_cost: what they cost, in target runs.
        target_runs: at the target.
    """

    cheap_runs: int
    cheap_cost: float
    target_runs: int

    @classmethod
    def of(cls, costs: Floats) -> Done:
        """From the cost of each run; one at the target costs 1."""
        cheap = costs < 1 - 1e-9
        return cls(int(cheap.sum()), float(costs[cheap].sum()), int((~cheap).sum()))


@dataclass(frozen=True)
class Options:
    """Runs to choose from.

    Attributes:
        points: Q mixtures at scales.
        costs: (Q,) in target runs.
        at_target: (Q,) whether it is a run at the target.
    """

    points: Points
    costs: Floats
    at_target: Bools


@dataclass(frozen=True)
class Choice:
    """The run that was chosen, and why.

    Attributes:
        index: of the option.
        why: `information` (most for its cost) or `check` (the recommendation is run at the target, as the guard on
            cheap runs has it).
        worth: how much it is expected to lower the objective at the target.
    """

    index: int
    why: Literal["information", "check"]
    worth: float


def choose(
    belief: Belief, options: Options, best: float | None, done: Done, settings: ChoiceSettings
) -> Choice | None:
    """The next run; None where there is nothing to choose from.

    Args:
        belief: about the candidates at the target, with runs under way believed in.
        options: what can be run.
        best: least objective measured at the target; None before the first run there.
        done: runs so far, those under way included.
        settings: how.
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
        left: of the budget, in target runs.
    """
    slack = 1 + 1e-9
    kept = np.where((costs < 1 - 1e-9) & (left * slack >= 1), 1.0, 0.0)
    return costs + kept <= left * slack
