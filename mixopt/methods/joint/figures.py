"""The joint law's picture and tables: what it says of every run, fitted and left out, and its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.display.colours import INK, LAW, MUTED, Look
from mixopt.display.figure import Axis, Figure, Line, Panel, Points, Rule
from mixopt.display.table import NOTHING, Column, number, table, word
from mixopt.task_objective import is_task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixopt.display.table import Table
    from mixopt.methods.base import Recommendation
    from mixopt.methods.joint.evidence import DomainLaw, JointLaw, OwnLoss


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
