"""What an online policy did in its runs: from which mixture to which, how its fits went, what to heed."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.markup import escape

from mixopt.display.table import Column, named, number, table, word
from mixopt.policy.refit import OK
from mixopt.report.console import grid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from mixopt.result import Run, RunResult
    from mixopt.spec import RunSpec
    from mixopt.trace import PolicyTrace


@dataclass(frozen=True, kw_only=True)
class PolicySummary:
    """A policy's runs, which differ in their seed only.

    Attributes:
        name: the policy's.
        settings: everything that it was set to.
        prior: the mixture that it started from, by domain.
        average: the share of the tokens that each domain had; mean over runs, as is `final`.
        final: the mixture of the last step.
        fits: fits of laws that were adopted, of each run.
        failures: what went wrong, by kind and domain, summed over runs.
        warnings: a sentence each.
    """

    name: str
    settings: dict[str, Any]
    prior: dict[str, float]
    average: dict[str, float]
    final: dict[str, float]
    fits: tuple[int, ...]
    failures: dict[str, dict[str, int]]
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, runs: Sequence[Run], max_epochs: float) -> PolicySummary | None:
        """The summary of runs that have traces; None if none has.

        Args:
            runs: specs and results.
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
