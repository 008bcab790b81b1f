"""Online policies in the page: mixture, credit and slopes over training, forecasts against what came, their errors.

The figures are those of Jiang et al. (2024), Figures 5, 6, 10 and 11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.laws.forecast_error import FRACTIONS
from mixopt.report import online_data
from mixopt.report.html.drawing import MUTED, SERIES, blank, figure, line, plain
from mixopt.report.html.section import Section
from mixopt.report.html.table import Cell, Table, number, runs_cell, word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixopt.laws.annealing import RateSchedule
    from mixopt.report.html.drawing import Figure
    from mixopt.report.html.gather import Gathered, Run
    from mixopt.store import Store
    from mixopt.trace import PolicyTrace

# Runs whose courses are in the page, and points of a line: a page of a megabyte or two at most.
MOST_RUNS = 8
_MOST_POINTS = 120
# Parts of a policy that are drawn, by the names in the menu.
_PARTS = {
    "credit": "credit",
    "slope, nats/token per sample": "speed",
    "preference": "preference",
    "reward": "reward",
    "domain weight in the loss": "alpha",
    "average domain weight": "average",
    "excess loss, nats/token": "excess",
}


@dataclass(frozen=True, eq=False)
class OnlineRun:
    """A run with an online policy.

    Attributes:
        label: what the menus call it; distinct among the runs of a page.
        run_id: its identity.
        trace: what its policy did.
        schedule: of its learning rate, in tokens.
    """

    label: str
    run_id: str
    trace: PolicyTrace
    schedule: RateSchedule


def gather_online(store: Store, runs: Sequence[Run]) -> tuple[OnlineRun, ...]:
    """The runs that have a trace, each role's first seed before second ones, as many as a page shows."""
    ranked: list[tuple[int, Run]] = []
    seen: dict[str, int] = {}
    for run in runs:
        if store.trace_path(run.run_id).exists():
            ranked.append((seen.get(run.roles[0], 0), run))
            seen[run.roles[0]] = seen.get(run.roles[0], 0) + 1
    found = []
    for _, run in sorted(ranked, key=lambda one: one[0])[:MOST_RUNS]:
        trace = store.trace(run.run_id)
        if trace is not None and len(trace.steps):
            spec, _ = store.get(run.run_id)
            label = f"{run.roles[0]}, seed {spec.seed}"
            taken = any(other.label == label for other in found)
            label = f"{label} ({run.run_id[:8]})" if taken else label
            found.append(OnlineRun(label, run.run_id, trace, online_data.schedule_of(spec)))
    return tuple(found)


def online_section(study: Gathered) -> Section | None:
    """What online policies did; None for a study without."""
    runs = study.online
    if not runs:
        return None
    names = sorted({run.trace.policy for run in runs})
    with_laws = [run for run in runs if online_data.forecasts(run.trace) and run.trace.points is not None]
    return Section(
        "online",
        "Online",
        f"Policies that chose the mixture while they trained: {', '.join(names)}.",
        figures=[_course(runs), *([_forecasts(with_laws)] if with_laws else [])],
        tables=[*([_errors(with_laws)] if with_laws else []), _refusals(runs)],
        runs=tuple(run.run_id for run in runs),
    )


def _course(runs: Sequence[OnlineRun]) -> Figure:
    """A line a domain; menus choose the run, and what of it."""
    domains = list(dict.fromkeys(name for run in runs for name in run.trace.domains))
    shown = ["mixture"] + [
        label
        for label, part in _PARTS.items()
        if any(part in moment.parts for r in runs for moment in r.trace.moments)
    ]
    choices = {run.label: _choice(run.trace, domains, shown) for run in runs}
    first = next(iter(choices.values()))
    legend = {"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top"}
    drawing = blank(430 + 7 * len(domains), hovermode="closest", legend=legend)
    for index, domain in enumerate(domains):
        x, y = first["x"][index], first["y"]["mixture"][index]
        drawing.add_scatter(
            x=x, y=y, mode="lines", name=plain(domain, 22), line={**line(index), "width": 2},
            customdata=[plain(domain)] * max(1, len(x)),
            hovertemplate="%{customdata}<br>%{y:.4g} at %{x:.4s}<extra></extra>",
        )  # fmt: skip
    drawing.update_xaxes(title="training tokens", rangemode="tozero")
    drawing.update_yaxes(rangemode="tozero")
    note = "Mixture: the share of each step's tokens, which begins as the prior; credit, slope and the like as the "
    note += "policy said when its laws were new. A click in the legend hides a domain."
    return figure("online", "The policy over training", note, drawing, choices, ("run", "shown"))


