"""Picture of a joint law: runs that it had not seen, and each domain's loss against its effective tokens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.report.figure import PALETTE, count_ticks, new_figure, plain, tidy
from mixopt.task_objective import is_task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixopt.methods.base import Recommendation

_POINT = "#222222"


def law_figure(recommendation: Recommendation) -> Figure:
    """Predicted against measured for runs left out; by domain, every run on the law's own axis."""
    details = recommendation.details
    losses: dict[str, Any] = details["losses"]
    unit = next(iter(details["unit_tokens"].values()))  # one for all domains
    panels = 1 + len(losses)
    columns = min(4, panels)
    rows = math.ceil(panels / columns)
    figure = new_figure(2.75 * columns + 0.4, 2.4 * rows + 0.5)
    flat = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in flat[panels:]:
        axes.set_visible(False)
    _left_out(flat[0], details, recommendation.objective)
    for axes, (domain, part) in zip(flat[1:], losses.items(), strict=False):
        _domain(axes, domain, part, details["parameters"][domain], unit)
    title = f"Joint law {details['form']} of {len(details['cells'])} different runs"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


def _left_out(axes: Axes, details: dict[str, Any], objective: str) -> None:
    measured, predicted = (np.array([cell[key] for cell in details["cells"]]) for key in ("measured", "left_out"))
    ends = [min(measured.min(), predicted.min()), max(measured.max(), predicted.max())]
    axes.plot(ends, ends, color=PALETTE[1], linewidth=1.2, linestyle=(0, (4, 2)))
    axes.scatter(measured, predicted, s=14, color=_POINT, zorder=3)
    error = details["cross_validation"][details["form"]]["error"]
    axes.set_title(f"runs left out: off by {100 * error:.2g} %", fontsize=9)
    axes.set_xlabel(f"measured {plain(objective)}", fontsize=8)
    axes.set_ylabel("predicted without it", fontsize=8)
    tidy(axes)


def _domain(axes: Axes, domain: str, part: dict[str, Any], law: dict[str, float], unit: float) -> None:
    tokens = np.geomspace(min(part["tokens"]) / 1.1, max(part["tokens"]) * 1.1, 60)
    fitted = law["floor"] + law["amplitude"] * (tokens / unit) ** -law["exponent"]
    axes.plot(tokens, fitted, color=PALETTE[0], linewidth=1.6)
    axes.scatter(part["tokens"], part["measured"], s=14, color=_POINT, zorder=3)
    axes.set_xscale("log")
    count_ticks(axes.xaxis)
    axes.set_title(plain(domain), fontsize=9)
    axes.set_xlabel("effective tokens", fontsize=8)
    axes.set_ylabel("error" if is_task(domain) else "loss, nats/token", fontsize=8)
    tidy(axes)
