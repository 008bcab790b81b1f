"""What ADSO knows after some runs: the fitted model, candidate mixtures, and the runs that can be asked for.

Symbols: K domains, R runs, V losses, P candidates, S scales, Q options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Bools, Floats, Indices
from mixopt.methods.adso.choice import Belief, Done, Options, affordable, pinned
from mixopt.methods.adso.fidelity_model import FidelityModel, Points
from mixopt.methods.simplex.candidates import Candidates, was_run

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.methods.adso.scales import Ladder, Measured
    from mixopt.objective import Objective

# The best few, about which more candidates are drawn.
_CENTRES = 8
# Candidates that are options of a run, at every scale.
_OPTIONS = 64
# Cheap runs between two fits of the hyperparameters; in between the model is only conditioned on them.
_REFIT = 8


@dataclass(frozen=True)
class State:
    """Runs, those under way among them, and what they tell."""

    history: History  # the finished runs
    measured: Measured  # the same as a model sees them
    ladder: Ladder  # the scales
    objective: Objective  # what is minimised
    model: FidelityModel  # a process for each loss
    pending: Floats  # (k, K) mixtures of runs under way, which the model believes in
    pending_scales: Indices  # (k,) their scales

    @classmethod
    def of(
        cls,
        history: History,
        ladder: Ladder,
        objective: Objective,
        first: int | None = None,
        memory: dict[bytes, list[Floats]] | None = None,
    ) -> State:
        """Fit the model to a history of two runs or more.

        Args:
            first: runs of the initial design; after them hyperparameters are fitted anew to all runs with each one
                at the target and each eight cheap ones, in the order of the history. None to fit them to all runs.
            memory: hyperparameters by the runs that they were fitted to, kept from call to call to save time.
        """
        measured = ladder.measured(history)
        head = measured.run < (len(history) if first is None else _fitted(measured.scale, ladder, first))
        points, losses = measured.points.select(head), measured.losses[head]
        memory, key = {} if memory is None else memory, points.inputs.tobytes() + losses.tobytes()
        model = FidelityModel.fit(points, losses, memory.get(key))
        memory.clear()
        memory[key] = [process.theta for process in model.processes]
        model = model.observe(measured.points.select(~head), measured.losses[~head])
        nothing = np.zeros((0, len(history.domains)))
        return cls(history, measured, ladder, objective, model, nothing, np.zeros(0, dtype=np.intp))

    @property
    def costs(self) -> Floats:
        """Of all runs, in target runs."""
        return np.append(self.measured.costs, self.ladder.costs[self.pending_scales])

    @property
    def done(self) -> Done:
        """Runs so far by kind; those of the ladder's target are the target runs."""
        scales = np.append(self.measured.scale, self.pending_scales)
        cheap = scales != len(self.ladder.scales) - 1
        return Done(int(cheap.sum()), float(self.costs[cheap].sum()), int((~cheap).sum()))

    @property
    def at_target(self) -> Bools:
        """(R,) which finished runs are at the target."""
        return self.measured.scale == len(self.ladder.scales) - 1

    @property
    def best(self) -> float | None:
        """Least objective measured at the target; None before the first run there."""
        losses = self.history.losses[self.at_target]
        return float(self.value(losses).min()) if len(losses) else None

    def value(self, losses: Floats) -> Floats:
        """The objective of losses (…, V)."""
        return self.objective.value(losses, self.history.eval_domains, self.history.domains)

    def belief(self, weights: Floats) -> Belief:
        """About mixtures (P, K) at the target."""
        return Belief.of(self.model, self.value, self.measured.at_target(weights))

    def pool(self, candidates: Candidates, rng: np.random.Generator) -> Floats:
        """(P, K) mixtures to recommend from, the finer the better they look."""

        def hopeful(pool: Floats) -> Indices:
            belief = self.belief(pool)
            return np.union1d(belief.mean.argsort()[:_CENTRES], belief.optimistic.argsort()[:_CENTRES])

        return candidates.pool(self.history.weights, hopeful, rng)

    def pinned(self, pool: Floats) -> State:
        """The state with the level of the target taken for known, where nothing was run there."""
        if self.done.target_runs:
            return self
        return replace(self, model=pinned(self.model, self.value, self.measured.at_target(pool)))

    def options(self, belief: Belief, candidates: Candidates, left: float) -> tuple[Options, Indices]:
        """The most hopeful candidates at every scale that is paid for, and (Q,) the scale of each.

        A mixture is not run again at a scale.
        """
        pool = belief.candidates.weights
        paid = affordable(self.ladder.costs, left)
        rows: list[Floats] = []
        for index, scale in enumerate(self.ladder.scales):
            ran = self._ran(index)
            there = candidates.runnable(scale.place, pool, ran) if paid[index] else pool[:0]
            said = belief if there is pool else self.belief(there)
            hopeful = there[np.union1d(said.optimistic.argsort()[:_OPTIONS], said.mean.argsort()[: _OPTIONS // 4])]
            rows.append(hopeful[~was_run(hopeful, ran)])
        scales = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
        points = Points(np.concatenate(rows), self.measured.coordinates[scales])
        return Options(points, self.ladder.costs[scales], scales == len(self.ladder.scales) - 1), scales

    def was_at_target(self, weights: Floats) -> bool:
        """Whether a mixture (K,) was run at the target, or is under way there."""
        return bool(was_run(weights[None], self._ran(len(self.ladder.scales) - 1))[0])

    def _ran(self, scale: int) -> Floats:
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

    def agreement(self, weights: Floats) -> Floats:
        """(S,) correlation over mixtures of the objective at each scale with the target's, about `weights` (K,)."""
        slopes = self.belief(weights[None, :]).slopes[0]
        return self.model.agreement(slopes, self.measured.coordinates)


def _fitted(scale: Indices, ladder: Ladder, first: int) -> int:
    """How many of the runs at scales (R,) hyperparameters are fitted to."""
    fitted = min(first, len(scale))
    for count, index in enumerate(scale[first:].tolist(), start=first + 1):
        if index == len(ladder.scales) - 1 or count - fitted >= _REFIT:
            fitted = count
    return fitted
