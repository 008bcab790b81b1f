"""AutoScale from optima that were found elsewhere: no runs, no losses, the geometric law alone.

A CSV file with a row a scale: `tokens`, and `w.<domain>` for every domain.

Symbols: S scales, K domains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from mixopt.arrays import Floats
from mixopt.errors import ConfigError
from mixopt.methods.autoscale.choice import without_runs
from mixopt.methods.autoscale.evidence import Advised, AutoScaleEvidence, ScaleOptimum
from mixopt.methods.autoscale.extrapolate import Growth
from mixopt.methods.autoscale.outcome import (
    growth_evidence,
    path_of,
    path_totals,
    warn_of_growth,
    warn_of_target,
    warn_of_target_bounds,
)
from mixopt.methods.base import Recommendation, limits
from mixopt.mixture import Mixture
from mixopt.solve import make_bounds
from mixopt.store.csv_table import read_table
from mixopt.units import format_count


@dataclass(frozen=True, eq=False)
class Optima:
    """The best mixtures at some scales."""

    domains: tuple[str, ...]  # K names
    totals: tuple[int, ...]  # S tokens, rising
    weights: Floats  # (S, K)


def read_optima(path: str | Path) -> tuple[Optima, list[str]]:
    """The optima in a CSV file, and notes on what was read in a way that its owner should know of.

    Raises:
        ConfigError: no such table, fewer than two scales, equal ones, or a domain that one of them lacks.
    """
    table = read_table(path, "optima file", "scale")
    if "tokens" not in table.columns:
        raise ConfigError(f"optima file {path}: expected a column `tokens`, found {', '.join(table.columns)[:200]}")
    columns = {name.removeprefix("w."): name for name in table.columns if name.startswith("w.")}
    if len(columns) < 2:
        raise ConfigError(
            f"optima file {path}: expected a column `w.<domain>` for each of two domains or more, found "
            f"{', '.join(table.columns)[:200]}"
        )
    totals = table.counts("tokens")
    for domain, name in columns.items():
        for row, text in enumerate(table.columns[name]):
            if not text.strip():
                raise ConfigError(
                    f"{table.where(row)}: the optimum at {format_count(totals[row])} has no weight for {domain!r}; "
                    "every scale needs the same domains (0 for one that got nothing)"
                )
    notes: list[str] = []
    weights = np.stack(list(table.weights(columns, notes).values()), axis=1)
    order = sorted(range(len(totals)), key=lambda row: totals[row])
    for one, other in pairwise(order):
        if totals[one] == totals[other]:
            raise ConfigError(
                f"{table.where(other)}: {format_count(totals[other])} tokens are there already, on line "
                f"{table.lines[one]}; equal scales say nothing about growth"
            )
    if len(order) < 2:
        raise ConfigError(f"optima file {path}: expected two scales or more, found {format_count(totals[0])} alone")
    return Optima(tuple(columns), tuple(totals[row] for row in order), weights[order]), notes


def extrapolate_optima(
    optima: Optima, target: int, pinned: Sequence[str] = (), floor: str | float = 0.0
) -> Recommendation:
    """The best mixture for `target` tokens by Theorem 1.

    Args:
        target: tokens.
        pinned: domains that sat at a bound, whose growth is the bound's: they keep the largest scale's share.

    Raises:
        ConfigError: a pinned domain that the optima do not name, or a floor that leaves no mixture.
    """
    for name in pinned:
        if name not in optima.domains:
            raise ConfigError(f"--pinned: unknown domain {name!r}; the optima name {', '.join(optima.domains)}")
    domains = optima.domains
    bounds = make_bounds(domains, floor)
    mask = np.broadcast_to(np.array([name in pinned for name in domains]), optima.weights.shape)
    growth = Growth.fit(np.array(optima.totals, dtype=np.float64), optima.weights, mask)
    mixture = _mixture(domains, growth.at(target, bounds))
    nearest = int(np.abs(np.log(growth.totals / target)).argmin())
    baselines = {"uniform": Mixture.uniform(domains), "nearest scale": _mixture(domains, optima.weights[nearest])}
    totals = path_totals(optima.totals, target)
    held = without_runs(optima.totals, optima.weights, mask) if len(optima.totals) > 2 else None
    path = path_of(domains, totals, np.stack([growth.at(total, bounds) for total in totals]), None)
    evidence = AutoScaleEvidence(
        scales=tuple(
            ScaleOptimum(
                tokens=total, weights=dict(zip(domains, row.tolist(), strict=True)), intervals={}, pinned=tuple(pinned)
            )
            for total, row in zip(optima.totals, optima.weights, strict=True)
        ),
        predictors={"geometric": Advised(weights=mixture.to_dict(), intervals={}, predicted=None)},
        chosen="geometric",
        choice=None,
        path=path,
        holdout=held.evidence(domains) if held else None,
        geometric=growth_evidence(growth, domains, target),
        joint=None,
    )
    scales = ", ".join(format_count(total) for total in optima.totals)
    return Recommendation(
        method=f"AutoScale, geometric predictor, from optima at {scales}",
        objective="that of the optima",
        tokens=target,
        mixture=mixture,
        intervals={},
        predicted={},
        warnings=(
            "there are no intervals and no predicted losses: optima alone say nothing of their noise",
            *warn_of_target(growth, target),
            *warn_of_growth(growth, domains, mask),
            *warn_of_target_bounds(mixture, bounds),
        ),
        **limits(mixture, bounds, None),
        baselines=baselines,
        evidence=evidence,
    )


def _mixture(domains: Sequence[str], weights: Floats) -> Mixture:
    return Mixture.of_array(domains, weights)
