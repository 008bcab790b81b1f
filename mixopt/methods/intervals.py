"""95 % intervals from replicates, which always hold the estimate that they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixopt.mixture import Mixture


def percentiles(value: float, draws: NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile interval of (B,) replicates, widened to hold the estimate `value` itself."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return min(float(low), value), max(float(high), value)


def weight_intervals(mixture: Mixture, draws: NDArray[np.float64]) -> dict[str, tuple[float, float]]:
    """The interval of each weight, by domain, from (B, K) replicates of the mixture."""
    return {
        domain: percentiles(weight, draws[:, index])
        for index, (domain, weight) in enumerate(mixture.to_dict().items())
    }
