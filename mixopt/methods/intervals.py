"""95 % intervals from replicates, which always hold the estimate that they are of, and forecasts made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats
from mixopt.methods.base import Estimate, Recommendation
from mixopt.mixture import Mixture, total_variation
from mixopt.objective import UNITS

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.objective import Objective


# Mixtures nearer than this are the same one, over which nothing is gained.
_SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Prediction:
    """The objective of one mixture."""

    weights: Floats  # (K,) the mixture
    value: float  # the objective
    draws: Floats  # (B,) what replicates say that it is
    error: float = 0.0  # the law's own standard error, which replicates know nothing of

    @property
    def interval(self) -> tuple[float, float]:
        """Of the objective."""
        return percentiles(self.value, self.draws, self.error)


def percentiles(value: float, draws: Floats, error: float = 0.0) -> tuple[float, float]:
    """95 % percentile interval of (B,) replicates, widened to hold the estimate `value` itself.

    A standard error that they do not hold is added in quadrature, on either side.
    """
    low, high = np.quantile(draws, [0.025, 0.975])
    below, above = max(value - float(low), 0.0), max(float(high) - value, 0.0)
    return value - float(np.hypot(below, 1.96 * error)), value + float(np.hypot(above, 1.96 * error))


def weight_intervals(mixture: Mixture, draws: Floats) -> dict[str, tuple[float, float]]:
    """The interval of each weight, by domain, from (B, K) replicates of the mixture."""
    return {
        domain: percentiles(weight, draws[:, index]) for index, (domain, weight) in enumerate(mixture.to_dict().items())
    }


def forecast(
    best: Prediction,
    others: Mapping[str, Prediction],
    *,
    optimism: float = 0.0,
    between: Mapping[str, float] | None = None,
    usual: float = 1.0,
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Predicted objectives, of `recommended` and of each other mixture, and gains over each other mixture.

    Args:
        best: the recommended mixture, of the same replicates as the others.
        optimism: by how much a mixture that was chosen for its prediction promises too much (Efron 2004), in the
            objective's units; widens its intervals to the worse side.
        between: the law's own standard error of the gain over each, by name, for mixtures at the usual distance.
        usual: total variation distance at which that holds; of nearer ones the error is less in proportion.
    """
    low, high = best.interval
    predicted, gains = {"recommended": Estimate(best.value, low, high + optimism)}, {}
    for name, other in others.items():
        predicted[name] = Estimate(other.value, *other.interval)
        gain, apart = 1 - best.value / other.value, float(total_variation(best.weights, other.weights))
        error = (between or {}).get(name, 0.0) * min(1.0, apart / usual)
        low, high = percentiles(gain, 1 - best.draws / other.draws, error)
        gains[name] = Estimate(gain, low - (optimism / other.value if apart > _SAME else 0.0), high)
    return predicted, gains


def bounded(recommendation: Recommendation, objective: Objective, history: History) -> Recommendation:
    """The advice with predicted errors held where errors can be: from 0, to 1 where all measured ones are.

    Power laws and exponentials of a mixture have no such bounds. A prediction that had to be cut is told in a
    warning; gains stay as they were computed, those above 100 % cut to that.
    """
    if objective.units != UNITS or not len(history):
        return recommendation
    values = objective.value(history.losses, history.eval_domains, history.domains)
    most = 1.0 if values.max() <= 1 else float("inf")
    outside = [name for name, part in recommendation.predicted.items() if not 0 <= part.value <= most]
    warnings = recommendation.warnings
    if outside:
        warnings += (
            f"the law predicts an error below 0 or above 1 for {', '.join(outside)}, which was cut there: it is "
            "far outside of what was measured; --verify measures it",
        )
    return replace(
        recommendation,
        predicted={name: _cut(part, 0.0, most) for name, part in recommendation.predicted.items()},
        gains={name: _cut(part, -float("inf"), 1.0) for name, part in recommendation.gains.items()},
        warnings=warnings,
    )


def _cut(estimate: Estimate, least: float, most: float) -> Estimate:
    def cut(value: float | None) -> float | None:
        return None if value is None else min(max(value, least), most)

    return Estimate(min(max(estimate.value, least), most), cut(estimate.low), cut(estimate.high))
