"""A mixture held against a baseline: seed by seed where they share seeds, else by their means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixopt.comparison import Measured, Versus

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Scores:
    """What a mixture scored, seed by seed.

    Attributes:
        objective: the objective by seed; above 0.
        domains: perplexity (or bits per byte) by domain, then by seed; above 0.
    """

    objective: Mapping[int, float]
    domains: Mapping[str, Mapping[int, float]]


def versus(own: Scores, baseline: Scores) -> Versus:
    """`own` against `baseline`.

    Runs of one seed share initialisation and data order (common random numbers), so that differences seed by seed
    are less noisy than the difference of two means.
    """
    gain, freedom = relative_gain(own.objective, baseline.objective)
    common = own.objective.keys() & baseline.objective.keys()
    domains = {name: relative_gain(seeds, baseline.domains[name])[0] for name, seeds in own.domains.items()}
    low = high = p_value = None
    if gain.standard_error is not None:
        from scipy.stats import t

        width = float(t.ppf(0.975, freedom)) * gain.standard_error
        low, high = gain.value - width, gain.value + width
        if gain.standard_error > 0:
            p_value = 2 * float(t.sf(abs(gain.value) / gain.standard_error, freedom))
    return Versus(
        gain=gain,
        low=low,
        high=high,
        p_value=p_value,
        paired=bool(common),
        wins=sum(own.objective[seed] < baseline.objective[seed] for seed in common),
        losses=sum(own.objective[seed] > baseline.objective[seed] for seed in common),
        domains=domains,
        domain_wins=sum(part.value > 0 for part in domains.values()),
        domain_losses=sum(part.value < 0 for part in domains.values()),
    )


def relative_gain(own: Mapping[int, float], baseline: Mapping[int, float]) -> tuple[Measured, float]:
    """Relative improvement over a baseline (0.03: 3 % lower), and the degrees of freedom behind its error.

    Args:
        own: values by seed.
        baseline: the same of the baseline.

    Returns:
        Over the seeds that both have, the mean of 1 − own / baseline. Where they share none, 1 − the ratio of the
        means with its error by the delta method, and Welch's degrees of freedom.
    """
    common = sorted(own.keys() & baseline.keys())
    if common:
        gains = Measured.of([1 - own[seed] / baseline[seed] for seed in common])
        return gains, len(common) - 1
    mine, theirs = Measured.of(list(own.values())), Measured.of(list(baseline.values()))
    ratio = mine.value / theirs.value
    if mine.standard_error is None or theirs.standard_error is None:
        return Measured(1 - ratio, None, ()), 0
    parts = [mine.standard_error / theirs.value, ratio * theirs.standard_error / theirs.value]
    error = math.hypot(*parts)
    if error == 0:
        return Measured(1 - ratio, 0.0, ()), 1
    freedom = error**4 / sum(
        part**4 / (count - 1) for part, count in zip(parts, (len(own), len(baseline)), strict=True)
    )
    return Measured(1 - ratio, error, ()), freedom
