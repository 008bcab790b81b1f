"""What mixtures are predicted to reach at a target, with error bars: by a joint law.

AutoScale's geometric predictor is about optima and says nothing of losses, so this predicts for it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.methods.base import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mixopt.methods.joint.law_of_runs import JointFit, JointReplicates
    from mixopt.mixture import Mixture


@dataclass(frozen=True)
class Forecast:
    """Predictions at the target.

    Attributes:
        predicted: the objective of `recommended` and of each other mixture, by name; none if `impossible`.
        gains: relative improvement of the recommended mixture over each other one, by name.
        impossible: the law's least value where it cannot be right (a loss not above 0, a perplexity not above 1),
            for whichever of the mixtures; else None.
    """

    predicted: dict[str, Estimate]
    gains: dict[str, Estimate]
    impossible: float | None = None

    @classmethod
    def of(
        cls,
        fit: JointFit,
        laws: JointReplicates,
        drawn: NDArray[np.float64],
        target: int,
        recommended: Mixture,
        others: Mapping[str, Mixture],
    ) -> Forecast:
        """Predict, with 95 % intervals: the law's replicates, and what it missed of runs that it had not seen.

        A mixture chosen on noisy runs promises too much; the optimism is Efron's (2004), as in
        `mixopt.methods.ddo.fit.resample`: what each replicate promises for its own optimum, less what the law
        says of it. It widens the recommended mixture's intervals to the worse side.

        Args:
            fit: the law.
            laws: its replicates.
            drawn: (B, K) the optimum at the target under each of them.
            target: tokens.
            recommended: the mixture advised.
            others: mixtures to compare with, by name.
        """
        promised = laws.predict_own(drawn, target)
        optimism = max(0.0, float((fit.predict(target * drawn) - promised).mean()))
        misfit, between = fit.misfit(target), fit.misfit(target, differences=True)
        # That of differences is of runs as far apart as the law's own; of nearer mixtures it is less in proportion.
        shares = fit.fit.cells.tokens / fit.fit.cells.totals[:, None]
        usual = float(0.5 * np.abs(shares - shares.mean(axis=0)).sum(axis=1).mean())
        found = {
            name: (float(fit.predict(target * mixture.array)), laws.predict(target * mixture.array))
            for name, mixture in {"recommended": recommended, **others}.items()
        }
        lowest = min(value for value, _ in found.values())
        if lowest <= (1.0 if fit.fit.objective.units == "perplexity" else 0.0):
            return cls({}, {}, lowest)
        value, draws = found["recommended"]
        low, high = _interval(value, draws, misfit * value)
        predicted = {"recommended": Estimate(value, low, high + optimism)}
        gains = {}
        for name, mixture in others.items():
            other, other_draws = found[name]
            predicted[name] = Estimate(other, *_interval(other, other_draws, misfit * other))
            gain = 1 - value / other
            apart = mixture.distance(recommended)
            low, high = _interval(gain, 1 - draws / other_draws, between * min(1.0, apart / usual))
            gains[name] = Estimate(gain, low - optimism / other if apart > 1e-9 else low, high)
        return cls(predicted, gains)


def _interval(value: float, draws: NDArray[np.float64], misfit: float) -> tuple[float, float]:
    """95 % percentile interval of the draws, and the law's own standard error beside them, in quadrature."""
    low, high = np.quantile(draws, [0.025, 0.975])
    wide = 1.96 * misfit
    below, above = max(value - float(low), 0.0), max(float(high) - value, 0.0)
    return value - float(np.hypot(below, wide)), value + float(np.hypot(above, wide))
