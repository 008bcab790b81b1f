"""What a joint law says: its parameters, every run measured and fitted, and what it missed of runs left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

import numpy as np

from mixopt.display.colours import INK, LAW, MUTED, Look
from mixopt.display.figure import Axis, Figure, Line, Panel, Points, Rule
from mixopt.display.table import NOTHING, Column, Table, number, table, word
from mixopt.methods.base import Noise, Recommendation, record
from mixopt.objective import is_task


@record
class LargestScale:
    """The largest scale predicted from the others."""

    tokens: float  # of that scale
    reach: float  # logarithm of how much larger it is than the largest of the others
    error: float  # root mean square of what was missed, relative
    error_of_differences: float  # the same of differences between mixtures


@record
class Checked:
    """A form of the law on runs that it was not fitted to."""

    error: float  # root mean square, relative to the objective
    spearman: float | None  # rank correlation of predicted and measured; None where either is constant
    predicted: tuple[float, ...]  # (C,) objectives, each without its cell
    largest_scale: LargestScale | None  # None with a single scale


@record
class CellEvidence:
    """Runs of one mixture and length."""

    runs: tuple[str, ...]  # ids
    tokens: dict[str, float]  # by domain
    measured: float  # the objective, mean over seeds
    fitted: float  # by the law
    left_out: float  # by the law without these runs


@record
class DomainLaw:
    """Parameters of one domain."""

    amplitude: float  # of the part that falls
    exponent: float  # how fast it falls
    offset: float | None = None  # tokens already had, of the additive form; None of the other
    floor: float | None = None  # what remains, of the form per domain; None of the other
    # what a token of each domain is worth to this one; none of the additive form
    transfer: dict[str, float] = field(default_factory=dict)

    @property
    def numbers(self) -> dict[str, float]:
        """Its own parameters by name."""
        parts = {"floor": self.floor, "amplitude": self.amplitude, "offset": self.offset, "exponent": self.exponent}
        return {name: value for name, value in parts.items() if value is not None}


@record
class JointLaw:
    """A law of all runs."""

    form: Literal["additive", "per_domain"]  # `additive` or `per_domain`
    law: str  # in words
    unit_tokens: dict[str, float]  # unit of each domain's tokens in the parameters
    parameters: dict[str, DomainLaw]  # of each domain
    floor: float | None  # of the additive form, which has one for all domains; else None
    noise: Noise  # of a run
    cross_validation: dict[str, Checked]  # by form that was tried
    cells: tuple[CellEvidence, ...]  # the runs


@record
class OwnLoss:
    """A domain's own loss in every cell."""

    tokens: tuple[float, ...]  # (C,) effective tokens: all domains' by what a token of each is worth
    measured: tuple[float, ...]  # (C,) nats/token
    fitted: tuple[float, ...]  # (C,) by the law


def law_figure(answer: Recommendation, law: JointLaw, losses: Mapping[str, OwnLoss]) -> Figure:
    """How far the law is from each run, fitted and left out; by domain, every run on the law's own axis."""
    error, label = law.cross_validation[law.form].error, f"measured {answer.objective} ({answer.units})"
    panels = [_errors(law, label, f"runs left out: off by {100 * error:.2g} %")]
    unit = next(iter(law.unit_tokens.values()))  # one for all domains
    panels += [_domain(domain, own, law.parameters[domain], unit) for domain, own in losses.items()]
    return Figure(
        name="law",
        title=f"Joint law {law.form} of {len(law.cells)} different runs",
        panels=panels,
        note=f"{law.law}. Noise of a run: {law.noise}, the dotted lines. A point a mixture and size, "
        "mean over seeds. A click leads to the run.",
        size=(2.9, 2.6) if losses else (6.0, 3.4),
        legend="bottom",
    )


def _errors(law: JointLaw, label: str, title: str) -> Panel:
    noise = 100 * law.noise.relative
    points = [
        _points(law, [cell.left_out for cell in law.cells], "left out of the fit", look=INK, symbol="open"),
        _points(law, [cell.fitted for cell in law.cells], "fitted", look=LAW),
    ]
    rules = [Rule(y=0.0), *(Rule(y=height, look=Look(MUTED.colour, "dot")) for height in (-noise, noise))]
    return Panel(marks=[*rules, *points], title=title, x=Axis(label=label), y=Axis(label="law above measured, %"))


def _points(law: JointLaw, said: Sequence[float], name: str, **style: Any) -> Points:
    measured = [cell.measured for cell in law.cells]
    return Points(
        name=name, x=measured, about=name, runs=[cell.runs for cell in law.cells],
        y=[100 * (one / other - 1) for one, other in zip(said, measured, strict=True)],
        say="measured {x:.5g}, law {y:+.2f} %", **style,
    )  # fmt: skip


def _domain(domain: str, own: OwnLoss, law: DomainLaw, unit: float) -> Panel:
    tokens = np.geomspace(min(own.tokens) / 1.1, max(own.tokens) * 1.1, 60)
    fitted = (law.floor or 0.0) + law.amplitude * (tokens / unit) ** -law.exponent
    return Panel(
        marks=[
            Line(name="fitted", look=LAW, x=tokens.tolist(), y=fitted.tolist(), about="law"),
            Points(name="measured", x=own.tokens, y=own.measured, about="measured"),
        ],
        title=domain,
        x=Axis(label="effective tokens", scale="log", counts=True),
        y=Axis(label="error" if is_task(domain) else "loss, nats/token"),
    )


def law_tables(law: JointLaw) -> list[Table]:
    """The forms that were tried, and the parameters of the one that was taken."""
    return [_forms(law), _parameters(law)]


def _forms(law: JointLaw) -> Table:
    """Cross-validation, on all runs and on the largest scale alone."""
    tried = law.cross_validation
    largest = [checked.largest_scale for checked in tried.values()]
    columns = [
        Column("form"),
        Column("error", "cross-validated, relative"),
        Column("Spearman", "rank correlation of predicted and measured runs that were left out"),
        *([Column("error at the largest scale", "predicted from the smaller ones")] if any(largest) else []),
    ]
    rows = [
        [
            word(name, "strong" if name == law.form else ""),
            number(checked.error, "{:.4f}"),
            number(checked.spearman, "{:.3f}"),
            *([number(scale.error, "{:.4f}") if scale else NOTHING] if any(largest) else []),
        ]
        for (name, checked), scale in zip(tried.items(), largest, strict=True)
    ]
    return table("joint-forms", "Forms of the joint law, by cross-validation", columns, rows, for_page=True)


def _parameters(law: JointLaw) -> Table:
    """One row a domain; the transfers of the form per domain are columns."""
    flat = {
        domain: {**part.numbers, **{f"from {source}": value for source, value in part.transfer.items()}}
        for domain, part in law.parameters.items()
    }
    columns = [Column("domain"), *(Column(name, _meaning(name)) for name in next(iter(flat.values())))]
    rows = [[word(domain), *map(number, part.values())] for domain, part in flat.items()]
    return table("joint-parameters", "Parameters of the joint law", columns, rows, for_page=True)


def _meaning(name: str) -> str:
    return "how much a token of that domain helps this one" if name.startswith("from ") else "parameter of the law"
