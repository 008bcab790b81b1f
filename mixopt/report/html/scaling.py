"""AutoScale in the page: weights and tokens of each domain against scale, the predictors, the hold-out check.

The figures are those of Kang et al. 2024 (AutoScale), Figure 6, with intervals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixopt.report.html.drawing import MUTED, blank, figure, line, plain
from mixopt.report.html.section import Section
from mixopt.report.html.table import Cell, Table, interval, number, percent, runs_cell, word
from mixopt.units import format_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixopt.report.html.drawing import Figure
    from mixopt.report.html.gather import Gathered


def scaling_section(study: Gathered) -> Section | None:
    """How the answer follows from the scales; None for an answer at one scale."""
    answer = study.recommendation or {}
    details = answer.get("details") or {}
    if "path" not in details or "scales" not in details:
        return None
    chosen, choice = details["chosen"], details.get("choice") or {}
    scales = ", ".join(format_count(scale["tokens"]) for scale in details["scales"])
    found = [_predictors(details), _scales(study, details)]
    if details.get("holdout"):
        found += [_holdout(details["holdout"]), _held_weights(details["holdout"])]
    if details.get("holdout") is None and choice.get("errors"):
        found.append(_errors(choice))
    return Section(
        "scaling",
        "From the scales to the target",
        f"Scales {scales}; target {format_count(answer['tokens'])} tokens; the {chosen} predictor advises"
        + (f": {choice['reason']}." if choice.get("reason") else "."),
        figures=[_path(answer, amounts=False), _path(answer, amounts=True)],
        tables=found,
    )


def _path(answer: Mapping[str, Any], *, amounts: bool) -> Figure:
    """Weights, or tokens, of every domain from the smallest scale to the target; marks where scales were fitted."""
    details = answer["details"]
    totals = details["path"]["tokens"]
    domains = details["path"]["domains"]
    legend = {"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top"}
    drawing = blank(460 + 9 * len(domains), hovermode="closest", legend=legend)
    for index, (domain, part) in enumerate(domains.items()):
        group, style = f"domain-{index}", line(index)
        factors = totals if amounts else [1.0] * len(totals)
        if "low" in part:
            ends = [part[key][i] * factors[i] for key in ("high", "low") for i in range(len(totals))]
            ends = ends[: len(totals)] + ends[: len(totals) - 1 : -1]
            drawing.add_scatter(
                x=[*totals, *reversed(totals)], y=ends, fill="toself", mode="lines", line_width=0,
                fillcolor=style["color"], opacity=0.13, hoverinfo="skip", legendgroup=group, showlegend=False,
            )  # fmt: skip
        drawing.add_scatter(
            x=totals, y=[w * f for w, f in zip(part["weights"], factors, strict=True)], mode="lines",
            name=plain(domain, 22), line={**style, "width": 2}, legendgroup=group,
            customdata=[plain(domain)] * len(totals), hovertemplate=_hover(amounts),
        )  # fmt: skip
        marks = _marks(details["scales"], domain, amounts=amounts)
        drawing.add_scatter(
            x=[mark[0] for mark in marks], y=[mark[1] for mark in marks], mode="markers", legendgroup=group,
            showlegend=False, marker={"color": style["color"], "size": 8},
            error_y={"type": "data", "symmetric": False, "array": [mark[2] for mark in marks],
                     "arrayminus": [mark[3] for mark in marks], "color": style["color"], "thickness": 1.3},
            customdata=[plain(domain)] * len(marks), hovertemplate=_hover(amounts),
        )  # fmt: skip
    drawing.add_vline(x=answer["tokens"], line={"color": MUTED, "dash": "dash", "width": 1.5})
    places = sorted({*(scale["tokens"] for scale in details["scales"]), answer["tokens"]})
    drawing.update_xaxes(
        type="log", title="training tokens", tickvals=places, ticktext=[format_count(place) for place in places]
    )
    if amounts:
        drawing.update_yaxes(type="log", title="tokens of the domain", exponentformat="SI", dtick=1)
    else:
        drawing.update_yaxes(title="weight")
    what = "Tokens" if amounts else "Weights"
    note = (
        "Lines and bands: the predictor with its 95 % band. Points: DDO's optimum at each scale with its interval. "
    )
    note += "Dashed: the target. A click in the legend hides a domain."
    return figure(f"path-{what.lower()}", f"{what} by domain against scale", note, drawing)


def _marks(scales: list[dict[str, Any]], domain: str, *, amounts: bool) -> list[tuple[float, float, float, float]]:
    """Tokens, optimum, and how far its interval reaches up and down, by scale."""
    marks = []
    for scale in scales:
        factor, weight = (scale["tokens"] if amounts else 1.0), scale["weights"][domain]
        low, high = (scale.get("intervals") or {}).get(domain, (weight, weight))
        marks.append((scale["tokens"], weight * factor, (high - weight) * factor, (weight - low) * factor))
    return marks


def _hover(amounts: bool) -> str:
    value = "%{y:.3s} tokens of it" if amounts else "weight %{y:.4f}"
    return f"%{{customdata}}<br>{value} at %{{x:.3s}} tokens<extra></extra>"


def _predictors(details: Mapping[str, Any]) -> Table:
    """The target's optimum by either predictor, beside the nearest scale's."""
    predictors = details["predictors"]
    last = max(details["scales"], key=lambda scale: scale["tokens"])
    columns = {"domain": ""}
    for name in predictors:
        columns[name] = "the one that advises" if name == details["chosen"] else "weight at the target"
        columns[f"{name}, 95 %"] = "interval from replicates of the runs"
    columns[f"DDO at {format_count(last['tokens'])}"] = "optimum at the largest scale"
    rows = []
    for domain, weight in last["weights"].items():
        row = [word(domain)]
        for name, part in predictors.items():
            low, high = (part.get("intervals") or {}).get(domain, (None, None))
            kind = "strong" if name == details["chosen"] else ""
            row += [number(part["weights"][domain], "{:.3f}", kind), interval(low, high)]
        rows.append([*row, number(weight, "{:.3f}")])
    return Table("predictors", "The target's mixture by predictor", columns, rows)


def _scales(study: Gathered, details: Mapping[str, Any]) -> Table:
    columns = {"scale": "training tokens of the base run", "base": "the base run's objective",
               "optimum": "predicted objective of the scale's best mixture", "noise": "of a run, relative",
               "at a bound": "domains at their floor or cap", "runs": ""}  # fmt: skip
    rows = []
    for scale in details["scales"]:
        name = format_count(scale["tokens"])
        ids = [run.run_id for run in study.runs if any(role.endswith(f" at {name}") for role in run.roles)]
        noise = (scale.get("noise") or {}).get("relative")
        rows.append(
            [
                Cell(name, float(scale["tokens"])),
                number(scale.get("base_objective")),
                number(scale.get("predicted")),
                number(None if noise is None else 100 * noise, "{:.2g} %"),
                word(", ".join(scale.get("pinned") or ())),
                runs_cell(ids),
            ]
        )
    return Table("scales", "DDO at each scale", columns, rows, frozenset({0, 4}))


def _holdout(held: Mapping[str, Any]) -> Table:
    source = ", ".join(format_count(tokens) for tokens in held["from"])
    columns = {"predicted from the others by": "", "distance": "total variation to the optimum found there",
               "predicted objective": "by the laws of the scale held out", "above the optimum": ""}  # fmt: skip
    guesses = sorted(held["guesses"].items(), key=lambda item: item[1]["distance"])
    rows = [
        [word(name), number(guess["distance"], "{:.4f}"), number(guess["predicted"]), percent(guess["excess"])]
        for name, guess in guesses
    ]
    spread = held.get("spread")
    itself = number(
        spread, "{:.4f}", title="mean distance of its replicates: a nearer guess is as good as can be told"
    )
    rows.append([word("(the optimum's own noise)"), itself, number(held.get("predicted")), Cell("")])
    caption = f"Honesty check: {format_count(held['tokens'])} held out, predicted from {source}"
    return Table("holdout", caption, columns, rows)


def _held_weights(held: Mapping[str, Any]) -> Table:
    columns = {
        "domain": "",
        "optimum": "found at the scale held out",
        **dict.fromkeys(held["guesses"], "predicted"),
    }
    rows = [
        [word(domain), number(weight, "{:.3f}", "strong"),
         *(number(guess["weights"][domain], "{:.3f}") for guess in held["guesses"].values())]
        for domain, weight in held["optimum"].items()
    ]  # fmt: skip
    return Table("held-weights", "Honesty check: weights", columns, rows)


def _errors(choice: Mapping[str, Any]) -> Table:
    rows = [[word(name), number(value)] for name, value in choice["errors"].items()]
    return Table("choice", "Why this predictor", {"predictor": "", choice.get("measure", "error"): ""}, rows)
