"""The joint law's picture and tables: what it says of every run, fitted and left out, and its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.display.colours import INK, LAW, MUTED, Look
from mixopt.display.figure import Axis, Figure, Line, Panel, Points, Rule
from mixopt.display.table import NOTHING, Column, number, table, word
from mixopt.task_objective import is_task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixopt.display.table import Table


def law_figure(law: Mapping[str, Any], objective: str, units: str) -> Figure:
    """How far the law is from each run, fitted and left out; by domain, every run on the law's own axis.

    Args:
        law: of `mixopt.methods.joint.fit`; with `losses` a panel for each domain.
        objective: its name.
        units: of the objective.
    """
    losses: dict[str, Any] = law.get("losses", {})
    noise = law["noise"]
    error = law["cross_validation"][law["form"]]["error"]
    panels = [_errors(law, f"measured {objective} ({units})", f"runs left out: off by {100 * error:.2g} %")]
    for domain, part in losses.items():
        unit = (
            law["unit_tokens"][domain] if domain in law["unit_tokens"] else next(iter(law["unit_tokens"].values()))
        )
        panels.append(_domain(domain, part, law["parameters"][domain], unit))
    return Figure(
        name="law",
        title=f"Joint law {law['form']} of {len(law['cells'])} different runs",
        panels=panels,
        note=f"{law['law']}. Noise of a run: {100 * noise['relative']:.2g} % of the objective ({noise['source']}), "
        "the dotted lines. A point a mixture and size, mean over seeds. A click leads to the run.",
        size=(2.9, 2.6) if losses else (6.0, 3.4),
        legend="bottom",
    )


def _errors(law: Mapping[str, Any], label: str, title: str) -> Panel:
    noise = 100 * law["noise"]["relative"]
    points = [
        _points(law, "left_out", "left out of the fit", look=INK, symbol="open"),
        _points(law, "fitted", "fitted", look=LAW),
    ]
    rules = [Rule(y=0.0), *(Rule(y=height, look=Look(MUTED.colour, "dot")) for height in (-noise, noise))]
    return Panel(marks=[*rules, *points], title=title, x=Axis(label=label), y=Axis(label="law above measured, %"))


def _points(law: Mapping[str, Any], key: str, name: str, **style: Any) -> Points:
    cells = law["cells"]
    return Points(
        name=name, x=[cell["measured"] for cell in cells], about=name, runs=[cell["runs"] for cell in cells],
        y=[100 * (cell[key] / cell["measured"] - 1) for cell in cells], say="measured {x:.5g}, law {y:+.2f} %",
        **style,
    )  # fmt: skip


def _domain(domain: str, part: Mapping[str, Any], law: Mapping[str, float], unit: float) -> Panel:
    tokens = np.geomspace(min(part["tokens"]) / 1.1, max(part["tokens"]) * 1.1, 60)
    fitted = law["floor"] + law["amplitude"] * (tokens / unit) ** -law["exponent"]
    return Panel(
        marks=[
            Line(name="fitted", look=LAW, x=tokens.tolist(), y=fitted.tolist(), about="law"),
            Points(name="measured", x=part["tokens"], y=part["measured"], about="measured"),
        ],
        title=domain,
        x=Axis(label="effective tokens", scale="log", counts=True),
        y=Axis(label="error" if is_task(domain) else "loss, nats/token"),
    )


def law_tables(law: Mapping[str, Any]) -> list[Table]:
    """The forms that were tried, and the parameters of the one that was taken."""
    return [_forms(law), _parameters(law)]


def _forms(law: Mapping[str, Any]) -> Table:
    """Cross-validation, on all runs and on the largest scale alone."""
    tried: Mapping[str, Any] = law["cross_validation"]
    largest = [part.get("largest_scale") for part in tried.values()]
    columns = [
        Column("form"),
        Column("error", "cross-validated, relative"),
        Column("Spearman", "rank correlation of predicted and measured runs that were left out"),
        *([Column("error at the largest scale", "predicted from the smaller ones")] if any(largest) else []),
    ]
    rows = [
        [
            word(name, "strong" if name == law["form"] else ""),
            number(part["error"], "{:.4f}"),
            number(part["spearman"], "{:.3f}"),
            *([number(scale["error"], "{:.4f}") if scale else NOTHING] if any(largest) else []),
        ]
        for (name, part), scale in zip(tried.items(), largest, strict=True)
    ]
    return table("joint-forms", "Forms of the joint law, by cross-validation", columns, rows, for_page=True)


def _parameters(law: Mapping[str, Any]) -> Table:
    """One row a domain; the transfers of the form per domain are columns."""
    found = law["parameters"]
    flat = {
        domain: {
            **{key: value for key, value in part.items() if key != "transfer"},
            **{f"from {source}": value for source, value in part.get("transfer", {}).items()},
        }
        for domain, part in (found["domains"] if law["form"] == "additive" else found).items()
    }
    columns = [Column("domain"), *(Column(name, _meaning(name)) for name in next(iter(flat.values())))]
    rows = [[word(domain), *map(number, part.values())] for domain, part in flat.items()]
    return table("joint-parameters", "Parameters of the joint law", columns, rows, for_page=True)


def _meaning(name: str) -> str:
    return "how much a token of that domain helps this one" if name.startswith("from ") else "parameter of the law"
