"""Figures and tables of online policies: mixture, forecasts, credit, slopes over training.

The figures are those of Jiang et al. (2024), Figures 5, 6, 10 and 11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats
from mixopt.display.colours import INK, MUTED, Look, looks_in_order
from mixopt.display.figure import Axis, Figure, Line, Menus, Panel, Points, Rule
from mixopt.display.table import NOTHING, Column, Table, named, number, percent, runs_cell, table, word
from mixopt.laws.forecast_error import FRACTIONS
from mixopt.policy import parts_of
from mixopt.report import online_data

if TYPE_CHECKING:
    import pandas as pd

    from mixopt.display.figure import Numbers
    from mixopt.laws.annealing import RateSchedule
    from mixopt.policy.base import Part
    from mixopt.report.online_data import Forecast
    from mixopt.trace import PolicyTrace

# Points of a line, more than a picture's pixels tell apart; in a page, which has many; and of measured losses.
_MOST, _MOST_IN_PAGE, _MOST_MEASURED = 600, 120, 120
# Domains with names and full colours; the others are in the background.
_MOST_NAMED = 8
_FORECASTS = tuple(Look(colour) for colour in ("blue", "vermilion", "green"))


@dataclass(frozen=True, eq=False)
class OnlineRun:
    """A run with an online policy."""

    label: str  # what the menus call it; distinct among the runs of a page
    run_id: str  # its identity
    trace: PolicyTrace  # what its policy did
    schedule: RateSchedule  # of its learning rate, in tokens


def trace_figures(trace: PolicyTrace, curve: pd.DataFrame | None, title: str) -> list[Figure]:
    """The pictures that a trace can give, the mixture's always.

    Args:
        curve: of the same run (step, tokens, split, domain, loss); its validation losses are put beside the
            forecasts. None for none.
    """
    found = [_mixture(trace, title)]
    said = online_data.forecasts(trace)
    if said and trace.points is not None and len(trace.points.tokens):
        found += [_forecasts(trace, said, curve, title), _final_errors(trace, title)]
    for part in parts_of(trace.policy):
        at, values = _course(trace, part)
        if part.file and np.isfinite(values).any():
            form = "{:#.3g}" if part.log else "{:.3f}"
            y = Axis(label=part.label, scale="log" if part.log else "linear")
            found.append(_figure(part.file, f"{part.headline}, {title}", trace, at, values, y, form))
    return found


def _course(trace: PolicyTrace, part: Part) -> tuple[Floats, Floats]:
    """Tokens (M,) and the part (M, K); slopes from nats/token and sample to a million tokens."""
    at, values = online_data.part_course(trace, part.key)
    if part.per_sample and len(at):
        values = values * 1e6 / float(trace.settings["tokens_per_sample"] or 1)
    return at, np.where(values > 0, values, np.nan) if part.log else values


def _mixture(trace: PolicyTrace, title: str) -> Figure:
    """Figure 5: shares over time; the prior dashed, ticks below where laws were adopted."""
    at, weights = online_data.mixture_course(trace, _MOST)
    figure = _figure(
        "mixture", f"Mixture over training, {title}", trace, at, weights, Axis(label="share of the batch", zero=True)
    )
    looks, leading = looks_in_order(trace.domains), online_data.leading(trace, _MOST_NAMED)
    priors = [Rule(y=float(weights[0, k]), look=Look(looks[trace.domains[k]].colour, "dash")) for k in leading]
    adopted = [moment.tokens for moment in online_data.with_laws(trace)]
    rug = [Points(name="new laws", look=MUTED, x=adopted, y=[0.0] * len(adopted), symbol="rug", size=7)]
    (panel,) = figure.panels
    marks = [*priors, *panel.marks, *(rug if adopted else [])]
    return replace(figure, panels=[replace(panel, title="dashed: the prior", marks=marks)])


def _figure(
    name: str, title: str, trace: PolicyTrace, at: Floats, values: Floats, y: Axis, form: str = "{:.3f}"
) -> Figure:
    """A line a domain: the leading ones named in the order in which their lines end."""
    leading = online_data.leading(trace, _MOST_NAMED)
    order = sorted(range(len(trace.domains)), key=lambda k: (k not in leading, -_last(values[:, k])))
    looks = looks_in_order(trace.domains)
    marks = [
        Line(
            name=f"{trace.domains[k]}  {form.format(_last(values[:, k]))}" if k in leading else trace.domains[k],
            look=looks[trace.domains[k]], x=at.tolist(), y=values[:, k].tolist(), faint=k not in leading,
            about=trace.domains[k], dots=len(at) < 12,
        )
        for k in order
    ]  # fmt: skip
    panel = Panel(marks=marks, x=_amounts(trace), y=y)
    return Figure(name=name, title=title, panels=[panel], size=(8.4, 4.1), legend="right", legend_title="at the end")


def _last(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else 0.0


def _amounts(trace: PolicyTrace) -> Axis:
    """The axis of training tokens, from 0 to the run's end."""
    per_step = online_data.tokens_per_step(trace)
    end = max(len(trace.steps), 1) * (per_step or 1.0)
    return Axis(label="training tokens" if per_step else "step", counts=True, limits=(0.0, end))


