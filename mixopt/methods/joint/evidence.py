"""What a joint law says: its parameters, every run measured and fitted, and what it missed of runs left out."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixopt.display.colours import INK, LAW, MUTED, Look
from mixopt.display.figure import Axis, Figure, Line, Panel, Points, Rule
from mixopt.display.table import NOTHING, Column, number, table, word
from mixopt.methods.base import Evidence, Noise, record
from mixopt.methods.ddo.evidence import Line as DomainLine
from mixopt.task_objective import is_task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixopt.display.table import Table
    from mixopt.methods.base import Recommendation


@record
class LargestScale:
    """The largest scale predicted from the others.

    Attributes:
        tokens: of that scale.
        reach: logarithm of how much larger it is than the largest of the others.
        error: root mean square of what was missed, relative.
        error_of_differences: the same of differences between mixtures.
    """

    tokens: float
    reach: float
    error: float
    error_of_differences: float


@record
class Checked:
    """A form of the law on runs that it was not fitted to.

    Attributes:
        error: root mean square, relative to the objective.
        spearman: rank correlation of predicted and measured; None where either is constant.
        predicted: (C,) objectives, each without its cell.
        largest_scale: None with a single scale.
    """

    error: float
    spearman: float | None
    predicted: tuple[float, ...]
    largest_scale: LargestScale | None


@record
class CellEvidence:
    """Runs of one mixture and length.

    Attributes:
        runs: ids.
        tokens: by domain.
        measured: the objective, mean over seeds.
        fitted: by the law.
        left_out: by the law without these runs.
    """

    runs: tuple[str, ...]
    tokens: dict[str, float]
    measured: float
    fitted: float
    left_out: float


@record
class DomainLaw:
    """Parameters of one domain.

    Attributes:
        amplitude: of the part that falls.
        exponent: how fast it falls.
        offset: tokens already had, of the additive form; None of the other.
        floor: what remains, of the form per domain; None of the other.
        transfer: what a token of each domain is worth to this one; none of the additive form.
    """

    amplitude: float
    exponent: float
    offset: float | None = None
    floor: float | None = None
    transfer: dict[str, float] = field(default_factory=dict)

    @property
    def numbers(self) -> dict[str, float]:
        """Its own parameters by name."""
        parts = {"floor": self.floor, "amplitude": self.amplitude, "offset": self.offset, "exponent": self.exponent}
        return {name: value for name, value in parts.items() if value is not None}


@record
class JointLaw:
    """A law of all runs.

    Attributes:
        form: `additive` or `per_domain`.
        law: in words.
        unit_tokens: unit of each domain's tokens in the parameters.
        parameters: of each domain.
        floor: of the additive form, which has one for all domains; else None.
        noise: of a run.
        cross_validation: by form that was tried.
        cells: the runs.
    """

    form: Literal["additive", "per_domain"]
    law: str
    unit_tokens: dict[str, float]
    parameters: dict[str, DomainLaw]
    floor: float | None
    noise: Noise
    cross_validation: dict[str, Checked]
    cells: tuple[CellEvidence, ...]


@record
class OwnLoss:
    """A domain's own loss in every cell.

    Attributes:
        tokens: (C,) effective tokens: all domains' by what a token of each is worth.
        measured: (C,) nats/token.
        fitted: (C,) by the law.
    """

    tokens: tuple[float, ...]
    measured: tuple[float, ...]
    fitted: tuple[float, ...]


@record
class JointEvidence(Evidence):
    """Behind the answer of a joint law of DDO's runs.

    Attributes:
        joint: the law.
        perturb: `add` or `replace`.
        base_objective: of the base run, by the law.
        base_tokens: of the base run.
        misfit: relative standard error of predictions at the target.
        domains: the law along each domain's tokens.
        losses: each domain's own; none of an additive law.
    """

    kind: Literal["joint"] = "joint"
    joint: JointLaw
    perturb: str
    base_objective: float
    base_tokens: int
    misfit: float
    domains: dict[str, DomainLine]
    losses: dict[str, OwnLoss]


def law_figure(answer: Recommendation, law: JointLaw, losses: Mapping[str, OwnLoss]) -> Figure:
    """How far the law is from each run, fitted and left out; by domain, every run on the law's own axis.

    Args:
        answer: what rests on the law.
        law: the law.
        losses: what it says of the loss of each domain, a panel each.
    """
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
