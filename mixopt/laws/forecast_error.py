"""How well laws that were fitted to the first part of a run forecast its end (Jiang et al. 2024, Figure 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats
from mixopt.laws.ado_fit import LawFit, fit_laws
from mixopt.laws.annealing_fit import fit_annealing
from mixopt.laws.huber_newton import LawBounds

if TYPE_CHECKING:
    from mixopt.laws.annealing import RateSchedule

FRACTIONS = (1 / 6, 1 / 2, 5 / 6)  # 10,000, 30,000 and 50,000 of 60,000 steps, as in the paper
LAST = 0.05  # share of the run whose mean loss is forecast
MIN_POINTS = 20  # as ADO's `robust` preset asks for


@dataclass(frozen=True, eq=False)
class ForecastError:
    """What one law said of the end, at one time."""

    law: str  # `power` or `schedule-aware`
    fraction: float  # of the run that it was fitted to
    # (K,) forecast over measured mean loss of the last stretch, minus 1; NaN for a domain with fewer than 20 points
    # until then, or none in the last stretch
    errors: Floats

    @property
    def median(self) -> float:
        """Median of the sizes of the errors over domains; NaN without any."""
        sizes = np.abs(self.errors[np.isfinite(self.errors)])
        return float(np.median(sizes)) if sizes.size else float("nan")


def last_losses(tokens: Floats, losses: Floats, weights: Floats, total: float) -> Floats:
    """(K,) mean training losses of the last stretch, weighted as the points are; NaN without a point.

    Args:
        tokens: (P,) training tokens at each point.
        losses: (P, K) nats/token, of any value where the weight is 0.
        weights: (P, K), at least 0.
        total: tokens of the run.
    """
    return _mean(losses, _late(tokens, weights, total))


def forecast_errors(
    tokens: Floats, losses: Floats, weights: Floats, schedule: RateSchedule, fractions: Sequence[float] = FRACTIONS
) -> list[ForecastError]:
    """Fit both laws to the points of the first part of a run, and compare what they say of its end.

    Bounds are those of ADO's `robust` preset, whatever the run itself used: the laws are what is compared.

    Args:
        tokens: (P,) training tokens at each point, positive and increasing.
        losses: (P, K) training losses, nats/token; of any value where the weight is 0.
        weights: (P, K) weight of each point, at least 0.
        schedule: of the learning rate, its samples being tokens.

    Returns:
        For each fraction the power law's errors, then the schedule-aware law's. All NaN at a fraction where no
        domain has points enough.
    """
    late = _late(tokens, weights, schedule.total)
    measured = _mean(losses, late)
    found = []
    for fraction in fractions:
        seen = tokens <= fraction * schedule.total
        enough = (weights[seen] > 0).sum(axis=0) >= MIN_POINTS
        for law in ("power", "schedule-aware"):
            errors = np.full(measured.size, np.nan)
            if enough.any():
                part = losses[seen][:, enough].T, weights[seen][:, enough].T
                said = _fit(law, tokens[seen], *part, schedule).laws.loss(tokens)  # (P, enough)
                errors[enough] = _mean(said, late[:, enough]) / measured[enough] - 1
            found.append(ForecastError(law, fraction, errors))
    return found


def _fit(law: str, tokens: Floats, losses: Floats, weights: Floats, schedule: RateSchedule) -> LawFit:
    if law == "schedule-aware":
        return fit_annealing(tokens, losses, weights, schedule=schedule)
    bounds = LawBounds.scale_free(tokens, np.where(weights > 0, losses, np.nan))
    return fit_laws(tokens, losses, weights, bounds=bounds)


def _late(tokens: Floats, weights: Floats, total: float) -> Floats:
    """(P, K) the weights of the last stretch alone."""
    return np.where((tokens > (1 - LAST) * total)[:, None], weights, 0.0)


def _mean(losses: Floats, weights: Floats) -> Floats:
    total = weights.sum(axis=0)
    summed = np.where(weights > 0, losses * weights, 0.0).sum(axis=0)
    return np.where(total > 0, summed / np.where(total > 0, total, 1.0), np.nan)
