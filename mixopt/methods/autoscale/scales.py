"""DDO at each of AutoScale's scales, and the two ways to carry their optima on to a target.

Symbols: S scales, K domains, B replicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixopt.arrays import Bools, Floats
from mixopt.errors import ConfigError
from mixopt.methods.autoscale.extrapolate import Growth
from mixopt.methods.ddo.analysis import Analysis, Sweep
from mixopt.methods.ddo.fit import PRESETS, Replicates
from mixopt.solve.simplex import AT_BOUND
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.methods.ddo.searcher import Ddo, DdoSettings
    from mixopt.methods.joint.law_of_runs import JointFit, JointReplicates
    from mixopt.objective import Objective
    from mixopt.solve import Bounds


@dataclass(frozen=True, eq=False)
class Scale:
    """DDO's answer at one scale."""

    tokens: int  # of the base run
    bounds: Bounds  # floors (and caps) of the mixture there
    analysis: Analysis  # the runs, the laws, the optimum
    replicates: Replicates  # what else the runs could have said, drawn independently of other scales

    @classmethod
    def of(cls, ddo: Ddo, history: History, seed: int) -> Scale:
        """Find the scale's runs, fit and solve.

        Raises:
            ConfigError: runs are missing; the message names the scale and the runs.
        """
        settings, preset = ddo.settings, PRESETS[ddo.settings.preset]
        try:
            sweep = Sweep.of(ddo.design, history, settings.seeds, preset)
            analysis = Analysis.of(sweep, settings.objective, preset, ddo.bounds, settings.noise)
        except ConfigError as error:
            raise ConfigError(f"scale {format_count(ddo.design.tokens)}: {error}") from error
        replicates = analysis.replicates(preset, ddo.bounds, settings.replicates, seed)
        return cls(ddo.design.tokens, ddo.bounds, analysis, replicates)

    def under(self, objective: Objective, settings: DdoSettings) -> Scale:
        """The same runs under another objective; the replicates stay those of this one."""
        preset = PRESETS[settings.preset]
        return replace(self, analysis=Analysis.of(self.analysis.sweep, objective, preset, self.bounds, settings.noise))

    @property
    def name(self) -> str:
        """`800k`."""
        return format_count(self.tokens)

    @property
    def weights(self) -> Floats:
        """(K,) the optimum."""
        return self.analysis.fitted.solution.weights

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs that it rests on."""
        return self.analysis.sweep.runs.runs

    def pinned(self, weights: Floats) -> Bools:
        """(…, K) which of these weights are at a bound of this scale."""
        return (weights <= self.bounds.floors + AT_BOUND) | (weights >= self.bounds.caps - AT_BOUND)

    def value(self, weights: Floats) -> float:
        """Predicted objective of a mixture at this scale, in the objective's units, by the scale's own laws."""
        return self.analysis.relative(weights) * self.analysis.base


class Predictor(Protocol):
    """A way to the optimum at any number of tokens."""

    def at(self, total: float, bounds: Bounds) -> Floats:
        """(K,) the optimum."""
        ...

    def drawn(self, total: float, bounds: Bounds) -> Floats:
        """(B, K) the optimum in each replicate."""
        ...


class Geometric:
    """Theorem 1 on the scales' optima, and on each replicate of them.

    Attributes:
        growth: lines through the optima, (K,).
    """

    def __init__(self, scales: Sequence[Scale]) -> None:
        self._scales = scales
        totals = np.array([scale.tokens for scale in scales], dtype=np.float64)
        best = np.stack([scale.weights for scale in scales])
        self.growth = Growth.fit(totals, best, np.stack([s.pinned(s.weights) for s in scales]))
        self._totals = totals

    @cached_property
    def replicates(self) -> Growth:
        """Lines through each replicate's optima, (B, K)."""
        draws = [scale.replicates.weights for scale in self._scales]
        pinned = [scale.pinned(drawn) for scale, drawn in zip(self._scales, draws, strict=True)]
        return Growth.fit(self._totals, np.stack(draws, axis=1), np.stack(pinned, axis=1))

    def at(self, total: float, bounds: Bounds) -> Floats:
        """(K,) the optimum."""
        return self.growth.at(total, bounds)

    def drawn(self, total: float, bounds: Bounds) -> Floats:
        """(B, K) the optimum in each replicate."""
        return self.replicates.at(total, bounds)


class Joint:
    """One law for all runs of all scales, minimised at the target.

    Attributes:
        fit: the law.
    """

    def __init__(self, fit: JointFit, count: int) -> None:
        self.fit = fit
        self._count = count

    @cached_property
    def replicates(self) -> JointReplicates:
        """Laws of resampled runs."""
        return self.fit.replicates(self._count)

    def at(self, total: float, bounds: Bounds) -> Floats:
        """(K,) the optimum."""
        return self.fit.optimum(total, bounds)[0]

    def drawn(self, total: float, bounds: Bounds) -> Floats:
        """(B, K) the optimum in each replicate."""
        return self.replicates.optima(total, bounds)
