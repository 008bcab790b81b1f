"""What pictures and tables of an online run show, from its `PolicyTrace`: few enough numbers to draw.

Symbols: K domains, X drawn points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.markup import escape

from mixopt.arrays import Floats, Indices
from mixopt.display.table import Column, named, number, table, word
from mixopt.laws.annealing import RateSchedule, laws_from_dict
from mixopt.laws.forecast_error import FRACTIONS, ForecastError, forecast_errors, last_losses
from mixopt.policy.ado_settings import AdoSettings
from mixopt.policy.refit import OK
from mixopt.report.console import grid

if TYPE_CHECKING:
    from rich.console import Console

    from mixopt.result import Run, RunResult
    from mixopt.spec import RunSpec
    from mixopt.trace import LossPoints, Moment, PolicyTrace


@dataclass(frozen=True, eq=False)
class Forecast:
    """The laws of one moment, and what they said of the rest of the run."""

    fraction: float  # of the run that had been trained
    tokens: Floats  # (X,) from the moment to the end, the first being the moment
    losses: Floats  # (X, K) nats/token; NaN for a domain without a law


def schedule_of(spec: RunSpec) -> RateSchedule:
    """The learning rate of a run over its tokens."""
    optim = spec.optim
    return RateSchedule(
        total=spec.tokens, shape=optim.schedule, warmup=optim.warmup, final=optim.final_lr,
        memory=AdoSettings.annealing_memory,
    )  # fmt: skip


def thin(count: int, most: int) -> Indices:
    """At most so many indices below `count`, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))


def tokens_per_step(trace: PolicyTrace) -> float | None:
    """Training tokens of a step; None where nothing says."""
    return trace.moments[-1].tokens / (trace.moments[-1].step + 1) if trace.moments else None


def mixture_course(trace: PolicyTrace, most: int) -> tuple[Floats, Floats]:
    """Amounts (X,) and the mixture there (X, K): training tokens, or steps where their tokens are not known."""
    rows = thin(len(trace.steps), most)
    return (trace.steps[rows] * (tokens_per_step(trace) or 1.0)).astype(np.float64), trace.weights[rows].astype(
        np.float64
    )


def part_course(trace: PolicyTrace, part: str) -> tuple[Floats, Floats]:
    """Tokens (M,) of the accounts that have this part, and the part (M, K); NaN for a domain without it."""
    moments = [moment for moment in trace.moments if part in moment.parts]
    values = [[moment.parts[part].get(name) for name in trace.domains] for moment in moments]
    return _tokens(moments), np.array(values, dtype=np.float64).reshape(len(moments), len(trace.domains))


def _tokens(moments: list[Moment]) -> Floats:
    return np.array([moment.tokens for moment in moments], dtype=np.float64)


def with_laws(trace: PolicyTrace) -> list[Moment]:
    """The moments that have a law of any domain."""
    return [m for m in trace.moments if any(v is not None for v in m.laws.get("alpha", {}).values())]


def forecasts(trace: PolicyTrace, most: int = 60) -> list[Forecast]:
    """What the laws said at the moments nearest to 1/6, 1/2 and 5/6 of the run; no moment twice."""
    moments, per_step = with_laws(trace), tokens_per_step(trace)
    if not moments or per_step is None:
        return []
    total = len(trace.steps) * per_step
    nearest = [min(moments, key=lambda m, at=fraction: abs(m.tokens - at * total)) for fraction in FRACTIONS]
    found = []
    for moment in dict.fromkeys(map(moments.index, nearest)):
        chosen = moments[moment]
        tokens = np.linspace(float(chosen.tokens), total, most, dtype=np.float64)
        found.append(Forecast(chosen.tokens / total, tokens, _said(trace, chosen, tokens)))
    return found


def _said(trace: PolicyTrace, moment: Moment, tokens: Floats) -> Floats:
    """(X, K) the losses that a moment's laws forecast."""
    settings = AdoSettings.from_dict(trace.settings)
    values = {name: [by.get(domain) for domain in trace.domains] for name, by in moment.laws.items()}
    return laws_from_dict(values, settings.rate_schedule).loss(tokens / settings.tokens_per_sample)


