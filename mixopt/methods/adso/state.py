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
        seeds: runs of a scale take turns with these.
        pending: (k, K) mixtures of runs under way, which the model believes in.
        pending_scales: (k,) their scales.
        pending_seeds: (k,) their seeds.
    """

    history: History
    measured: Measured
    ladder: Ladder
    objective: Objective
    model: FidelityModel
    seeds: tuple[int, ...]
    pending: NDArray[np.float64]
    pending_scales: NDArray[np.intp]
    pending_seeds: NDArray[np.int64]

    @classmethod
    def of(cls, history: History, ladder: Ladder, objective: Objective, seeds: tuple[int, ...]) -> State:
        """Fit the model to a history of two runs or more."""
        measured = ladder.measured(history)
        model = FidelityModel.fit(measured.points, measured.losses)
        nothing, none = np.zeros((0, len(history.domains))), np.zeros(0, dtype=np.int64)
        return cls(history, measured, ladder, objective, model, seeds, nothing, none.astype(np.intp), none)

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

    def next_seed(self, scale: int) -> int:
        """Of a run at a scale: the seeds take turns there."""
        runs = np.count_nonzero(self.measured.scale == scale) + np.count_nonzero(self.pending_scales == scale)
        return self.seeds[runs % len(self.seeds)]

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

        A mixture is not run again at a scale with the same seed.

        Args:
            belief: about the candidates.
            left: of the budget, in target runs.
        """
        weights = belief.candidates.weights
        hopeful = np.union1d(belief.optimistic.argsort()[:_OPTIONS], belief.mean.argsort()[: _OPTIONS // 4])
        target = len(self.ladder.scales) - 1
        paid = affordable(self.ladder.costs, left)
        rows: list[NDArray[np.intp]] = []
        seeds = np.array([self.next_seed(index) for index in range(len(self.ladder.scales))])
        for index, seed in enumerate(seeds):
            ran = (self.measured.scale == index) & (self.history.seeds == seed)
            waits = (self.pending_scales == index) & (self.pending_seeds == seed)
            done = np.vstack([self.history.weights[ran], self.pending[waits]])
            near_by = 0.5 * np.abs(weights[hopeful, None, :] - done[None, :, :]).sum(axis=2) <= _SAME
            rows.append(hopeful[~near_by.any(axis=1)] if paid[index] else hopeful[:0])
        scales = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
        several = self.measured.points.seeds is not None
        points = Points(
            weights[np.concatenate(rows)], self.measured.coordinates[scales], seeds[scales] if several else None
        )
        return Options(points, self.ladder.costs[scales], scales == target), scales

    def was_at_target(self, weights: NDArray[np.float64]) -> bool:
        """Whether a mixture (K,) was run at the target, or is under way there."""
        waits = self.pending_scales == len(self.ladder.scales) - 1
        ran = np.vstack([self.history.weights[self.at_target], self.pending[waits]])
        return bool((0.5 * np.abs(ran - weights).sum(axis=1) <= _SAME).any())

    def next_at_target(self, weights: NDArray[np.float64]) -> Points:
        """Mixtures (m, K) as the next runs at the target."""
        points = self.measured.at_target(weights)
        seed = self.next_seed(len(self.ladder.scales) - 1)
        return points if points.seeds is None else replace(points, seeds=np.full(len(points), seed))

    def believing(self, run: Points, scale: int) -> State:
        """The state with one more run under way."""
        return replace(
            self,
            model=self.model.believe(run),
            pending=np.vstack([self.pending, run.weights]),
            pending_scales=np.append(self.pending_scales, scale),
            pending_seeds=np.append(self.pending_seeds, self.next_seed(scale)),
        )

    def agreement(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(S,) correlation over mixtures of the objective at each scale with the target's, about `weights` (K,)."""
        slopes = self.belief(weights[None, :]).slopes[0]
        return self.model.agreement(slopes, self.measured.coordinates)
