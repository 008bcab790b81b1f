"""What ADSO knows after some runs: the fitted model, candidate mixtures, and the runs that can be asked for.

Symbols: K domains, R runs, V losses, P candidates, S scales, Q options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixopt.methods.adso.acquisition import Belief, pinned
from mixopt.methods.adso.candidates import abroad, near
from mixopt.methods.adso.choice import Done, Options, affordable
from mixopt.methods.adso.fidelity_model import FidelityModel, Points
from mixopt.solve.projection import project

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixopt.history import History
    from mixopt.methods.adso.scales import Ladder, Measured
    from mixopt.objective import Objective
    from mixopt.solve import Bounds

# Candidates from all over and about the best ones, and rounds of the latter.
_ABROAD, _NEAR, _ROUNDS, _CENTRES = 512, 256, 2, 8
# Candidates that are options of a run, at every scale.
_OPTIONS = 64
# Total variation within which two mixtures are the same run: runs hold whole sequences.
_SAME = 0.005


@dataclass(frozen=True)
class State:
    """Runs, those under way among them, and what they tell.

    Attributes:
        history: the finished runs.
        measured: the same as a model sees them.
        ladder: the scales.
        objective: what is minimised.
        model: a process for each loss.
        pending: (k, K) mixtures of runs under way, which the model believes in.
        pending_scales: (k,) their scales.
    """

    history: History
    measured: Measured
    ladder: Ladder
    objective: Objective
    model: FidelityModel
    pending: NDArray[np.float64]
    pending_scales: NDArray[np.intp]

    @classmethod
    def of(cls, history: History, ladder: Ladder, objective: Objective) -> State:
        """Fit the model to a history of two runs or more."""
        measured = ladder.measured(history)
        model = FidelityModel.fit(measured.points, measured.losses)
        nothing = np.zeros((0, len(history.domains)))
        return cls(history, measured, ladder, objective, model, nothing, np.zeros(0, dtype=np.intp))

    @property
    def costs(self) -> NDArray[np.float64]:
        """Of all runs, in target runs."""
        return np.append(self.measured.costs, self.ladder.costs[self.pending_scales])

    @property
    def done(self) -> Done:
        """Runs so far by kind; those of the ladder's target are the target runs."""
        scales = np.append(self.measured.scale, self.pending_scales)
        cheap = scales != len(self.ladder.scales) - 1
        return Done(int(cheap.sum()), float(self.costs[cheap].sum()), int((~cheap).sum()))

    @property
    def at_target(self) -> NDArray[np.bool_]:
        """(R,) which finished runs are at the target."""
        return self.measured.scale == len(self.ladder.scales) - 1

    @property
    def best(self) -> float | None:
        """Least objective measured at the target; None before the first run there."""
        losses = self.history.losses[self.at_target]
        return float(self.value(losses).min()) if len(losses) else None

    def value(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """The objective of losses (…, V)."""
        return self.objective.value(losses, self.history.eval_domains, self.history.domains)

    def belief(self, weights: NDArray[np.float64]) -> Belief:
        """About mixtures (P, K) at the target."""
        return Belief.of(self.model, self.value, self.measured.at_target(weights))

    def candidates(
        self, natural: NDArray[np.float64], bounds: Bounds, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """(P, K) those that were run, from all over, and ever closer about the best."""
        run = np.unique(self.history.weights.round(12), axis=0)
        # What a run saw is off its mixture by parts of a sequence, and so may be off the bounds.
        within = ((run >= bounds.floors - _SAME) & (run <= bounds.caps + _SAME)).all(axis=1)
        run = project(run[within], bounds.floors, bounds.caps) if within.any() else run[:0]
        pool = np.vstack([run, abroad(natural, bounds, _ABROAD, rng)])
        for _ in range(_ROUNDS):
            belief = self.belief(pool)
            hopeful = np.union1d(belief.mean.argsort()[:_CENTRES], belief.optimistic.argsort()[:_CENTRES])
            pool = np.vstack([pool, near(pool[hopeful], bounds, _NEAR, rng)])
        return pool

    def pinned(self, pool: NDArray[np.float64]) -> State:
        """The state with the level of the target taken for known, where nothing was run there."""
        if self.done.target_runs:
            return self
        return replace(self, model=pinned(self.model, self.value, self.measured.at_target(pool)))

    def options(self, belief: Belief, left: float) -> tuple[Options, NDArray[np.intp]]:
        """The most hopeful candidates at every scale that is paid for, and (Q,) the scale of each.

        A mixture is not run again at a scale.

        Args:
            belief: about the candidates.
            left: of the budget, in target runs.
        """
        weights = belief.candidates.weights
        hopeful = np.union1d(belief.optimistic.argsort()[:_OPTIONS], belief.mean.argsort()[: _OPTIONS // 4])
        target = len(self.ladder.scales) - 1
        paid = affordable(self.ladder.costs, left)
        rows: list[NDArray[np.intp]] = []
        for index in range(len(self.ladder.scales)):
            near_by = 0.5 * np.abs(weights[hopeful, None, :] - self._ran(index)[None, :, :]).sum(axis=2) <= _SAME
            rows.append(hopeful[~near_by.any(axis=1)] if paid[index] else hopeful[:0])
        scales = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
        points = Points(weights[np.concatenate(rows)], self.measured.coordinates[scales])
        return Options(points, self.ladder.costs[scales], scales == target), scales

    def was_at_target(self, weights: NDArray[np.float64]) -> bool:
        """Whether a mixture (K,) was run at the target, or is under way there."""
        ran = self._ran(len(self.ladder.scales) - 1)
        return bool((0.5 * np.abs(ran - weights).sum(axis=1) <= _SAME).any())

    def _ran(self, scale: int) -> NDArray[np.float64]:
        """Mixtures (m, K) that were run at a scale, or are under way there."""
        return np.vstack(
            [self.history.weights[self.measured.scale == scale], self.pending[self.pending_scales == scale]]
        )

    def believing(self, run: Points, scale: int) -> State:
        """The state with one more run under way."""
        return replace(
            self,
            model=self.model.believe(run),
            pending=np.vstack([self.pending, run.weights]),
            pending_scales=np.append(self.pending_scales, scale),
        )

    def agreement(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(S,) correlation over mixtures of the objective at each scale with the target's, about `weights` (K,)."""
        slopes = self.belief(weights[None, :]).slopes[0]
        return self.model.agreement(slopes, self.measured.coordinates)
