"""DDO's pictures and tables: the fitted law of each domain with its points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixopt.display.colours import INK, LAW, Look, colour_of
from mixopt.display.figure import Axis, Figure, Line, Panel, Points, Rule
from mixopt.display.table import Column, interval, named, number, runs_cell, table, word

if TYPE_CHECKING:
    from mixopt.display.table import Table
    from mixopt.methods.base import Recommendation


def laws_figure(recommendation: Recommendation) -> Figure:
    """One small panel a domain: measured points, the fitted law with its 95 % band, and the recommended amount.

    All share one scale, set by the points: a band that runs off must not flatten the rest.
    """
    details = recommendation.details
    domains: dict[str, Any] = details["domains"]
    points = [part["points"] for part in domains.values()]
    low = min(y - 2 * sd for part in points for y, sd in zip(part["y"], part["sd"], strict=True))
    high = max(y + 2 * sd for part in points for y, sd in zip(part["y"], part["sd"], strict=True))
    pad = 0.12 * (high - low)
    amounts = [x for part in points for x in part["x"]]
    # Nominal factors: realised ones differ by a sequence from domain to domain.
    ticks = sorted({float(f"{x:.2g}") for x in amounts})
    ticks = [tick for i, tick in enumerate(ticks) if i == 0 or tick / ticks[i - 1] > 1.15]
    right = 1.25 * max(*amounts, *(part["recommended_x"] for part in domains.values()))
    x = Axis(scale="log", limits=(min(amounts) / 1.6, right), ticks={tick: f"x{tick:g}" for tick in ticks})
    y = Axis(limits=(low - pad, high + pad))
    noise = details["noise"]
    how = (
        f"measured from repeats, {noise['degrees_of_freedom']} degrees of freedom"
        if noise["degrees_of_freedom"]
        else "assumed, no run is repeated"
    )
    return Figure(
        name="curves",
        title="Fitted laws",
        panels=[
            Panel(marks=_marks(part), title=f"{domain}  x{part['recommended_x']:.2f}", x=x, y=y)
            for domain, part in domains.items()
        ],
        note=f"{details['law']}. Noise of a run: {100 * noise['relative']:.2g} % of the objective ({how}). Up: "
        f"{recommendation.objective} ({details['units']}). Across: tokens of the domain in multiples of the base "
        "run's. Line and band: the law with its 95 % band. Points: measured, ± 1.96 standard deviations. Dashed: "
        "the recommended amount.",
        size=(2.55, 2.2),
        legend="top",
        below="tokens of the domain, multiples of the base run",
        beside=f"{recommendation.objective} ({details['units']})",
    )


def _marks(part: dict[str, Any]) -> list[Line | Points | Rule]:
    curve, points, best = part["curve"], part["points"], part["recommended_x"]
    bars = [1.96 * sd for sd in points["sd"]]
    return [
        Line(name="fitted law, 95 % band", look=LAW, x=curve["x"], y=curve["y"], low=curve["low"],
             high=curve["high"], about="law", say="{y:.4g} at x{x:.3g}"),
        Points(
            name="measured, ±1.96 sd", look=INK, x=points["x"], y=points["y"],
            low=[y - bar for y, bar in zip(points["y"], bars, strict=True)],
            high=[y + bar for y, bar in zip(points["y"], bars, strict=True)],
            about="measured", say="{y:.5g} at x{x:.3g}", runs=points["runs"],
        ),
        Rule(name="recommended amount", look=Look(colour_of("recommended"), "dash"), x=max(best, 1e-9)),
    ]  # fmt: skip


def laws_table(recommendation: Recommendation) -> Table:
    """The fitted parameters of each domain, and the runs behind them."""
    domains: dict[str, Any] = recommendation.details["domains"]
    names = list(dict.fromkeys(name for part in domains.values() for name in part["law"]))
    multiples = "multiples of the base run's tokens of the domain"
    columns = [
        Column("domain"),
        *named(names, "parameter of the law"),
        *named(["recommended", "tested"], multiples),
        Column("runs"),
    ]
    rows = [
        [
            word(domain),
            *(number(part["law"].get(name)) for name in names),
            number(part["recommended_x"], "x{:#.3g}"),
            interval(min(part["points"]["x"]), max(part["points"]["x"]), "x{:#.3g}"),
            runs_cell(run for some in part["points"]["runs"] for run in some),
        ]
        for domain, part in domains.items()
    ]
    return table("laws", "Fitted laws", columns, rows, for_page=True)
