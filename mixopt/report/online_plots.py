"""Pictures of an online run: mixture, forecasts, credit, slopes; Figures 5, 6, 10 and 11 of Jiang et al. (2024)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mixopt.policy.ado_settings import AdoSettings
from mixopt.report import online_data
from mixopt.report.figure import MUTED, PALETTE, new_figure, plain, tidy
from mixopt.units import format_count

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mixopt.report.online_data import Forecast
    from mixopt.trace import PolicyTrace

_COLOURS = (*PALETTE, "#222222")
_FAINT = "#C4C4C4"
# Points of a line: more than a picture's pixels tell apart, few enough for a small file.
_MOST = 600
_MOST_MEASURED = 120


def trace_figures(trace: PolicyTrace, curve: pd.DataFrame | None, title: str) -> dict[str, Figure]:
    """The pictures that a trace can give, by file name; the mixture's always.

    Args:
        trace: of a run.
        curve: of the same run (step, tokens, split, domain, loss); its validation losses are put beside the
            forecasts. None for none.
        title: above each picture, such as the run's name.
    """
    found = {"mixture.png": _mixture(trace, title)}
    said = online_data.forecasts(trace)
    if said and trace.points is not None and len(trace.points.tokens):
        found["forecasts.png"] = _forecasts(trace, said, curve, title)
        found["forecast_error.png"] = _final_errors(trace, title)
    for part, name, label, headline in (
        ("credit", "credit.png", "credit λ", "Credit: which domains the last steps drew"),
        ("speed", "slopes.png", "nats/token per million tokens", "Slopes of the laws: how fast losses fall"),
        ("reward", "rewards.png", "reward", "Rewards"),
    ):  # fmt: skip
        at, values = online_data.part_course(trace, part)
        if np.isfinite(values).any():
            found[name] = _part(trace, at, _per_million(trace, values) if part == "speed" else values,
                                f"{headline}, {plain(title)}", label, log=part == "speed")  # fmt: skip
    return found


def _per_million(trace: PolicyTrace, speed: NDArray[np.float64]) -> NDArray[np.float64]:
    """From nats/token and sample."""
    return speed * 1e6 / AdoSettings.from_dict(trace.settings).tokens_per_sample


def _mixture(trace: PolicyTrace, title: str) -> Figure:
    """Figure 5: shares over time; the prior dashed, ticks below where laws were adopted."""
    at, weights = online_data.mixture_course(trace, _MOST)
    figure, axes = _canvas(f"Mixture over training, {plain(title)}")
    _lines(axes, trace, at, weights, dashed=weights[0])
    axes.set_ylim(bottom=0)
    axes.set_ylabel("share of the batch", fontsize=9)
    adopted = [moment.tokens for moment in online_data.with_laws(trace)]
    axes.plot(adopted, np.zeros(len(adopted)), "|", color=MUTED, markersize=7, clip_on=False, zorder=4)
    note = "dashed: the prior" + ("; ticks: new laws" if adopted else "")
    axes.annotate(note, (1, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", ha="right",
                  fontsize=8, color=MUTED)  # fmt: skip
    _amounts(axes, trace)
    return figure


def _part(
    trace: PolicyTrace, at: NDArray[np.float64], values: NDArray[np.float64], title: str, label: str, *, log: bool
) -> Figure:
    """Figures 10 and 11: a part of the mixture by domain."""
    figure, axes = _canvas(title)
    if log:
        axes.set_yscale("log")
        values = np.where(values > 0, values, np.nan)
    _lines(axes, trace, at, values, marker="o" if len(at) < 12 else "", form="{:#.3g}" if log else "{:.3f}")
    axes.set_ylabel(label, fontsize=9)
    _amounts(axes, trace)
    return figure


def _canvas(title: str) -> tuple[Figure, Axes]:
    figure = new_figure(8.4, 4.3)
    axes = figure.add_subplot()
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    axes.grid(axis="y", color="#ECECEC", linewidth=0.6)
    axes.set_axisbelow(True)
    tidy(axes)
    return figure, axes


def _lines(
    axes: Axes,
    trace: PolicyTrace,
    at: NDArray[np.float64],
    values: NDArray[np.float64],
    *,
    dashed: NDArray[np.float64] | None = None,
    marker: str = "",
    form: str = "{:.3f}",
) -> None:
    """A line a domain: the leading ones in colour, named in the order in which their lines end; the others grey."""
    leading = online_data.leading(trace, len(_COLOURS))
    others = [k for k in range(len(trace.domains)) if k not in leading]
    for number, k in enumerate(others):
        label = f"{len(others)} other domain{'s' if len(others) > 1 else ''}" if number == 0 else None
        axes.plot(at, values[:, k], color=_FAINT, linewidth=0.9, label=label, zorder=1)
    drawn = []
    for number, k in enumerate(leading):
        (line,) = axes.plot(at, values[:, k], color=_COLOURS[number], linewidth=1.7, marker=marker, markersize=3)
        drawn.append((_last(values[:, k]), line, trace.domains[k]))
        if dashed is not None:
            axes.axhline(dashed[k], color=_COLOURS[number], linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.75)
    drawn.sort(key=lambda one: -one[0])
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        [line for _, line, _ in drawn] + handles,
        [f"{plain(_short(name))}  {form.format(value)}" for value, _, name in drawn] + labels,
        loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=8, title="at the end",
        title_fontsize=8, alignment="left",
    )  # fmt: skip


def _last(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else 0.0


def _short(name: str, most: int = 24) -> str:
    """A name on one line, which a legend has room for."""
    flat = " ".join(name.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def _amounts(axes: Axes, trace: PolicyTrace) -> None:
    """The axis of training tokens, from 0 to the run's end."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    per_step = online_data.tokens_per_step(trace)
    axes.set_xlim(0, max(len(trace.steps), 1) * (per_step or 1.0))
    axes.set_xlabel("training tokens" if per_step else "step", fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_count(round(value))))