def measured_course(points: LossPoints, most: int) -> tuple[Floats, Floats]:
    """Means (X, K) over runs of neighbouring points, weighted by tokens, and the tokens (X,) in their middle."""
    count = len(points.tokens)
    edges = np.linspace(0, count, min(count, most) + 1).round().astype(np.intp)[:-1]
    weights = np.add.reduceat(points.weights, edges, axis=0)
    sums = np.add.reduceat(np.where(points.weights > 0, points.losses * points.weights, 0.0), edges, axis=0)
    sizes = np.diff(np.append(edges, count))
    tokens: Floats = np.add.reduceat(points.tokens, edges) / sizes
    return tokens, np.where(weights > 0, sums / np.where(weights > 0, weights, 1.0), np.nan)


def final_errors(trace: PolicyTrace) -> tuple[Floats, Floats]:
    """Tokens (M,) of the fits, and forecast over measured final training loss, minus 1 (M, K).

    The final loss is the mean of the last twentieth of the run, and the forecast that of its last step.
    """
    moments, per_step = with_laws(trace), tokens_per_step(trace)
    shape = (len(moments), len(trace.domains))
    said = np.array([[m.forecasts.get(d) for d in trace.domains] for m in moments], dtype=np.float64).reshape(shape)
    if trace.points is None or per_step is None:
        return np.empty(0), np.empty((0, shape[1]))
    points = trace.points
    final = last_losses(points.tokens, points.losses, points.weights, len(trace.steps) * per_step)
    return _tokens(moments), said / final - 1


def trace_errors(trace: PolicyTrace, schedule: RateSchedule) -> list[ForecastError]:
    """Forecast errors of both laws on the losses of a run; none for a policy that keeps no losses.

    Args:
        schedule: of its learning rate, in tokens.
    """
    points = trace.points
    if points is None or not len(points.tokens):
        return []
    return forecast_errors(points.tokens, points.losses, points.weights, schedule)


def leading(trace: PolicyTrace, most: int) -> list[int]:
    """The domains of the largest mean share, in the order of the data's: those that are told apart by colour."""
    order = np.argsort(-trace.weights.mean(axis=0), kind="stable")
    return sorted(order[:most].tolist())


@dataclass(frozen=True, kw_only=True)
class PolicySummary:
    """A policy's runs, which differ in their seed only."""

    name: str  # the policy's
    settings: dict[str, Any]  # everything that it was set to
    prior: dict[str, float]  # the mixture that it started from, by domain
    average: dict[str, float]  # the share of the tokens that each domain had; mean over runs, as is `final`
    final: dict[str, float]  # the mixture of the last step
    fits: tuple[int, ...]  # fits of laws that were adopted, of each run
    failures: dict[str, dict[str, int]]  # what went wrong, by kind and domain, summed over runs
    warnings: tuple[str, ...]  # a sentence each

    @classmethod
    def of(cls, runs: Sequence[Run], max_epochs: float) -> PolicySummary | None:
        """The summary of runs that have traces; None if none has.

        Args:
            max_epochs: how often a domain may be repeated; more is warned of.
        """
        traced = [(spec, result, result.trace) for spec, result in runs if result.trace]
        if not traced:
            return None
        spec, _, first = traced[0]
        drawn = np.mean(
            [[result.domains[name].tokens_seen for name in first.domains] for _, result, _ in traced], axis=0
        )
        final = np.stack([trace.weights[-1] for _, _, trace in traced]).mean(axis=0, dtype=np.float64)
        warnings = [
            warning
            for spec, result, trace in traced
            for warning in (*_law_warnings(trace), *_share_warnings(spec, result, max_epochs))
        ]
        return cls(
            name=first.policy,
            settings=first.settings,
            prior=spec.mixture.to_dict(),
            average=dict(zip(first.domains, (drawn / drawn.sum()).tolist(), strict=True)),
            final=dict(zip(first.domains, final.tolist(), strict=True)),
            fits=tuple(_fits(trace) for _, _, trace in traced),
            failures={
                kind: {name: sum(trace.failures[kind][name] for _, _, trace in traced) for name in first.domains}
                for kind in first.failures
            },
            warnings=tuple(dict.fromkeys(warnings)),
        )


