"""What mixtures are predicted to reach at a target, with error bars: by a joint law.

AutoScale's geometric predictor is about optima and says nothing of losses, so this predicts for it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixopt.arrays import Floats
from mixopt.methods.intervals import Prediction, forecast
from mixopt.mixture import Mixture, total_variation

if TYPE_CHECKING:
    from mixopt.methods.base import Estimate
    from mixopt.methods.joint.law_of_runs import JointFit, JointReplicates


@dataclass(frozen=True)
class Forecast:
    """Predictions at the target."""

    # the objective of `recommended` and of each other mixture, by name; none if `impossible`
    predicted: dict[str, Estimate]
    gains: dict[str, Estimate]  # relative improvement of the recommended mixture over each other one, by name
    # the law's least value where it cannot be right (a loss not above 0, a perplexity not above 1), for whichever of
    # the mixtures; else None
    impossible: float | None = None

    @classmethod
    def of(
        cls,
        fit: JointFit,
        laws: JointReplicates,
        drawn: Floats,
        target: int,
        recommended: Mixture,
        others: Mapping[str, Mixture],
    ) -> Forecast:
        """Predict, with 95 % intervals: the law's replicates, and what it missed of runs that it had not seen.

        A mixture chosen on noisy runs promises too much; the optimism is Efron's (2004), as in
        `mixopt.methods.ddo.fit.resample`: what each replicate promises for its own optimum, less what the law
        says of it. It widens the recommended mixture's intervals to the worse side.

        Args:
            drawn: (B, K) the optimum at the target under each of them.
            target: tokens.
        """
        promised = laws.predict_own(drawn, target)
        optimism = max(0.0, float((fit.predict(target * drawn) - promised).mean()))
        misfit, between = fit.misfit(target), fit.misfit(target, differences=True)
        # That of differences is of runs as far apart as the law's own; of nearer mixtures it is less in proportion.
        shares = fit.fit.cells.tokens / fit.fit.cells.totals[:, None]
        usual = float(total_variation(shares, shares.mean(axis=0)).mean())

        def prediction(mixture: Mixture) -> Prediction:
            amounts = target * mixture.array
            value = float(fit.predict(amounts))
            return Prediction(mixture.array, value, laws.predict(amounts), misfit * value)

        best, found = prediction(recommended), {name: prediction(mixture) for name, mixture in others.items()}
        lowest = min(one.value for one in (best, *found.values()))
        if lowest <= (1.0 if fit.fit.objective.units == "perplexity" else 0.0):
            return cls({}, {}, lowest)
        return cls(*forecast(best, found, optimism=optimism, between=dict.fromkeys(found, between), usual=usual))