def _forecasts(trace: PolicyTrace, said: list[Forecast], curve: pd.DataFrame | None, title: str) -> Figure:
    """Figures 6 and 8: a panel a domain, what laws of three moments forecast, and what came."""
    names = trace.domains
    columns = min(len(names), 5 if len(names) > 12 else 4)
    rows = math.ceil(len(names) / columns)
    figure = new_figure(max(2.3 * columns, 6.0) + 0.4, 1.85 * rows + 1.0)
    panels = list(figure.subplots(rows, columns, sharex=True, squeeze=False).ravel())
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    assert trace.points is not None
    at, measured = online_data.measured_course(trace.points, _MOST_MEASURED)
    for k, axes in enumerate(panels[: len(names)]):
        axes.plot(at, measured[:, k], color="#9A9A9A", linewidth=1.1, label="training loss")
        _validated(axes, curve, names[k])
        for number, forecast in enumerate(said):
            colour = _COLOURS[number]
            axes.axvline(forecast.tokens[0], color=colour, linewidth=0.7, linestyle=(0, (3, 3)))
            axes.plot(forecast.tokens, forecast.losses[:, k], color=colour, linewidth=1.6,
                      label=f"forecast at {100 * forecast.fraction:.0f} % of the run")  # fmt: skip
        axes.set_title(plain(_short(names[k])), fontsize=9)
        _limits(axes, measured[:, k], [forecast.losses[:, k] for forecast in said])
        tidy(axes)
        _amounts(axes, trace)
        lowest = k + columns >= len(names)
        axes.tick_params(labelbottom=lowest)
        axes.set_xlabel("training tokens" if lowest else "", fontsize=8)
    figure.suptitle(f"Forecasts of the laws against what came, {plain(title)}", x=0.01, ha="left", fontsize=10)
    figure.supylabel("loss, nats/token", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels) if columns > 3 else 3,
                  frameon=False, fontsize=8)  # fmt: skip
    return figure


def _validated(axes: Axes, curve: pd.DataFrame | None, domain: str) -> None:
    if curve is None or curve.empty:
        return
    part = curve[(curve["split"] == "validation") & (curve["domain"] == domain)]
    axes.plot(
        part["tokens"], part["loss"], "o", color="#222222", markersize=3, fillstyle="none", markeredgewidth=0.8,
        label="validation loss",
    )  # fmt: skip


def _limits(axes: Axes, measured: NDArray[np.float64], said: list[NDArray[np.float64]]) -> None:
    """The forecasts and the measured losses: without a run's first fall, which would flatten the rest."""
    late = measured[len(measured) // 8 :]
    values = np.concatenate([late, *said])
    values = values[np.isfinite(values)]
    if values.size:
        pad = 0.08 * (values.max() - values.min()) + 1e-3
        axes.set_ylim(values.min() - pad, values.max() + pad)


def _final_errors(trace: PolicyTrace, title: str) -> Figure:
    """How far each fit's forecast of the final loss was off, in per cent, over the run."""
    at, errors = online_data.final_errors(trace)
    figure, axes = _canvas(f"Forecast of the final training loss, {plain(title)}")
    _lines(axes, trace, at, 100 * errors, marker="o" if len(at) < 12 else "", form="{:+.2f} %")
    axes.axhline(0, color=MUTED, linewidth=1.0, zorder=0)
    # The first forecasts are far off, and would flatten the rest.
    late = 100 * errors[len(errors) // 4 :]
    ends = np.append(late[np.isfinite(late)], 0.0)
    pad = 0.08 * (ends.max() - ends.min()) + 1e-3
    axes.set_ylim(ends.min() - pad, ends.max() + pad)
    axes.set_ylabel("forecast above measured, %", fontsize=9)
    _amounts(axes, trace)
    return figure