def policy_dict(runs: Sequence[Run], max_epochs: float) -> dict[str, Any]:
    """`online`: the summary as JSON values; nothing where the mixture was fixed. Arguments as for the summary."""
    summary = PolicySummary.of(runs, max_epochs)
    return {"online": asdict(summary)} if summary else {}


def print_policy(runs: Sequence[Run], max_epochs: float, console: Console) -> None:
    """The mixtures and how the fits went; nothing where the mixture was fixed. Arguments as for the summary."""
    summary = PolicySummary.of(runs, max_epochs)
    if summary is None:
        return
    preset = summary.settings.get("preset", summary.settings.get("variant"))
    title = escape(f"{summary.name}, {preset}" if preset else summary.name)
    seeds = f"; means of {len(summary.fits)} seeds" if len(summary.fits) > 1 else ""
    console.print(f"\n[bold]The mixture[/bold]  [dim]{title}{seeds}[/dim]", highlight=False)
    rows = [
        [word(name), *(number(value, "{:.4f}") for value in (prior, summary.average[name], summary.final[name]))]
        for name, prior in summary.prior.items()
    ]
    columns = [Column("domain"), *named(["prior", "drawn", "at the end"])]
    console.print(grid(table("policy", "The mixture", columns, rows)))
    if summary.failures:
        fits = " and ".join(map(str, dict.fromkeys(summary.fits)))
        counts = "; ".join(f"{kind} {_counts(found)}" for kind, found in summary.failures.items())
        console.print(f"{fits} fits of the laws a run; {counts}", highlight=False, markup=False)
    if summary.warnings:
        console.print("\n[bold]Warnings[/bold]")
        for warning in summary.warnings:
            console.print(f"• {warning}", highlight=False, markup=False)


def _counts(by_domain: dict[str, int]) -> str:
    """`laws`' or losses' counts, those that are not 0."""
    found = [f"{name} {count}" for name, count in by_domain.items() if count]
    return ", ".join(found) or "none"


def _fits(trace: PolicyTrace) -> int:
    return sum(bool(moment.outcome) for moment in trace.moments)


def _law_warnings(trace: PolicyTrace) -> Iterator[str]:
    """About laws and losses, of a policy that fits laws."""
    if trace.points is None:
        return
    unusable = trace.failures.get("unusable", {})
    if any(unusable.values()):
        yield f"losses that were no number or not above 0 counted as not drawn: {_counts(unusable)}"
    last = next((moment for moment in reversed(trace.moments) if moment.outcome), None)
    if last is None:
        yield f"no law was fitted in {len(trace.steps)} steps: the mixture was the prior throughout"
        return
    without = [name for name, forecast in last.forecasts.items() if forecast is None]
    reason = Counter(last.outcome[name] for name in without if last.outcome[name] != OK).most_common(1)
    told = f" ({reason[0][0]})" if reason else ""
    if len(without) == len(trace.domains):
        yield (
            f"no law was good enough in {_fits(trace)} fits{told}: the mixture was the prior throughout; more "
            "tokens, or smaller batches, give the fits more points"
        )
    elif without:
        yield f"never had a law, and kept the prior's share: {', '.join(without)}{told}"


def _share_warnings(spec: RunSpec, result: RunResult, max_epochs: float) -> Iterator[str]:
    """About what was drawn."""
    if len(spec.data.domains) == 1:
        yield "there is one domain, and nothing to choose: its share was 1 throughout"
    for name, weight in spec.mixture.to_dict().items():
        part = result.domains[name]
        if part.tokens_seen == 0:
            why = "its prior is 0" if weight == 0 else f"its prior of {weight:.3g} gives no whole sequence"
            yield f"{name} was never drawn: {why}"
        if part.epochs > max_epochs:
            yield (
                f"{name} was gone through {part.epochs:.3g} times, and training.max_epochs is {max_epochs:g}: the "
                "policy draws more of it than the prior, which is what was checked"
            )
