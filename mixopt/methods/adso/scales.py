"""Model sizes and tokens that a study may train at, and a history of runs as points of a model of them.

Symbols: R runs, S scales, J axes of scale (model size, tokens, what is left of the run), V losses.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats, Indices
from mixopt.errors import ConfigError
from mixopt.methods.adso.fidelity_model import Points
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.history import CurvePoints, History

# Runs hold whole batches, so that their tokens are only nearly those of a scale.
_SAME = 0.05
# Points of a learning curve that are used of each run: neighbours on a curve tell the same.
_POINTS = 2


@dataclass(frozen=True)
class Scale:
    """A model size and a number of tokens."""

    model: str | None  # preset of the model; None for the study's
    parameters: int  # its size
    tokens: int  # training tokens
    cost: float  # FLOPs of a run in multiples of a target run's

    @property
    def place(self) -> tuple[str | None, int]:
        """Where a run of this scale is made: preset of the model, and tokens."""
        return self.model, self.tokens

    def holds(self, parameters: float, tokens: float) -> bool:
        """Whether a run of this size and length is one of this scale; a size of 0 is unknown, and any."""
        same_size = not self.parameters or abs(parameters / self.parameters - 1) < _SAME
        return same_size and abs(tokens / self.tokens - 1) < _SAME

    def __str__(self) -> str:
        return f"{self.model or f'{format_count(self.parameters)} parameters'}, {format_count(self.tokens)} tokens"


@dataclass(frozen=True)
class Measured:
    """A history, as a model and a budget see it."""

    points: Points  # runs, then points of their learning curves
    run: Indices  # (n,) the run that each is of
    losses: Floats  # (n, V) nats/token
    costs: Floats  # (R,) of each run, in target runs
    scale: Indices  # (R,) index of each run's scale; −1 for one of another scale
    coordinates: Floats  # (S, J) of the ladder's scales, on the axes that `points` have

    def at_target(self, weights: Floats) -> Points:
        """Mixtures (m, K) at the target."""
        return Points(weights, np.zeros((len(weights), self.coordinates.shape[1])))


@dataclass(frozen=True)
class Ladder:
    """The scales of a search.

    Raises:
        ConfigError: there is none, one is there twice, or the target is not the largest in size and in tokens.
    """

    scales: tuple[Scale, ...]  # S of them in ascending cost; the last is the target

    def __post_init__(self) -> None:
        if not self.scales:
            raise ConfigError("scales: expected one or more, found none")
        ordered = tuple(sorted(self.scales, key=lambda scale: (scale.cost, scale.parameters)))
        object.__setattr__(self, "scales", ordered)
        target = ordered[-1]
        if abs(target.cost - 1) > 1e-9:
            raise ConfigError(f"scales: the target, {target}, must cost 1, found {target.cost:g}")
        for one, other in itertools.pairwise(ordered):
            if (one.parameters, one.tokens) == (other.parameters, other.tokens):
                raise ConfigError(f"scales: {one} is there twice; leave one out")
        for scale in ordered:
            if scale.parameters > target.parameters or scale.tokens > target.tokens:
                raise ConfigError(
                    f"scales: {scale} is larger than the target, {target}; the target must be the largest in model "
                    "size and in tokens"
                )

    @property
    def target(self) -> Scale:
        """The scale that the mixture is meant for."""
        return self.scales[-1]

    @property
    def costs(self) -> Floats:
        """(S,) in target runs."""
        return np.array([scale.cost for scale in self.scales])

    @property
    def coordinates(self) -> Floats:
        """(S, 3) decades below the target in model size and tokens, and what is left of the run: nothing."""
        return np.array([self._below(scale.parameters, scale.tokens) for scale in self.scales])

    def _below(self, parameters: float, tokens: float, length: float | None = None) -> tuple[float, float, float]:
        left = 0.0 if length is None else float(np.log10(length / tokens))
        sizes = np.log10(self.target.parameters / parameters) if self.target.parameters else 0.0
        return float(sizes), float(np.log10(self.target.tokens / tokens)), left

    def measured(self, history: History) -> Measured:
        """The history as points; a model size of 0, which is unknown, is taken to be the target's."""
        sizes = np.where(history.parameters > 0, history.parameters, self.target.parameters)
        scale = np.array(
            [self._nearest(size, tokens) for size, tokens in zip(sizes, history.tokens, strict=True)], dtype=np.intp
        )
        own = [self._below(size, tokens) for size, tokens in zip(sizes, history.tokens, strict=True)]
        where = np.where((scale >= 0)[:, None], self.coordinates[scale], np.array(own).reshape(-1, 3))
        elsewhere = sizes * history.tokens / max(1, self.target.parameters * self.target.tokens)
        costs = np.where(scale >= 0, self.costs[scale], elsewhere)
        weights, losses, curves, inside = history.weights, history.losses, history.curves, self._inside(history)
        run = np.arange(len(history))
        if curves is not None and len(inside):
            runs = curves.run[inside]
            run = np.append(run, runs)
            pairs = zip(runs, curves.tokens[inside], strict=True)
            points = [self._below(float(sizes[run]), float(at), float(history.tokens[run])) for run, at in pairs]
            weights = np.vstack([weights, weights[runs]])
            where = np.vstack([where, np.array(points)])
            losses = np.vstack([losses, curves.losses[inside]])
        axes = np.ptp(self.coordinates, axis=0) > 0
        axes[2] = len(inside) > 0
        return Measured(Points(weights, where[:, axes]), run, losses, costs, scale, self.coordinates[:, axes])

    def _nearest(self, parameters: float, tokens: float) -> int:
        return next((index for index, scale in enumerate(self.scales) if scale.holds(parameters, tokens)), -1)

    def _inside(self, history: History) -> Indices:
        """Points of learning curves that are used: two a run, none of less than the fewest tokens of a scale."""
        curves: CurvePoints | None = history.curves
        fewest = min(scale.tokens for scale in self.scales)
        if curves is None or fewest == self.target.tokens:
            return np.zeros(0, dtype=np.intp)
        chosen: list[int] = []
        for run, length in enumerate(history.tokens):
            mine = np.flatnonzero((curves.run == run) & (curves.tokens >= fewest) & (curves.tokens < 0.99 * length))
            mine = mine[np.argsort(curves.tokens[mine])]
            places = np.linspace(0, len(mine) - 1, min(_POINTS, len(mine))).round().astype(int)
            chosen += mine[places].tolist()
        return np.array(chosen, dtype=np.intp)
