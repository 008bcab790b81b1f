"""A verification and a plan: tables, and the picture of prediction beside measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from mixopt.display.colours import INK, LAW
from mixopt.display.figure import Axis, Figure, Panel, Points
from mixopt.display.table import Column, Table, count, named, number, percent, runs_cell, table, word
from mixopt.report.comparison import measured
from mixopt.report.console import grid
from mixopt.units import format_bytes, format_count, format_seconds

if TYPE_CHECKING:
    from rich.console import Console

    from mixopt.study.plan import Plan
    from mixopt.study.verify import Verification


def plan_table(plan: Plan) -> Table:
    """Every run, what it is for, and whether it is there."""
    columns = [Column("run"), Column("for", words=True), *named(["seed", "tokens", "FLOPs"]), Column("", words=True)]
    rows = [
        [
            word(run.spec.run_id),
            word(str(run.role)),
            number(run.spec.seed, "{:d}"),
            count(run.spec.tokens),
            number(run.spec.flops, "{:.2e}"),
            word("in the table" if run.spec.run_id in plan.found else "new"),
        ]
        for run in plan.runs
    ]
    return table("plan", "Runs", columns, rows)


def print_plan(plan: Plan, console: Console) -> None:
    """Every run, then what is left to train and what that costs."""
    console.print(grid(plan_table(plan)))
    new = len({run.spec.run_id for run in plan.runs} - plan.found)
    if not new:
        console.print("every run is in the table: nothing to train")
        return
    runs = "1 run" if new == 1 else f"{new} runs"
    console.print(
        f"{runs} to train: {format_count(plan.tokens)} tokens, {plan.flops:.2e} FLOPs; {_time(plan)}; "
        f"{format_bytes(plan.disk_bytes)} of disk",
        highlight=False,
    )
    if not plan.prepared:
        console.print("the data is not prepared yet: planned with data.expected, and runs will have other ids")
    for domain, epochs in plan.repeated.items():
        console.print(f"{escape(domain)} is gone through up to {epochs:.1f} times in a run", highlight=False)


def _time(plan: Plan) -> str:
    if plan.tokens_per_second is None:
        return "too short to be timed (one step a run)"
    how = f"with {plan.workers} at once, {format_count(plan.tokens_per_second)} tokens/s each"
    if plan.gpu_hours is None:
        return f"about {format_seconds(plan.seconds)} {how} (calibrated on this machine)"
    return f"about {plan.gpu_hours:,.0f} GPU hours {plan.assumed}: {format_seconds(plan.seconds)} {how}"


def print_verification(verification: Verification, console: Console) -> None:
    """Predicted against measured, a row a mixture."""
    best = next(iter(verification.mixtures.values()))
    seeds = len(best.measured.seeds)
    console.print(
        f"\n[bold]Predicted against measured[/bold]  [dim]objective {escape(verification.objective)}, "
        f"{format_count(verification.tokens)} tokens, {seeds} seed{'s' if seeds > 1 else ''}; ± is one standard "
        "error[/dim]"
    )
    console.print(grid(verification_table(verification)))


def verification_table(verification: Verification, runs: Mapping[str, Sequence[str]] | None = None) -> Table:
    """Predicted against measured, a row a mixture.

    Args:
        runs: ids of each mixture's runs, by name; None to leave them out.
    """
    columns = [
        Column("mixture"),
        Column("predicted"),
        Column("measured", "mean over seeds ± standard error"),
        Column("predicted gain", "of the recommended mixture over this one"),
        Column("measured gain", "the same, seed by seed"),
        *([Column("runs")] if runs is not None else []),
    ]
    rows = []
    for name, part in verification.mixtures.items():
        gain, found = part.gain_predicted, part.gain_measured
        error = found and found.standard_error
        sure = "good" if found and error and found.value > 1.96 * error else ""
        rows.append(
            [
                word(name, "strong" if name == "recommended" else ""),
                number(part.predicted and part.predicted.value, "{:.4g}"),
                measured(part.measured, "{:.4g}"),
                percent(gain and gain.value),
                measured(found, "{:+.2f} %", 100, sure),
                *([runs_cell(runs.get(name, ()))] if runs is not None else []),
            ]
        )
    return table("verified", "Predicted against measured", columns, rows)


def losses_table(verification: Verification, units: str) -> Table:
    """The measured loss of each domain under each mixture."""
    mixtures = verification.mixtures
    rows = [
        [word(domain), *(number(part.losses.get(domain), "{:.4f}") for part in mixtures.values())]
        for domain in next(iter(mixtures.values())).losses
    ]
    columns = [Column("domain"), *named(mixtures, f"mean validation loss over seeds, {units}")]
    return table("verified-losses", f"Measured loss by domain ({units})", columns, rows)


def verification_figure(verification: Verification, units: str) -> Figure:
    """Prediction with its interval beside measurement with its standard error, a row a mixture."""
    mixtures = verification.mixtures
    predicted = [(row, name, p.predicted) for row, (name, p) in enumerate(mixtures.items()) if p.predicted]
    bars = [1.96 * (part.measured.standard_error or 0.0) for part in mixtures.values()]
    values = [part.measured.value for part in mixtures.values()]
    marks = [
        Points(
            name="predicted", look=LAW, symbol="diamond", across=True, size=6, say="predicted {x:.4g}",
            x=[estimate.value for *_, estimate in predicted], y=[row - 0.14 for row, *_ in predicted],
            low=[e.value if e.low is None else e.low for *_, e in predicted],
            high=[e.value if e.high is None else e.high for *_, e in predicted],
            about=[name for _, name, _ in predicted],
        ),
        Points(
            name="measured", look=INK, across=True, size=6, say="measured {x:.4g}", x=values,
            y=[row + 0.14 for row in range(len(values))], about=list(mixtures),
            low=[v - bar for v, bar in zip(values, bars, strict=True)],
            high=[v + bar for v, bar in zip(values, bars, strict=True)],
        ),
    ]  # fmt: skip
    return Figure(
        name="verification",
        title="Predicted against measured",
        panels=[Panel(marks=marks, x=Axis(label=f"{verification.objective} ({units})"), y=Axis(rows=tuple(mixtures)))],
        note="Lower is better. Predicted: with its 95 % interval. Measured: mean over seeds, ± 1.96 standard errors.",
        size=(7.2, 1.0 + 0.5 * len(mixtures)),
        legend="top",
    )
