"""Finished runs of several mixtures beside one another: losses by domain, gains, tokens to reach.

Symbols: S seeds, P points of a curve, V evaluation domains.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixopt.comparison import Comparison, DomainScore, Entry, Measured, Metric, Reach, ValueCurve, Worst
from mixopt.errors import ConfigError
from mixopt.search.objective import MeanLoss, WeightedLoss, WorstLoss
from mixopt.study.comparable import check_comparable
from mixopt.study.paired import Scores, versus
from mixopt.study.reach import not_available, reach

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixopt.result import RunResult
    from mixopt.search.objective import Objective
    from mixopt.spec import RunSpec

    Run = tuple[RunSpec, RunResult]


def compare_runs(
    groups: Mapping[str, Sequence[Run]],
    objective: Objective,
    baselines: Sequence[str],
    metric: Metric = "perplexity",
    notes: Sequence[str] = (),
) -> Comparison:
    """Hold groups of runs against one another.

    Args:
        groups: runs by name of their mixture; those of one group differ in their seed only.
        objective: what gains and tokens to reach are told in.
        baselines: names of groups, the main one first.
        metric: compare perplexities (nats/token), or bits per byte, which do not depend on the tokenizer.
        notes: warnings that are known already.

    Raises:
        ConfigError: a group has no finished run, or the groups cannot be compared.
    """
    warnings = list(notes)
    finished = {name: _finished(name, runs, warnings) for name, runs in groups.items()}
    specs = {name: runs[0][0] for name, runs in finished.items()}
    main = baselines[0]
    warnings += check_comparable(specs, main, metric)
    if metric == "bits-per-byte":
        objective = in_bits(objective)
    shared = _Shared(objective, metric, specs[main].measured, specs[main].data.domains)
    sides = {name: _Side.of(name, runs, shared) for name, runs in finished.items()}
    warnings += _seed_warnings(sides, main)
    entries = {
        name: replace(
            side.entry,
            versus={other: versus(side.scores, sides[other].scores) for other in baselines if other != name},
            tokens_to_reach={other: _reach(side, sides[other]) for other in baselines if other != name},
        )
        for name, side in sides.items()
    }
    return Comparison(
        id=_identity(entries, baselines, objective, metric),
        objective=objective.name,
        units=objective.units,
        metric=metric,
        tokens=specs[main].tokens,
        baselines=tuple(baselines),
        averaged=shared.averaged,
        entries=entries,
        warnings=tuple(warnings),
    )


def in_bits(objective: Objective) -> Objective:
    """The objective on bits per byte in place of nats/token; a mean perplexity becomes their mean."""
    if isinstance(objective, WorstLoss | WeightedLoss):
        return replace(objective, units="bits/byte")
    return MeanLoss(name="mean_bits_per_byte", units="bits/byte")


@dataclass(frozen=True)
class _Shared:
    """What all groups are measured by: V domains in their order, and those that averages go over."""

    objective: Objective
    metric: Metric
    domains: tuple[str, ...]
    averaged: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Side:
    """One group, measured: its entry (not yet held against others), and what that needs."""

    entry: Entry
    scores: Scores
    spec: RunSpec

    @classmethod
    def of(cls, name: str, runs: Sequence[Run], shared: _Shared) -> _Side:
        losses = np.array([[result.losses()[domain] for domain in shared.domains] for _, result in runs])
        bits = _bits(runs, shared.domains)
        chosen, scale = losses, np.ones_like(losses)
        if shared.metric == "bits-per-byte":
            if bits is None:
                raise ConfigError(f"{name!r}: its runs have no bits per byte; leave out --metric bits-per-byte")
            chosen, scale = bits, bits / losses
        objective = shared.objective.value(chosen, shared.domains, shared.averaged)
        compared = np.exp(losses) if shared.metric == "perplexity" else chosen
        seeds = tuple(spec.seed for spec, _ in runs)
        columns = [shared.domains.index(domain) for domain in shared.averaged]
        worst = shared.averaged[int(np.argmax(chosen[:, columns].mean(axis=0)))]
        spec = runs[0][0]
        domains = {
            domain: DomainScore(
                trained=domain in spec.data.domains,
                loss=_measured(losses[:, column]),
                ppl=_measured(np.exp(losses[:, column])),
                bits_per_byte=None if bits is None else _measured(bits[:, column]),
                epochs=float(np.mean([result.domains[domain].epochs for _, result in runs])),
            )
            for column, domain in enumerate(shared.domains)
        }
        entry = Entry(
            weights=spec.mixture.to_dict(),
            policy=spec.policy.name,
            runs=tuple(result.run_id for _, result in runs),
            seeds=seeds,
            tokens=spec.tokens,
            objective=_measured(objective),
            mean_loss=_measured(losses[:, columns].mean(axis=1)),
            mean_ppl=_measured(np.exp(losses[:, columns]).mean(axis=1)),
            mean_bits_per_byte=None if bits is None else _measured(bits[:, columns].mean(axis=1)),
            worst=Worst(domain=worst, loss=domains[worst].loss, ppl=domains[worst].ppl),
            domains=domains,
            curve=_value_curve(runs, shared, scale),
        )
        scores = Scores(
            objective=dict(zip(seeds, objective.tolist(), strict=True)),
            domains={
                domain: dict(zip(seeds, compared[:, column].tolist(), strict=True))
                for column, domain in enumerate(shared.domains)
            },
        )
        return cls(entry, scores, spec)


def _measured(values: NDArray[np.float64]) -> Measured:
    return Measured.of(values.tolist())


def _bits(runs: Sequence[Run], domains: Sequence[str]) -> NDArray[np.float64] | None:
    rows = [[result.domains[domain].bits_per_byte for domain in domains] for _, result in runs]
    return None if any(value is None for row in rows for value in row) else np.array(rows, dtype=np.float64)


def _finished(name: str, runs: Sequence[Run], warnings: list[str]) -> list[Run]:
    """The finished runs by seed; the others are named."""
    lost = [(spec, result) for spec, result in runs if result.status != "finished"]
    told = [f"run {result.run_id} (seed {spec.seed}) {result.status}: {result.error}" for spec, result in lost]
    if len(lost) == len(runs):
        raise ConfigError(
            f"{name!r}: none of its {len(runs)} runs finished ({told[0] if told else 'there are none'}); train "
            "them, or leave the mixture out"
        )
    warnings += [f"{name!r} is without a seed: {text}" for text in told]
    return sorted((run for run in runs if run[1].status == "finished"), key=lambda run: run[0].seed)


def _seed_warnings(sides: Mapping[str, _Side], main: str) -> list[str]:
    reference = sides[main].entry.seeds
    return [
        f"{name!r} has the seeds {_list(side.entry.seeds)} and {main!r} {_list(reference)}: "
        + (
            "pairs are of those that both have"
            if set(side.entry.seeds) & set(reference)
            else "no pairs, only means"
        )
        for name, side in sides.items()
        if side.entry.seeds != reference
    ]


def _list(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _value_curve(runs: Sequence[Run], shared: _Shared, scale: NDArray[np.float64]) -> ValueCurve | None:
    """The objective at each point, of runs that were evaluated at the same tokens.

    Args:
        runs: S runs.
        shared: what they are measured by.
        scale: (S, V) from nats/token to what is compared.
    """
    curves = [_validation(result, shared.domains) for _, result in runs]
    grid = curves[0][0]
    if not grid or any(tokens != grid for tokens, _ in curves):
        return None
    losses = np.stack([values for _, values in curves]) * scale[:, None, :]
    values = shared.objective.value(losses, shared.domains, shared.averaged)
    evaluation = runs[0][0].evaluation
    return ValueCurve(
        tokens=grid,
        values=tuple(tuple(row) for row in values.tolist()),
        comparable=evaluation.point_tokens_per_domain == evaluation.tokens_per_domain,
    )


def _validation(result: RunResult, domains: Sequence[str]) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Tokens (P,) and validation losses (P, V) of a run's curve; nothing where a point lacks a domain."""
    points: dict[int, dict[str, float]] = {}
    names = ("tokens", "split", "domain", "loss")
    for tokens, split, domain, loss in zip(*(result.curve.get(name, ()) for name in names), strict=True):
        if split == "validation":
            points.setdefault(tokens, {})[domain] = loss
    if any(not point.keys() >= set(domains) for point in points.values()):
        return (), np.zeros((0, len(domains)))
    grid = tuple(sorted(points))
    return grid, np.array([[points[tokens][domain] for domain in domains] for tokens in grid])


def _reach(own: _Side, baseline: _Side) -> Reach:
    """Tokens that `own` needs to be where `baseline` ends."""
    curve, evaluation = own.entry.curve, own.spec.evaluation
    measured_on = baseline.spec.evaluation.tokens_per_domain
    if own.spec.data.fingerprint != baseline.spec.data.fingerprint:
        return not_available("the data differ, so that a token is not the same amount of text")
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
        curve.tokens,
        np.array(curve.values)[rows],
        np.array(targets),
        baseline.entry.tokens,
        paired=bool(pairs),
    )


def _identity(entries: Mapping[str, Entry], baselines: Sequence[str], objective: Objective, metric: Metric) -> str:
    weights = objective.weights.to_dict() if isinstance(objective, WeightedLoss) else None
    content = [
        {name: entry.runs for name, entry in entries.items()},
        list(baselines),
        objective.name,
        weights,
        metric,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