def _forecasts(trace: PolicyTrace, said: list[Forecast], curve: pd.DataFrame | None, title: str) -> Figure:
    """Figures 6 and 8: a panel a domain, what laws of three moments forecast, and what came."""
    assert trace.points is not None
    at, measured = online_data.measured_course(trace.points, _MOST_MEASURED)
    x = replace(_amounts(trace), label="")
    panels = []
    for k, domain in enumerate(trace.domains):
        marks: list[Line | Points | Rule] = [
            Line(name="training loss", look=Look("grey"), x=at.tolist(), y=measured[:, k].tolist(), width=1.1)
        ]
        for look, forecast in zip(_FORECASTS, said, strict=False):
            marks += [
                Rule(x=float(forecast.tokens[0]), look=Look(look.colour, "dot")),
                Line(name=f"forecast at {100 * forecast.fraction:.0f} % of the run", look=look,
                     x=forecast.tokens.tolist(), y=forecast.losses[:, k].tolist()),
            ]  # fmt: skip
        if curve is not None and not curve.empty:
            part = curve[(curve["split"] == "validation") & (curve["domain"] == domain)]
            marks.append(
                Points(name="validation loss", look=INK, x=part["tokens"].tolist(), y=part["loss"].tolist(),
                       symbol="open", size=3.5)
            )  # fmt: skip
        # Without a run's first fall, which would flatten the rest.
        late = np.concatenate([measured[len(measured) // 8 :, k], *(forecast.losses[:, k] for forecast in said)])
        panels.append(Panel(marks=marks, title=domain, x=x, y=Axis(limits=_span(late, 0.08))))
    return Figure(
        name="forecasts",
        title=f"Forecasts of the laws against what came, {title}",
        panels=panels,
        across=5 if len(panels) > 12 else 4,
        size=(2.5, 2.0) if len(panels) > 2 else (3.4, 2.4),
        legend="bottom",
        below="training tokens",
        beside="loss, nats/token",
    )


def _span(values: Floats, share: float) -> tuple[float | None, float | None]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None, None
    pad = share * float(finite.max() - finite.min()) + 1e-3
    return float(finite.min()) - pad, float(finite.max()) + pad


def _final_errors(trace: PolicyTrace, title: str) -> Figure:
    """How far each fit's forecast of the final loss was off, in per cent, over the run."""
    at, errors = online_data.final_errors(trace)
    # The first forecasts are far off, and would flatten the rest.
    late = np.append(100 * errors[len(errors) // 4 :], 0.0)
    y = Axis(label="forecast above measured, %", limits=_span(late, 0.08))
    headline = f"Forecast of the final training loss, {title}"
    figure = _figure("forecast_error", headline, trace, at, 100 * errors, y, "{:+.2f} %")
    (panel,) = figure.panels
    return replace(figure, panels=[replace(panel, marks=[Rule(y=0.0, look=MUTED), *panel.marks])])


def page_figures(runs: Sequence[OnlineRun]) -> list[Figure]:
    """The courses of the policies, and forecasts beside what came; menus choose the run, and what of it."""
    laws = _with_laws(runs)
    return [_courses(runs), *([_all_forecasts(laws)] if laws else [])]


def _with_laws(runs: Sequence[OnlineRun]) -> list[OnlineRun]:
    return [run for run in runs if online_data.forecasts(run.trace) and run.trace.points is not None]


def _domains(runs: Sequence[OnlineRun]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.trace.domains))


def _courses(runs: Sequence[OnlineRun]) -> Figure:
    domains = _domains(runs)
    moments = [moment for run in runs for moment in run.trace.moments]
    known = dict.fromkeys(part for run in runs for part in parts_of(run.trace.policy))
    parts = [part for part in known if any(part.key in moment.parts for moment in moments)]
    choices = {run.label: _choice(run.trace, domains, parts) for run in runs}
    xs, ys = next(iter(choices.values()))
    looks = looks_in_order(domains)
    marks = [
        Line(name=domain, look=looks[domain], x=x, y=y, say="{y:.4g} at {x:.4s}")
        for domain, x, y in zip(domains, xs, ys["mixture"], strict=True)
    ]
    return Figure(
        name="online",
        title="The policy over training",
        panels=[Panel(marks=marks, x=Axis(label="training tokens", zero=True), y=Axis(zero=True))],
        note="Mixture: the share of each step's tokens, which begins as the prior; credit, slope and the like as "
        "the policy said when its laws were new. A click in the legend hides a domain.",
        legend="bottom",
        menus=Menus(("run", "shown"), choices),
    )


def _choice(
    trace: PolicyTrace, domains: Sequence[str], parts: Sequence[Part]
) -> tuple[list[Numbers], dict[str, list[Numbers]]]:
    """What a run's menu entry draws, all on one axis of tokens: an account of the policy holds until the next."""
    at, mixture = online_data.mixture_course(trace, _MOST_IN_PAGE)
    values = {"mixture": mixture}
    for part in parts:
        tokens, found = _course(trace, part)
        last = np.searchsorted(tokens, at, side="right") - 1
        known = (last >= 0)[:, None]
        values[part.label] = np.where(known, found[np.maximum(last, 0)], np.nan) if len(tokens) else mixture * np.nan
    return [at.tolist()] * len(domains), {
        label: [_of_domain(drawn, trace, domain) for domain in domains] for label, drawn in values.items()
    }


def _of_domain(values: Floats, trace: PolicyTrace, domain: str) -> Numbers:
    """A domain's column; nothing where the run lacks it."""
    if domain not in trace.domains:
        return [None] * len(values)
    return values[:, trace.domains.index(domain)].tolist()


def _all_forecasts(runs: Sequence[OnlineRun]) -> Figure:
    domains = _domains(runs)
    choices = {run.label: _said(run.trace, domains) for run in runs}
    xs, ys = next(iter(choices.values()))
    names = ["measured", *(f"forecast near {100 * fraction:.0f} % of the run" for fraction in FRACTIONS)]
    marks = [
        Line(name=name, look=look, x=x, y=y, say="{y:.4f} nats/token at {x:.4s}")
        for name, look, x, y in zip(names, (Look("grey"), *_FORECASTS), xs, ys[domains[0]], strict=True)
    ]
    axes = Axis(label="training tokens", zero=True), Axis(label="training loss, nats/token")
    return Figure(
        name="forecasts",
        title="Forecasts of the laws against what came",
        panels=[Panel(marks=marks, x=axes[0], y=axes[1])],
        note="Each forecast begins where its laws were fitted. Measured: means over neighbouring steps.",
        legend="top",
        menus=Menus(("run", "domain"), choices),
    )


def _said(trace: PolicyTrace, domains: Sequence[str]) -> tuple[list[Numbers], dict[str, list[Numbers]]]:
    assert trace.points is not None
    said = online_data.forecasts(trace)
    at, measured = online_data.measured_course(trace.points, _MOST_IN_PAGE)
    shown = at >= said[0].tokens[0] / 2  # a run's first fall would flatten the rest
    courses = [(at[shown], measured[shown]), *((f.tokens, f.losses) for f in said)]
    # Moments that coincide are drawn once, and a domain that this run lacks not at all.
    courses += [(np.empty(0), np.empty((0, measured.shape[1])))] * (1 + len(FRACTIONS) - len(courses))
    return [tokens.tolist() for tokens, _ in courses], {
        domain: [_of_domain(losses, trace, domain) for _, losses in courses] for domain in domains
    }


def page_tables(runs: Sequence[OnlineRun]) -> list[Table]:
    """How far off both laws' forecasts were, and what was refused."""
    laws = _with_laws(runs)
    return [*([_errors(laws)] if laws else []), _refusals(runs)]


def _errors(runs: Sequence[OnlineRun]) -> Table:
    """A row a run and time of the fit: how far off either law is of the final loss, on the same points."""
    last = "median over domains of |forecast / measured - 1|, mean of the last 5 % of the run"
    columns = [
        Column("run"),
        Column("fitted to", "the first part of the run"),
        Column("power", f"power law: {last}"),
        Column("schedule-aware", "law that knows the learning rate's schedule, from the same points"),
        *named(["worst, power", "worst, schedule-aware"], "largest error of a domain"),
        Column("runs"),
    ]
    rows = []
    for run in runs:
        errors = online_data.trace_errors(run.trace, run.schedule)
        for pair in zip(errors[::2], errors[1::2], strict=True):
            worst = [float(np.nanmax(np.abs(error.errors), initial=-1.0)) for error in pair]
            found = (*(error.median for error in pair), *worst)
            cells = [percent(value, form="{:.2f} %") if value >= 0 else NOTHING for value in found]
            share = percent(pair[0].fraction, form="{:.0f} %")
            rows.append([word(run.label), share, *cells, runs_cell([run.run_id])])
    return table("forecast-errors", "Forecasts of the final training loss", columns, rows)


def _refusals(runs: Sequence[OnlineRun]) -> Table:
    """A row a run and domain where something was refused or could not be used."""
    kinds = list(dict.fromkeys(kind for run in runs for kind in run.trace.failures))
    reason = Column("last reason", "why a law was refused", words=True)
    columns = [Column("run"), Column("domain", words=True), *named(kinds, "times"), reason]
    rows = []
    for run in runs:
        for domain in run.trace.domains:
            counts = [run.trace.failures.get(kind, {}).get(domain, 0) for kind in kinds]
            if any(counts):
                told = [m.outcome[domain] for m in run.trace.moments if m.outcome.get(domain, "ok") != "ok"]
                cells = [number(count, "{:d}") for count in counts]
                rows.append([word(run.label), word(domain), *cells, word(told[-1] if told else "", "long")])
    return table("refusals", "Laws refused and losses not used", columns, rows)
