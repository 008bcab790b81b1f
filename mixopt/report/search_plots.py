"""Pictures of a one-shot search: predicted against measured on runs left out, learning curve, Pareto front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.report.figure import MUTED, PALETTE, new_figure, plain, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixopt.methods.base import Recommendation

_POINT = "#222222"


def evidence_figure(recommendation: Recommendation) -> Figure:
    """What the law says of runs that it has not seen, and how that changes with the number of runs."""
    details = recommendation.details
    curve = details["evidence"].get("learning_curve") or []
    panels = 2 if len(curve) > 1 else 1
    figure = new_figure(3.9 * panels + 0.4, 3.7)
    axes = figure.subplots(1, panels, squeeze=False).ravel()
    _left_out(axes[0], details, recommendation.objective)
    if panels == 2:
        _learning(axes[1], curve)
    figure.suptitle(recommendation.method, x=0.01, ha="left", fontsize=10)
    return figure


def _left_out(axes: Axes, details: dict[str, Any], objective: str) -> None:
    swarm = details["swarm"]
    measured, predicted = (np.array([entry[key] for entry in swarm]) for key in ("measured", "left_out"))
    ends = [min(measured.min(), predicted.min()), max(measured.max(), predicted.max())]
    axes.plot(ends, ends, color=PALETTE[1], linewidth=1.2, linestyle=(0, (4, 2)))
    axes.scatter(measured, predicted, s=14, color=_POINT, zorder=3)
    evidence = details["evidence"]
    rank = evidence["spearman"]
    said = "" if rank is None else f"Spearman {rank:.3f}, "
    axes.set_title(f"mixtures left out: {said}off by {evidence['rmse']:.2g}", fontsize=9)
    axes.set_xlabel(f"measured {plain(objective)} ({details['units']})", fontsize=8)
    axes.set_ylabel("predicted without it", fontsize=8)
    tidy(axes)


def _learning(axes: Axes, curve: list[dict[str, Any]]) -> None:
    runs = [point["runs"] for point in curve]
    axes.plot(runs, [point["rmse"] for point in curve], color=PALETTE[0], marker="o", markersize=4, linewidth=1.6)
    axes.set_xscale("log")
    axes.set_xticks(runs, [str(count) for count in runs])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_title("learning curve", fontsize=9)
    axes.set_xlabel("mixtures that the law was fitted to", fontsize=8)
    axes.set_ylabel("error on mixtures left out", fontsize=8)
    tidy(axes)


def pareto_figure(recommendation: Recommendation) -> Figure:
    """The front of two objectives, with the swarm's mixtures as far as they were measured."""
    front: dict[str, Any] = recommendation.details["pareto"]
    points = np.array([point["values"] for point in front["points"]])
    figure = new_figure(4.6, 3.7)
    axes = figure.subplots()
    axes.plot(points[:, 0], points[:, 1], color=PALETTE[0], marker="o", markersize=4, linewidth=1.4, label="front")
    for index, (name, values) in enumerate(front["baselines"].items(), start=1):
        axes.plot(*values, linestyle="", marker="s", markersize=5, color=PALETTE[index % len(PALETTE)],
                  label=plain(name))  # fmt: skip
    (one, other), (units, other_units) = front["objectives"], front["units"]
    axes.set_xlabel(f"{plain(one)} ({units}), predicted", fontsize=8)
    axes.set_ylabel(f"{plain(other)} ({other_units}), predicted", fontsize=8)
    axes.legend(frameon=False, fontsize=8, labelcolor=MUTED)
    figure.suptitle("No mixture is better in both", x=0.01, ha="left", fontsize=10)
    tidy(axes)
    return figure
