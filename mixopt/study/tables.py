"""Plans and verifications as tables in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mixopt.units import format_bytes, format_count, format_seconds

if TYPE_CHECKING:
    from rich.console import Console

    from mixopt.comparison import Measured
    from mixopt.methods.base import Estimate
    from mixopt.study.plan import Plan
    from mixopt.study.verify import Verification


def print_plan(plan: Plan, console: Console) -> None:
    """Every run, then what is left to train and what that costs."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("run", "for"):
        table.add_column(name, no_wrap=True)
    for name in ("seed", "tokens", "FLOPs"):
        table.add_column(name, justify="right")
    table.add_column("")
    for run in plan.runs:
        spec = run.spec
        state = "in the table" if spec.run_id in plan.found else "new"
        table.add_row(
            spec.run_id, escape(run.role), str(spec.seed), format_count(spec.tokens), f"{spec.flops:.2e}", state
        )
    console.print(table)
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
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("mixture", no_wrap=True)
    for name in ("predicted", "measured", "gain over it, predicted", "measured "):
        table.add_column(name, justify="right")
    for name, row in verification.mixtures.items():
        table.add_row(
            f"[bold]{name}[/bold]" if name == "recommended" else escape(name),
            _estimate(row.predicted, "{:.4g}"),
            _measured(row.measured, "{:.4g}"),
            _estimate(row.gain_predicted, "{:+.2f} %", 100),
            _measured(row.gain_measured, "{:+.2f} %", 100),
        )
    console.print(table)


def _estimate(estimate: Estimate | None, form: str, scale: float = 1.0) -> str:
    return "" if estimate is None else form.format(estimate.value * scale)


def _measured(measured: Measured | None, form: str, scale: float = 1.0) -> str:
    if measured is None:
        return ""
    error = measured.standard_error
    return form.format(measured.value * scale) + ("" if error is None else f" ± {error * scale:.2g}")
