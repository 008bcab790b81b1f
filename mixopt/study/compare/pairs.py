"""A mixture held against a baseline: what must be the same, gains, and tokens to reach the baseline's final value.

Gains are seed by seed where the two share seeds, else of their means. Tokens to reach are the papers' headline
measure ("38 % fewer steps than uniform"): AutoScale (Kang et al. 2024, section 5) reports the steps that a mixture
saves until it is as good as a baseline is at its end. Symbols: P points of a curve, S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Floats
from mixopt.comparison import Measured, Metric, Reach, Versus
from mixopt.errors import ConfigError
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.spec import RunSpec
    from mixopt.study.compare.measure import Scores, Side


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

    Both have values by seed.

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


# Parts of a spec that may differ: what is compared, what has a check of its own, and what changes no number.
_FREE = ("seed", "policy", "objective", "data.fingerprint", "data.domains", "evaluation.only", "evaluation.points",
         "evaluation.point_tokens_per_domain")  # fmt: skip
_MOST = 4


def check_comparable(specs: Mapping[str, RunSpec], baseline: str, metric: Metric) -> list[str]:
    """Refuse what cannot be compared, of a spec of each entry, and say what else differs.

    Returns:
        Warnings, a sentence each.

    Raises:
        ConfigError: causal against masked models, other evaluation domains, or perplexities on other data; bits per
            byte of masked models.
    """
    reference = specs[baseline]
    if metric == "bits-per-byte" and reference.objective == "masked":
        raise ConfigError(
            f"--metric bits-per-byte: {baseline!r} is a masked model, whose losses are of some tokens only; leave "
            "--metric out"
        )
    others = {name: spec for name, spec in specs.items() if name != baseline}
    warnings: list[str] = []
    for name, spec in others.items():
        _check_objective(name, _kind(spec), baseline, _kind(reference))
        _check_domains(name, spec, baseline, reference)
        if spec.data.fingerprint != reference.data.fingerprint:
            _check_data(name, spec, baseline, reference, metric)
            warnings.append(
                f"{name!r} and {baseline!r} were trained on different prepared data: bits per byte are "
                "comparable only where the validation text of each domain is the same, which names do not show"
            )
        if set(spec.data.domains) != set(reference.data.domains):
            warnings.append(
                f"{name!r} was trained on {', '.join(spec.data.domains)}; averages go over the training domains of "
                f"{baseline!r}"
            )
        differences = list(_differences(spec.to_dict(), reference.to_dict()))
        if differences:
            more = f" and {len(differences) - _MOST} more" if len(differences) > _MOST else ""
            warnings.append(
                f"{name!r} differs from {baseline!r} in more than the mixture: {', '.join(differences[:_MOST])}{more}"
            )
    return warnings


def _kind(spec: RunSpec) -> str:
    return "whole-word masked" if spec.whole_word else spec.objective


def _check_objective(name: str, objective: str, baseline: str, expected: str) -> None:
    if objective != expected:
        raise ConfigError(
            f"{name!r} is a {objective} model and {baseline!r} a {expected} one: their losses are over different "
            "predictions and cannot be compared; compare runs of one objective"
        )


def _check_domains(name: str, spec: RunSpec, baseline: str, reference: RunSpec) -> None:
    own, expected = set(spec.measured), set(reference.measured)
    if own != expected:
        parts = [
            f"only {who!r} has {', '.join(sorted(names))}"
            for who, names in ((name, own - expected), (baseline, expected - own))
            if names
        ]
        raise ConfigError(
            f"{name!r} and {baseline!r} were measured on different domains ({'; '.join(parts)}): averages would "
            "not be comparable; compare runs with the same evaluation domains"
        )


def _check_data(name: str, spec: RunSpec, baseline: str, reference: RunSpec, metric: Metric) -> None:
    if metric == "perplexity":
        raise ConfigError(
            f"{name!r} and {baseline!r} were trained on different data or tokenizers (fingerprints "
            f"{spec.data.fingerprint[:12]} and {reference.data.fingerprint[:12]}): perplexities are not "
            "comparable; use --metric bits-per-byte if the validation text is the same"
        )


def _differences(own: dict[str, Any], other: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """`model.layers 4 against 6`, for every field that may not differ unsaid."""
    for key, value in own.items():
        path = f"{prefix}{key}"
        if path in _FREE or value == other[key]:
            continue
        if isinstance(value, dict):
            yield from _differences(value, other[key], f"{path}.")
        else:
            yield f"{path} {value} against {other[key]}"


def first_crossing(tokens: Floats, values: Floats, target: float) -> float | None:
    """Tokens at which a falling curve is first at or below `target`.

    Between two points the curve is the monotone cubic through the running minimum over log tokens (Fritsch and
    Carlson's, `scipy.interpolate.PchipInterpolator`): a curve that rises for a while through noise is not read as
    a second chance, and nothing lies outside the two points.

    Args:
        tokens: (P,) increasing, above 0.
        values: (P,) of the objective.

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
    return Reach(tokens=crossing, saved=1 - crossing / baseline_tokens, low=low, high=high, seeds=own, reason=reason)


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
