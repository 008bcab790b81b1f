"""What an answer about downstream scores needs besides: laws do not know where errors end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mixopt.methods.base import Estimate, Recommendation
from mixopt.objective import UNITS

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.objective import Objective


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
