"""Tokens to reach a baseline's final value: the papers' headline measure ("38 % fewer steps than uniform").

AutoScale (Kang et al. 2024, section 5) reports the steps that a mixture saves until it is as good as a baseline is
at its end. Symbols: P points of a curve, S seeds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mixopt.comparison import Measured, Reach
from mixopt.units import format_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixopt.arrays import Floats
    from mixopt.study.compare.measure import Side


def first_crossing(tokens: Floats, values: Floats, target: float) -> float | None:
    """Tokens at which a falling curve is first at or below `target`.

    Between two points the curve is the monotone cubic through the running minimum over log tokens (Fritsch and
    Carlson's, `scipy.interpolate.PchipInterpolator`): a curve that rises for a while through noise is not read as
    a second chance, and nothing lies outside the two points.

    Args:
        tokens: (P,) increasing, above 0.
        values: (P,) of the objective.
        target: the value to reach.

    Returns:
        None if no point is at or below the target; the first point's tokens if that is so already there.
    """
    reached = np.flatnonzero(values <= target)
    if not reached.size:
        return None
    last = int(reached[0])
    if last == 0:
        return float(tokens[0])
    from scipy.interpolate import PchipInterpolator
    from scipy.optimize import root_scalar

    position = np.log(tokens)
    curve = PchipInterpolator(position, np.minimum.accumulate(values))
    # The point itself may be the crossing, where rounding could leave no change of sign to find.
    if values[last] == target:
        return float(tokens[last])
    found = root_scalar(lambda x: float(curve(x)) - target, bracket=(position[last - 1], position[last]))
    return math.exp(found.root)


def reach(
    tokens: Sequence[int], values: Floats, targets: Floats, baseline_tokens: int, *, paired: bool = True
) -> Reach:
    """Tokens that a mixture needs to be as good as a baseline is at its end.

    The estimate is where the mean curve over seeds first crosses the baseline's mean final value. Its interval is
    a t interval in the logarithm of tokens, around the estimate, from the spread of the seeds' own crossings.

    Args:
        tokens: P training tokens of the curve's points.
        values: (S, P) objective of each seed of the mixture, the last column at the end.
        targets: (S,) final objective of the baseline, seed by seed where `paired`, else its mean S times.
        baseline_tokens: training tokens of the baseline's runs.
        paired: whether seeds are paired; without, there is no interval, as the baseline's noise would be left out.
    """
    grid = np.asarray(tokens, dtype=np.float64)
    own = tuple(first_crossing(grid, row, target) for row, target in zip(values, targets, strict=True))
    mean, target = values.mean(axis=0), float(targets.mean())
    crossing = first_crossing(grid, mean, target)
    if crossing is None:
        reason = (
            f"never reached: {mean.min():.4g} at best in {format_count(grid[-1])} tokens, the baseline ends at "
            f"{target:.4g}"
        )
        return Reach(tokens=None, saved=None, low=None, high=None, seeds=own, reason=reason)
    low = high = None
    reason = _no_interval(own, paired=paired)
    if reason is None:
        from scipy.stats import t

        error = Measured.of([math.log(found) for found in own if found is not None]).standard_error or 0.0
        width = float(t.ppf(0.975, len(own) - 1)) * error
        # More tokens are less saved: the ends change places.
        low, high = (1 - crossing * math.exp(sign * width) / baseline_tokens for sign in (1, -1))
    return Reach(
        tokens=crossing, saved=1 - crossing / baseline_tokens, low=low, high=high, seeds=own, reason=reason
    )


def _no_interval(own: Sequence[float | None], *, paired: bool) -> str | None:
    """Why there is no interval; None if there is one."""
    if not paired:
        return "no interval: the two share no seed"
    if len(own) < 2:
        return "no interval: it needs two seeds or more"
    never = sum(found is None for found in own)
    return f"no interval: {never} of {len(own)} seeds never reach it" if never else None


def not_available(reason: str) -> Reach:
    """The reach where it cannot be told."""
    return Reach(tokens=None, saved=None, low=None, high=None, seeds=(), reason=f"not available: {reason}")


def reached(own: Side, baseline: Side, at_end: bool) -> Reach:
    """Tokens that one measured mixture needs to be where another ends."""
    curve, evaluation = own.entry.curve, own.spec.evaluation
    measured_on = baseline.spec.evaluation.tokens_per_domain
    if own.spec.data.fingerprint != baseline.spec.data.fingerprint:
        return not_available("the data differ, so that a token is not the same amount of text")
    if at_end:
        return not_available("the objective reads scores of tasks, which are measured at the end of a run only")
    if curve is None:
        return not_available("the runs kept no curves, or not at the same tokens")
    if not curve.comparable or evaluation.tokens_per_domain != measured_on:
        return not_available(
            f"its curve is measured on {evaluation.point_tokens_per_domain} validation tokens a domain, the "
            f"baseline's end on {measured_on}; train both with evaluation.point_tokens_per_domain = "
            "evaluation.tokens_per_domain"
        )
    ends = baseline.scores.objective
    pairs = [row for row, seed in enumerate(own.entry.seeds) if seed in ends]
    rows = pairs or list(range(len(own.entry.seeds)))
    targets = [ends[own.entry.seeds[row]] if pairs else baseline.entry.objective.value for row in rows]
    return reach(
        curve.tokens, np.array(curve.values)[rows], np.array(targets), baseline.entry.tokens, paired=bool(pairs)
    )
