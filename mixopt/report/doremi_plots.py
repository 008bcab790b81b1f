"""A picture of DoReMi's proxies: domain weights, their average and excess losses over the tokens of each round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixopt.report.figure import MUTED, PALETTE, new_figure, plain, tidy
from mixopt.units import format_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixopt.methods.base import Recommendation

_GRID = "#E6E6E6"
_STYLES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
# More columns than this are too narrow to be read; the last rounds are shown.
_MOST_ROUNDS = 4


def weights_figure(recommendation: Recommendation) -> Figure:
    """A column a round: α (thin) and its average (thick) above, the excess loss λ below; a colour a domain.

    The paths are the first seed's; the legend has the answer, which is the mean over seeds.
    """
    rounds: list[dict[str, Any]] = recommendation.details["doremi"]["rounds"]
    shown = list(enumerate(rounds, start=1))[-_MOST_ROUNDS:]
    weights = recommendation.mixture.to_dict()
    names = sorted(weights, key=lambda name: -weights[name])
    looks = {
        name: (PALETTE[index % len(PALETTE)], _STYLES[index // len(PALETTE) % len(_STYLES)])
        for index, name in enumerate(names)
    }
    figure = new_figure(2.2 + 3.2 * len(shown), 4.9)
    panels = figure.subplots(2, len(shown), sharex=True, sharey="row", squeeze=False)
    for (above, below), (number, part) in zip(panels.T, shown, strict=True):
        _panel(above, part, looks, weights)
        for name, (colour, style) in looks.items():
            below.plot(part["tokens"], part["excess"][name], color=colour, linestyle=style, linewidth=1)
        above.set_title(f"round {number}, greatest change {part['change']:.3f}", fontsize=9, loc="left")
        for axes in (above, below):
            axes.grid(axis="y", color=_GRID, linewidth=0.6)
            axes.set_axisbelow(True)
            axes.set_ylim(bottom=0)
            tidy(axes)
        below.xaxis.set_major_formatter(lambda value, _: format_count(value) if value > 0 else "0")
    panels[0, 0].set_ylabel("domain weight\nthin: of the step; thick: average", fontsize=8.5)
    panels[1, 0].set_ylabel("excess loss, nats/token", fontsize=8.5)
    of = " of the first seed" if len(rounds[0]["proxies"]) > 1 else ""
    figure.supxlabel(f"training tokens of the proxy{of}", fontsize=9, color=MUTED)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8, title="answer",
                  title_fontsize=8, alignment="left")  # fmt: skip
    return figure


def _panel(
    axes: Axes, part: Mapping[str, Any], looks: Mapping[str, tuple[str, Any]], weights: Mapping[str, float]
) -> None:
    for name, (colour, style) in looks.items():
        axes.plot(part["tokens"], part["alpha"][name], color=colour, linestyle=style, linewidth=0.7, alpha=0.5)
        axes.plot(part["tokens"], part["average"][name], color=colour, linestyle=style, linewidth=1.9,
                  label=f"{plain(name)} {weights[name]:.3f}")  # fmt: skip
