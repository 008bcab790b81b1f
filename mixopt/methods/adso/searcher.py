"""ADSO: adaptive data mixture and scale optimisation, a few runs at a time.

Chooses (mixture, model size, tokens) by what a run tells about the target for its cost. Source: "ADSO: Adaptive
Data Mixture & Scale Optimization", ICLR 2025 workshop; docs/adso.md tells what is different here, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats
from mixopt.errors import ConfigError
from mixopt.methods.adso.advice import advise
from mixopt.methods.adso.choice import Choice, ChoiceSettings, choose, runs_paid
from mixopt.methods.adso.state import State
from mixopt.methods.base import Proposal, Recommendation, Searcher
from mixopt.methods.simplex.candidates import Candidates, Simplex
from mixopt.mixture import Mixture
from mixopt.objective import MeanPerplexity, Objective
from mixopt.role import Role
from mixopt.solve import Supply, make_bounds

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.methods.adso.fidelity_model import Points
    from mixopt.methods.adso.scales import Ladder, Scale

# Fewer runs than these say nothing about any mixture.
_FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class AdsoSettings:
    """How ADSO searches.

    Raises:
        ConfigError: a number outside its range.
    """

    budget: float = 10.0  # most to spend, in target runs
    batch: int = 1  # runs asked for at once; each is chosen as if those before it had come out as predicted
    objective: Objective = field(default_factory=MeanPerplexity)  # what is minimised
    choice: ChoiceSettings = field(default_factory=ChoiceSettings)  # how runs are chosen
    # stop when no run is expected to lower the objective by this share of it; 0 to spend the budget
    tolerance: float = 0.0
    floor: str | float = 0.0  # least weight of a domain, as `0.02` or `0.2x` (of uniform)
    supply: Supply | None = None  # how much text there is for the target, which caps weights; None for no caps
    seed: int = 0  # of candidates, and of every run: several in turns measured no better

    def __post_init__(self) -> None:
        if not self.budget >= 1:
            raise ConfigError(f"budget: expected at least 1 (one run at the target), found {self.budget:g}")
        if self.batch < 1:
            raise ConfigError(f"batch: expected one run or more, found {self.batch}")
        if not 0 <= self.tolerance < 1:
            raise ConfigError(f"tolerance: expected a share from 0 to below 1, found {self.tolerance:g}")


class Adso(Searcher):
    """A `Searcher` that asks for a few runs at a time.

    Attributes:
        ladder: the scales; with the target alone this is Bayesian optimisation at a single fidelity.
        settings: the settings.
        candidates: what can be run and recommended.
        bounds: floors and caps.
        baselines: mixtures to compare with, by name; the initial design begins with them.
        wants: points of learning curves are data too, and histories should hold them.
    """

    wants = frozenset({"curves"})

    def __init__(
        self,
        natural: Mixture,
        ladder: Ladder,
        settings: AdsoSettings | None = None,
        baselines: Mapping[str, Mixture] | None = None,
        candidates: Candidates | None = None,
    ) -> None:
        """Set up the search.

        Args:
            natural: natural shares, about which half of the candidates are drawn.
            settings: None for the defaults.
            baselines: mixtures to predict beside the uniform one, by name (`natural`).
            candidates: what can be run; None for all mixtures within the settings' bounds.

        Raises:
            ConfigError: settings, bounds or mixtures that do not fit together.
        """
        self.settings, self.ladder, self.natural = settings or AdsoSettings(), ladder, natural
        self.candidates = candidates or Simplex(
            natural, make_bounds(natural.domains, self.settings.floor, self.settings.supply)
        )
        self.bounds = self.candidates.bounds
        given = {name: mixture.ordered(natural.domains) for name, mixture in (baselines or {}).items()}
        if "recommended" in given:
            raise ConfigError("baselines: the name `recommended` is taken")
        self.baselines = {"uniform": Mixture.uniform(natural.domains), **given}
        self._memory: dict[bytes, list[Floats]] = {}

    def ask(self, history: History) -> list[Proposal]:
        """The initial design, while nothing is finished; then batches; nothing when the budget is spent."""
        if not len(history):
            return self._initial()
        if len(history) < _FEWEST:
            return []
        state = State.of(history, self.ladder, self.settings.objective, self._first, self._memory)
        pool = state.pool(self.candidates, self._rng(len(history)))
        state = state.pinned(pool)
        proposals: list[Proposal] = []
        while len(proposals) < self.settings.batch:
            left = self.settings.budget - float(state.costs.sum())
            belief = state.belief(pool)
            options, scales = state.options(belief, self.candidates, left)
            choice = choose(belief, options, state.best, state.done, self.settings.choice)
            if choice is None or self._enough(choice, state.best):
                break
            run, scale = options.points.select(slice(choice.index, choice.index + 1)), int(scales[choice.index])
            number = len(history) + len(proposals) + 1
            anchor = self._anchor(state, left) if options.at_target[choice.index] else None
            if anchor:
                name, run = anchor
                proposals.append(self._anchoring(run.weights[0], name, number))
            else:
                agreement = float(state.agreement(run.weights[0])[scale])
                proposals.append(self._proposal(run.weights[0], self.ladder.scales[scale], number, choice, agreement))
            state = state.believing(run, scale)
        return proposals

    def recommend(self, history: History) -> Recommendation:
        """The mixture of the least posterior mean at the target, with intervals and warnings.

        Raises:
            ConfigError: fewer than three runs.
        """
        if len(history) < _FEWEST:
            raise ConfigError(f"ADSO: expected {_FEWEST} runs or more to recommend from, found {len(history)}")
        ordered = history.select(np.argsort(history.runs))  # so that nothing depends on the order of rows
        state = State.of(ordered, self.ladder, self.settings.objective)
        pool = state.pool(self.candidates, self._rng(len(history)))
        return advise(state, pool, self.bounds, self.baselines, self.settings.supply, self.settings.seed)

    def predict(self, history: History, weights: Floats) -> Floats:
        """(P,) the objective of mixtures (P, K) at the target, by the model that the next run is chosen with.

        Raises:
            ConfigError: fewer than three runs.
        """
        if len(history) < _FEWEST:
            raise ConfigError(f"ADSO: expected {_FEWEST} runs or more to predict from, found {len(history)}")
        state = State.of(history, self.ladder, self.settings.objective, self._first, self._memory)
        return state.belief(weights).mean

    @property
    def _first(self) -> int:
        """Runs of the initial design."""
        scale = self.ladder.scales[0]
        count = self.settings.choice.initial_runs(len(self.natural.domains), scale.cost)
        return max(1, min(count, runs_paid(scale.cost, self.settings.budget)))

    def _initial(self) -> list[Proposal]:
        """Baselines, then mixtures from all over, at the cheapest scale."""
        scale = self.ladder.scales[0]
        rows = self.candidates.first(self._first, tuple(self.baselines.values()), scale.place, self._rng(0))
        return [
            Proposal(
                mixture=self._mixture(row),
                tokens=scale.tokens,
                seed=self.settings.seed,
                role=Role("design", str(number), f"#{number} initial design, {scale}: {_price(scale.cost)}"),
                model=scale.model,
            )
            for number, row in enumerate(rows, start=1)
        ]

    def _anchor(self, state: State, left: float) -> tuple[str, Points] | None:
        """The better baseline by prediction, for the second run at the target if the first was no baseline.

        Gains over it would else rest on shorter runs, which may rank it otherwise. Not for the last of the money.
        """
        place = self.ladder.target.place
        named = np.array([self.candidates.closest(mixture, place) for mixture in self.baselines.values()])
        if state.done.target_runs != 1 or left < 2 or any(state.was_at_target(weights) for weights in named):
            return None
        best = int(np.argmin(state.belief(named).mean))
        return list(self.baselines)[best], state.measured.at_target(named[[best]])

    def _anchoring(self, weights: Floats, name: str, number: int) -> Proposal:
        return Proposal(
            mixture=self._mixture(weights),
            tokens=self.ladder.target.tokens,
            seed=self.settings.seed,
            role=Role("baseline", name, f"#{number} target: {name}, the baseline to beat"),
            model=self.ladder.target.model,
        )

    def _proposal(self, weights: Floats, scale: Scale, number: int, choice: Choice, agreement: float) -> Proposal:
        """A run, told why: what it costs, and how far its scale goes with the target."""
        if choice.why == "check" or scale is self.ladder.target:
            reason = "the most promising mixture" if choice.why == "check" else f"worth {choice.worth:.2g}"
            role = f"#{number} target: {reason}"
        else:
            role = f"#{number} {scale}: costs {_price(scale.cost)}, correlation {agreement:.2f} with it"
        return Proposal(
            mixture=self._mixture(weights),
            tokens=scale.tokens,
            seed=self.settings.seed,
            role=Role("choice", str(number), role),
            model=scale.model,
        )

    def _enough(self, choice: Choice, best: float | None) -> bool:
        """Whether no run is worth its while: never before the target was run."""
        return best is not None and choice.worth < self.settings.tolerance * abs(best)

    def _mixture(self, weights: Floats) -> Mixture:
        return Mixture.of_array(self.natural.domains, weights)

    def _rng(self, runs: int) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, runs])


def _price(cost: float) -> str:
    """A cost as people say it: `1/60 of the target`."""
    if cost >= 1:
        return "the target"
    return f"1/{1 / cost:.0f} of the target" if cost < 0.105 else f"{cost:.2g} of the target"
