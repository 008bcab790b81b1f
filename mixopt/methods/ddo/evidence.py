"""What DDO found out: a law of each domain's tokens, with the runs that it was fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from mixopt.arrays import Floats
from mixopt.display import figure
from mixopt.display.colours import INK, LAW, Look, colour_of
from mixopt.display.figure import Axis, Figure, Panel, Rule
from mixopt.display.table import Column, Table, interval, named, number, runs_cell, table, word
from mixopt.methods.base import Evidence, Recommendation, record
from mixopt.methods.joint.evidence import JointLaw, OwnLoss


@record
class Points:
    """Measured runs along a domain's tokens."""

    x: tuple[float, ...]  # (P,) tokens, multiples of the base run's
    y: tuple[float, ...]  # (P,) objectives
    sd: tuple[float, ...]  # (P,) their standard deviations
    runs: tuple[tuple[str, ...], ...]  # ids behind each


@record
class Curve:
    """A law along a domain's tokens."""

    x: tuple[float, ...]  # (P,) tokens, multiples of the base run's
    y: tuple[float, ...]  # (P,) objectives
    low: tuple[float, ...]  # (P,) lower ends of their 95 % band
    high: tuple[float, ...]  # (P,) upper ends

    @classmethod
    def of(cls, x: Floats, y: Floats, low: Floats, high: Floats) -> Curve:
        """From (P,) arrays; the band is made to hold the law."""
        arrays = {"x": x, "y": y, "low": np.minimum(low, y), "high": np.maximum(high, y)}
        return cls(**{name: tuple(array.tolist()) for name, array in arrays.items()})


@record
class Line:
    """What is known of one domain."""

    law: dict[str, float]  # parameters by name
    points: Points  # what was measured
    curve: Curve  # the law
    recommended_x: float  # the amount advised, in multiples of the base run's


@record
class DdoEvidence(Evidence):
    """Behind DDO's answer."""

    kind: Literal["ddo"] = "ddo"
    law: str  # in words
    perturb: str  # `add` or `replace`
    balanced: bool  # whether curves are of runs that hold the total
    base_objective: float  # of the base run
    base_tokens: int  # of the base run
    optimism: float  # by how much the least of noisy predictions is too low, in the objective's units
    domains: dict[str, Line]  # by name


@record
class JointEvidence(Evidence):
    """Behind the answer of a joint law of DDO's runs."""

    kind: Literal["joint"] = "joint"
    joint: JointLaw  # the law
    perturb: str  # `add` or `replace`
    base_objective: float  # of the base run, by the law
    base_tokens: int  # of the base run
    misfit: float  # relative standard error of predictions at the target
    domains: dict[str, Line]  # the law along each domain's tokens
    losses: dict[str, OwnLoss]  # each domain's own; none of an additive law


def laws_figure(answer: Recommendation, domains: Mapping[str, Line], law: str) -> Figure:
    """One small panel a domain: measured points, the fitted law with its 95 % band, and the recommended amount.

    All share one scale, set by the points: a band that runs off must not flatten the rest.
    """
    points = [line.points for line in domains.values()]
    low = min(y - 2 * sd for part in points for y, sd in zip(part.y, part.sd, strict=True))
    high = max(y + 2 * sd for part in points for y, sd in zip(part.y, part.sd, strict=True))
    pad = 0.12 * (high - low)
    amounts = [x for part in points for x in part.x]
    # Nominal factors: realised ones differ by a sequence from domain to domain.
    ticks = sorted({float(f"{x:.2g}") for x in amounts})
    ticks = [tick for i, tick in enumerate(ticks) if i == 0 or tick / ticks[i - 1] > 1.15]
    right = 1.25 * max(*amounts, *(line.recommended_x for line in domains.values()))
    x = Axis(scale="log", limits=(min(amounts) / 1.6, right), ticks={tick: f"x{tick:g}" for tick in ticks})
    y = Axis(limits=(low - pad, high + pad))
    return Figure(
        name="curves",
        title="Fitted laws",
        panels=[
            Panel(marks=_marks(line), title=f"{domain}  x{line.recommended_x:.2f}", x=x, y=y)
            for domain, line in domains.items()
        ],
        note=f"{law}. Noise of a run: {answer.noise or 'unknown'}. Up: "
        f"{answer.objective} ({answer.units}). Across: tokens of the domain in multiples of the base "
        "run's. Line and band: the law with its 95 % band. Points: measured, ± 1.96 standard deviations. Dashed: "
        "the recommended amount.",
        size=(2.55, 2.2),
        legend="top",
        below="tokens of the domain, multiples of the base run",
        beside=f"{answer.objective} ({answer.units})",
    )


def _marks(line: Line) -> list[figure.Line | figure.Points | Rule]:
    curve, points = line.curve, line.points
    bars = [1.96 * sd for sd in points.sd]
    return [
        figure.Line(name="fitted law, 95 % band", look=LAW, x=curve.x, y=curve.y, low=curve.low, high=curve.high,
                    about="law", say="{y:.4g} at x{x:.3g}"),
        figure.Points(
            name="measured, ±1.96 sd", look=INK, x=points.x, y=points.y,
            low=[y - bar for y, bar in zip(points.y, bars, strict=True)],
            high=[y + bar for y, bar in zip(points.y, bars, strict=True)],
            about="measured", say="{y:.5g} at x{x:.3g}", runs=points.runs,
        ),
        Rule(name="recommended amount", look=Look(colour_of("recommended"), "dash"),
             x=max(line.recommended_x, 1e-9)),
    ]  # fmt: skip


def laws_table(domains: Mapping[str, Line]) -> Table:
    """The fitted parameters of each domain, and the runs behind them."""
    names = list(dict.fromkeys(name for line in domains.values() for name in line.law))
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
            *(number(line.law.get(name)) for name in names),
            number(line.recommended_x, "x{:#.3g}"),
            interval(min(line.points.x), max(line.points.x), "x{:#.3g}"),
            runs_cell(run for some in line.points.runs for run in some),
        ]
        for domain, line in domains.items()
    ]
    return table("laws", "Fitted laws", columns, rows, for_page=True)
