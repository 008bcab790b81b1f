"""The best of the mixtures that were trained, and what the noise of runs makes of that.

Symbols: C mixtures, B replicates, K domains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Bools, Floats
from mixopt.methods.intervals import Prediction, forecast
from mixopt.mixture import Mixture, total_variation

if TYPE_CHECKING:
    from mixopt.methods.base import Estimate
    from mixopt.methods.swarm.runs import Swarm


@dataclass(frozen=True, eq=False)
class BestMeasured:
    """The mixture with the least measured objective."""

    cell: int  # which mixture of the swarm
    values: Floats  # (C,) measured objectives
    spread: Floats  # (C,) their standard errors
    drawn: Floats  # (B, K) the best mixture of each replicate, in which noise is added anew
    draws: Floats  # (B, C) the replicates' objectives
    optimism: float  # by how much the least of C noisy numbers is too low, on average: the winner's curse

    @classmethod
    def of(cls, swarm: Swarm, values: Floats, noise: float, allowed: Bools, replicates: int) -> BestMeasured:
        """Choose, and resample (parametric bootstrap).

        Each replicate takes the measured objectives for true and adds noise: its winner shows how open the choice
        is, and by how much its winning number is below the truth is the winner's curse.

        Args:
            values: (C,) objectives.
            noise: standard deviation of one run's objective.
            allowed: (C,) the mixtures that may be chosen.
        """
        rng = np.random.default_rng(0)
        spread = noise * swarm.layout.spread
        draws = values + spread * rng.standard_normal((replicates, len(values)))
        rivals = np.where(allowed, draws, np.inf)
        winners = rivals.argmin(axis=1)
        optimism = float((values[winners] - rivals.min(axis=1)).mean())
        return cls(
            int(np.where(allowed, values, np.inf).argmin()),
            values,
            spread,
            swarm.weights[winners],
            draws,
            max(0.0, optimism),
        )

    def forecast(self, swarm: Swarm, others: Mapping[str, Mixture]) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
        """Measured objectives and gains with 95 % intervals, of the winner and of others that were trained."""

        def measured(cell: int) -> Prediction:
            return Prediction(swarm.weights[cell], float(self.values[cell]), self.draws[:, cell])

        cells = {name: nearest(swarm, mixture) for name, mixture in others.items()}
        trained = {name: measured(cell) for name, cell in cells.items() if cell is not None}
        return forecast(measured(self.cell), trained, optimism=self.optimism)

    def warnings(self, units: str, *, assumed: bool) -> list[str]:
        """The winner's curse, in words."""
        count = len(self.values)
        said = [
            f"the least of {count} noisy measurements is too low on average, here by {self.optimism:.2g} {units} "
            "(the winner's curse): the interval allows for it, and --verify measures the mixture anew"
        ]
        apart = np.hypot(self.spread, self.spread[self.cell])
        ties = int((self.values - self.values[self.cell] < 2 * apart).sum())
        if ties > 1:
            said.append(
                f"{ties} of {count} mixtures are within the noise of the best; more --seeds would tell them apart, "
                "and a law of all runs (--regressor auto) uses the others too"
            )
        if assumed:
            said.append(
                f"the noise of a run is assumed ({self.spread.max():.2g} {units}), as no run is repeated; "
                "--seeds 2 measures it"
            )
        return said


def nearest(swarm: Swarm, mixture: Mixture) -> int | None:
    """The swarm's mixture that is this one, to the rounding of its runs; None where it was not trained."""
    away = total_variation(swarm.weights, mixture.array)
    cell = int(away.argmin())
    return cell if away[cell] <= swarm.rounding else None
