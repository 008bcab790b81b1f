"""What mixtures are predicted to reach at the target, with error bars: by the joint law.

The geometric predictor is about optima and says nothing of losses, so one law predicts for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.search.base import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mixopt.mixture import Mixture
    from mixopt.search.autoscale_scales import Joint


@dataclass(frozen=True)
class Forecast:
    """Predictions at the target.

    Attributes:
        predicted: the objective of `recommended` and of each other mixture, by name; none if `impossible`.
        gains: relative improvement of the recommended mixture over each other one, by name.
        impossible: the law's value where it cannot be right (a loss below 0, a perplexity below 1); else None.
    """

    predicted: dict[str, Estimate]
    gains: dict[str, Estimate]
    impossible: float | None = None

    @classmethod
    def of(
        cls,
        joint: Joint,
        drawn: NDArray[np.float64],
        target: int,
        recommended: Mixture,
        others: Mapping[str, Mixture],
    ) -> Forecast:
        """Predict, with 95 % intervals: the law's replicates, and what it missed of runs that it had not seen.

        A mixture chosen on noisy runs promises too much; the optimism is Efron's (2004), as in
        `mixopt.search.ddo_fit.resample`: what each replicate promises for its own optimum, less what the fitted law
        says of it. It widens the recommended mixture's intervals to the worse side.

        Args:
            joint: the law and its replicates.
            drawn: (B, K) the joint law's optimum at the target in each replicate.
            target: tokens.
            recommended: the mixture advised.
            others: mixtures to compare with, by name.
        """
        fit, laws = joint.fit, joint.replicates
        promised = laws.predict_own(drawn, target)
        optimism = max(0.0, float((fit.predict(target * drawn) - promised).mean()))
        misfit, between = fit.misfit(target), fit.misfit(target, differences=True)
        # That of differences is of runs as far apart as the law's own; of nearer mixtures it is less in proportion.
        shares = fit.fit.cells.tokens / fit.fit.cells.totals[:, None]
        usual = float(0.5 * np.abs(shares - shares.mean(axis=0)).sum(axis=1).mean())
        value, draws = _predict(joint, target * recommended.array)
        least = 1.0 if fit.fit.objective.units == "perplexity" else 0.0
        if value <= least:
            return cls({}, {}, value)
        low, high = _interval(value, draws, misfit * value)
        predicted = {"recommended": Estimate(value, low, high + optimism)}
        gains = {}
        for name, mixture in others.items():
            other, other_draws = _predict(joint, target * mixture.array)
            predicted[name] = Estimate(other, *_interval(other, other_draws, misfit * other))
            gain = 1 - value / other
            apart = mixture.distance(recommended)
            low, high = _interval(gain, 1 - draws / other_draws, between * min(1.0, apart / usual))
            gains[name] = Estimate(gain, low - optimism / other if apart > 1e-9 else low, high)
        return cls(predicted, gains)


def _predict(joint: Joint, tokens: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    return float(joint.fit.predict(tokens)), joint.replicates.predict(tokens)


def _interval(value: float, draws: NDArray[np.float64], misfit: float) -> tuple[float, float]:
    """95 % percentile interval of the draws, and the law's own standard error beside them, in quadrature."""
    low, high = np.quantile(draws, [0.025, 0.975])
    wide = 1.96 * misfit
    below, above = max(value - float(low), 0.0), max(float(high) - value, 0.0)
    return value - float(np.hypot(below, wide)), value + float(np.hypot(above, wide))
