"""A mixture held against a baseline: seed by seed where they share seeds, else by their means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixopt.comparison import Measured, Versus
from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mixopt.comparison import Metric
    from mixopt.spec import RunSpec


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
                f"{name!r} differs from {baseline!r} in more than the mixture: "
                f"{', '.join(differences[:_MOST])}{more}"
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