def _choice(trace: PolicyTrace, domains: Sequence[str], shown: Sequence[str]) -> dict[str, Any]:
    """What a run's menu entry draws, all on one axis of tokens: an account of the policy holds until the next."""
    at, mixture = online_data.mixture_course(trace, _MOST_POINTS)
    columns = {name: k for k, name in enumerate(trace.domains)}
    values = {"mixture": mixture}
    for label in shown[1:]:
        tokens, part = online_data.part_course(trace, _PARTS[label])
        last = np.searchsorted(tokens, at, side="right") - 1
        known = (
            np.where((last >= 0)[:, None], part[np.maximum(last, 0)], np.nan) if len(tokens) else mixture * np.nan
        )
        values[label] = known
    empty = [None] * len(at)
    return {
        "x": [_rounded(at)] * len(domains),
        "y": {
            label: [_rounded(drawn[:, columns[d]]) if d in columns else empty for d in domains]
            for label, drawn in values.items()
        },
    }


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    """Four digits are what a picture shows; None for what is no number."""
    return [float(f"{value:.4g}") if math.isfinite(value) else None for value in values]


def _forecasts(runs: Sequence[OnlineRun]) -> Figure:
    """The measured training loss, and the forecasts of three moments; menus choose run and domain."""
    domains = list(dict.fromkeys(name for run in runs for name in run.trace.domains))
    choices = {run.label: _said(run.trace, domains) for run in runs}
    first = next(iter(choices.values()))
    drawing = blank(400, hovermode="closest", legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"})
    labels = ["measured", *(f"forecast near {100 * fraction:.0f} % of the run" for fraction in FRACTIONS)]
    for index, label in enumerate(labels):
        x, y = first["x"][index], first["y"][domains[0]][index]
        style = {"color": SERIES[index], "width": 2} if index else {"color": MUTED, "width": 1.5}
        drawing.add_scatter(
            x=x, y=y, mode="lines", name=label, line=style, customdata=[label] * max(1, len(x)),
            hovertemplate="%{customdata}<br>%{y:.4f} nats/token at %{x:.4s}<extra></extra>",
        )  # fmt: skip
    drawing.update_xaxes(title="training tokens", rangemode="tozero")
    drawing.update_yaxes(title="training loss, nats/token")
    note = "Each forecast begins where its laws were fitted. Measured: means over neighbouring steps."
    return figure("forecasts", "Forecasts of the laws against what came", note, drawing, choices, ("run", "domain"))


def _said(trace: PolicyTrace, domains: Sequence[str]) -> dict[str, Any]:
    assert trace.points is not None
    said = online_data.forecasts(trace)
    at, measured = online_data.measured_course(trace.points, _MOST_POINTS)
    shown = at >= said[0].tokens[0] / 2  # a run's first fall would flatten the rest
    courses = [(at[shown], measured[shown]), *((f.tokens, f.losses) for f in said)]
    # Moments that coincide are drawn once, and a domain that this run lacks not at all.
    courses += [(np.empty(0), np.empty((0, measured.shape[1])))] * (1 + len(FRACTIONS) - len(courses))
    columns = {name: k for k, name in enumerate(trace.domains)}
    return {
        "x": [_rounded(tokens) for tokens, _ in courses],
        "y": {
            domain: [
                _rounded(losses[:, columns[domain]]) if domain in columns else [None] * len(tokens)
                for tokens, losses in courses
            ]
            for domain in domains
        },
    }


def _errors(runs: Sequence[OnlineRun]) -> Table:
    """A row a run and time of the fit: how far off either law is of the final loss, on the same points."""
    columns = {
        "run": "",
        "fitted to": "the first part of the run",
        "power": "power law: median over domains of |forecast / measured - 1|, mean of the last 5 % of the run",
        "schedule-aware": "law that knows the learning rate's schedule, from the same points",
        "worst, power": "largest error of a domain",
        "worst, schedule-aware": "largest error of a domain",
        "runs": "",
    }
    rows = []
    for run in runs:
        errors = online_data.trace_errors(run.trace, run.schedule)
        for power, aware in zip(errors[::2], errors[1::2], strict=True):
            medians = [power.median, aware.median]
            worst = [float(np.nanmax(np.abs(e.errors), initial=-1.0)) for e in (power, aware)]
            share = Cell(f"{100 * power.fraction:.0f} %", power.fraction)
            cells = [number(100 * v, "{:.2f} %") if v >= 0 else Cell("") for v in (*medians, *worst)]
            rows.append([word(run.label), share, *cells, runs_cell([run.run_id])])
    return Table("forecast-errors", "Forecasts of the final training loss", columns, rows)


def _refusals(runs: Sequence[OnlineRun]) -> Table:
    """A row a run and domain where something was refused or could not be used."""
    kinds = list(dict.fromkeys(kind for run in runs for kind in run.trace.failures))
    columns = {"run": "", "domain": "", **dict.fromkeys(kinds, "times"), "last reason": "why a law was refused"}
    rows = []
    for run in runs:
        for domain in run.trace.domains:
            counts = [run.trace.failures.get(kind, {}).get(domain, 0) for kind in kinds]
            if any(counts):
                told = [m.outcome[domain] for m in run.trace.moments if m.outcome.get(domain, "ok") != "ok"]
                cells = [number(count, "{:d}") for count in counts]
                rows.append([word(run.label), word(domain), *cells, word(told[-1] if told else "")])
    return Table("refusals", "Laws refused and losses not used", columns, rows,
                 frozenset({0, 1, len(columns) - 1}))  # fmt: skip
