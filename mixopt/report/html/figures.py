"""The figures of every study: mixture, fitted laws, what was trained, curves, prediction against measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixopt.report.html.drawing import (
    BAND,
    BAR,
    INK,
    MAIN,
    MUTED,
    OPTIMUM,
    SERIES,
    blank,
    figure,
    named_rows,
    plain,
    short_ids,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixopt.report.html.drawing import Figure
    from mixopt.report.html.gather import Gathered, Run

MOST_MIXTURES = 120
_OTHER = "other runs"
_LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}


def mixture_figure(
    weights: Mapping[str, float],
    intervals: Mapping[str, Sequence[float]],
    baselines: Mapping[str, Mapping[str, float]],
    name: str = "mixture",
) -> Figure:
    """Weights by domain, largest first: a bar with its 95 % interval, and a mark for each baseline."""
    order = sorted(weights, key=lambda domain: -weights[domain])
    rows = list(range(len(order)))
    low = [intervals.get(domain, [weights[domain]] * 2)[0] for domain in order]
    high = [intervals.get(domain, [weights[domain]] * 2)[1] for domain in order]
    drawing = blank(110 + 26 * len(order), barmode="overlay", legend=_LEGEND, bargap=0.35)
    drawing.add_bar(
        x=[weights[domain] for domain in order], y=rows, orientation="h", name="recommended", marker_color=BAR,
        error_x={
            "type": "data", "symmetric": False, "color": INK, "thickness": 1.6, "width": 3,
            "array": [high[i] - weights[domain] for i, domain in enumerate(order)],
            "arrayminus": [weights[domain] - low[i] for i, domain in enumerate(order)],
        },
        customdata=[[plain(domain), low[i], high[i]] for i, domain in enumerate(order)],
        hovertemplate="%{customdata[0]}<br>recommended %{x:.4f}<br>95 % interval %{customdata[1]:.4f} to "
        "%{customdata[2]:.4f}<extra></extra>",
    )  # fmt: skip
    for index, (label, baseline) in enumerate(baselines.items()):
        drawing.add_scatter(
            x=[baseline.get(domain, 0.0) for domain in order], y=rows, mode="markers", name=plain(label, 22),
            marker={"symbol": "line-ns-open", "size": 15, "line_width": 3, "color": SERIES[(index + 1) % 8]},
            customdata=[[plain(domain), plain(label)] for domain in order],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]} %{x:.4f}<extra></extra>",
        )  # fmt: skip
    named_rows(drawing, order)
    drawing.update_xaxes(title="share of training tokens", rangemode="tozero")
    note = "Bars: recommended share with its 95 % interval."
    return figure(name, "Mixture", note + (" Ticks: the baselines." if baselines else ""), drawing)


def law_figures(recommendation: Mapping[str, Any]) -> list[Figure]:
    """A small figure a domain: measured points, the fitted law with its band, and the recommended amount.

    All share one scale, set by the points: a band that runs off must not flatten the rest.
    """
    domains = recommendation["details"]["domains"]
    points = [part["points"] for part in domains.values()]
    bars = [(y - 2 * sd, y + 2 * sd) for part in points for y, sd in zip(part["y"], part["sd"], strict=True)]
    low, high = min(bar[0] for bar in bars), max(bar[1] for bar in bars)
    pad = 0.12 * (high - low)
    return [
        _law(f"law-{index}", domain, part, [low - pad, high + pad])
        for index, (domain, part) in enumerate(domains.items())
    ]


def _law(name: str, domain: str, part: Mapping[str, Any], limits: list[float]) -> Figure:
    curve, points, best = part["curve"], part["points"], part["recommended_x"]
    drawing = blank(230, showlegend=False)
    drawing.add_scatter(
        x=[*curve["x"], *reversed(curve["x"])], y=[*curve["high"], *reversed(curve["low"])], fill="toself",
        fillcolor=BAND, line_width=0, hoverinfo="skip", mode="lines",
    )  # fmt: skip
    drawing.add_scatter(
        x=curve["x"], y=curve["y"], mode="lines", line={"color": MAIN, "width": 2},
        hovertemplate="law: %{y:.4g} at x%{x:.3g}<extra></extra>",
    )  # fmt: skip
    runs = points.get("runs") or [[] for _ in points["x"]]
    drawing.add_scatter(
        x=points["x"], y=points["y"], mode="markers", marker={"color": INK, "size": 7},
        error_y={"type": "data", "array": [1.96 * sd for sd in points["sd"]], "color": INK, "thickness": 1.4},
        customdata=[[short_ids(ids), ids[0] if ids else ""] for ids in runs], meta="runs",
        hovertemplate="measured %{y:.5g} at x%{x:.3g}<br>%{customdata[0]}<extra></extra>",
    )  # fmt: skip
    drawing.add_scatter(
        x=[best, best], y=limits, mode="lines", line={"color": OPTIMUM, "width": 2, "dash": "dash"},
        hovertemplate=f"recommended: x{best:.3g}<extra></extra>",
    )  # fmt: skip
    ticks = sorted({float(f"{x:.2g}") for x in points["x"]})
    drawing.update_xaxes(type="log", tickvals=ticks, ticktext=[f"x{tick:g}" for tick in ticks])
    drawing.update_yaxes(range=limits, nticks=5)
    return figure(name, domain, f"x{best:.2f}", drawing)


def trained_figure(runs: Sequence[Run], domains: Sequence[str]) -> Figure | None:
    """Every distinct mixture that was trained, as a map of weights; None where there is one only."""
    distinct: dict[tuple[float, ...], list[Run]] = {}
    for run in runs:
        key = tuple(round((run.parts[d].weight or 0.0) if d in run.parts else 0.0, 6) for d in domains)
        distinct.setdefault(key, []).append(run)
    shown = list(distinct.items())[:MOST_MIXTURES]
    if len(shown) < 2:
        return None
    labels = [some[0].roles[0] for _, some in shown]
    drawing = blank(150 + 16 * len(shown))
    drawing.add_heatmap(
        z=[list(key) for key, _ in shown], x=list(range(len(domains))), y=list(range(len(shown))),
        colorscale=[[0, "rgba(0,114,178,0.03)"], [1, "rgb(0,114,178)"]], zmin=0, xgap=1, ygap=1,
        colorbar={"thickness": 10, "title": {"text": "weight"}},
        customdata=[
            [[plain(domain), plain(label), short_ids(run.run_id for run in some), some[0].run_id]
             for domain in domains]
            for label, (_, some) in zip(labels, shown, strict=True)
        ], meta="cells",
        hovertemplate="%{customdata[1]}<br>%{customdata[0]}: %{z:.4f}<br>%{customdata[2]}<extra></extra>",
    )  # fmt: skip
    named_rows(drawing, labels)
    drawing.update_yaxes(showgrid=False)
    drawing.update_xaxes(
        tickvals=list(range(len(domains))), ticktext=[plain(d, 14) for d in domains], side="top", tickangle=-45,
        showgrid=False,
    )  # fmt: skip
    left = len(distinct) - len(shown)
    note = f"One row a distinct mixture ({len(distinct)} in all)."
    note += f" {left} more are in the table of runs." if left else ""
    return figure("trained", "Mixtures that were trained", note, drawing)


def curves_figure(study: Gathered) -> Figure | None:
    """Loss against tokens of the drawn runs; menus choose domain and split. None without any curve."""
    runs = [run for run in study.runs if study.curves.get(run.run_id) and study.curves[run.run_id].losses]
    runs.sort(key=lambda run: _kind(run) != _OTHER)  # drawn first, so that they lie below
    if not runs:
        return None
    evaluated = list(dict.fromkeys(name for run in runs for name in run.parts))
    mean = "mean of training domains"
    splits: dict[str, Any] = {}
    for split in ("validation", "train"):
        curves = [study.curves[run.run_id].losses.get(split, ([], {})) for run in runs]
        named = {domain: [losses.get(domain, []) for _, losses in curves] for domain in evaluated}
        means = [_mean(losses, study.domains) for _, losses in curves]
        if any(tokens for tokens, _ in curves):
            splits[split] = {"x": [tokens for tokens, _ in curves], "y": {mean: means, **named}}
    first = next(iter(splits.values()))
    drawing = blank(440, legend=_LEGEND, hovermode="closest")
    kinds = sorted({_kind(run) for run in runs}, key=lambda kind: (kind != "recommended", kind))
    shown: set[str] = set()
    for index, run in enumerate(runs):
        kind = _kind(run)
        number, fresh, quiet = kinds.index(kind), kind not in shown, kind == _OTHER
        shown.add(kind)
        drawing.add_scatter(
            x=first["x"][index], y=first["y"][mean][index], mode="lines+markers",
            name=plain(kind, 26), legendgroup=f"kind-{number}", showlegend=fresh,
            line={"color": MUTED if quiet else SERIES[number % 8], "width": 1 if quiet else 2},
            marker={"size": 4 if quiet else 5}, opacity=0.45 if quiet else 1.0,
            customdata=[[plain(run.roles[0]), run.run_id[:8], run.run_id, run.row["seed"]]]
            * max(1, len(first["x"][index])),
            meta="runs",
            hovertemplate="%{customdata[0]}, seed %{customdata[3]}<br>%{y:.4f} "
            + f"{study.loss_units} at %{{x:.4s}} tokens<br>"
            "run %{customdata[1]}<extra></extra>",
        )  # fmt: skip
    drawing.update_xaxes(title="training tokens", rangemode="tozero")
    drawing.update_yaxes(title=f"loss, {study.loss_units}")
    total = sum(run.row["status"] != "failed" for run in study.runs)
    note = f"{len(runs)} of {total} runs" + (", verified and compared ones first" if total > len(runs) else "")
    note += ". Points before the last are measured on fewer tokens than the final losses. A click leads to the run."
    return figure("curves", "Loss while training", note, drawing, splits, ("loss", "domain"))


def _kind(run: Run) -> str:
    for role in run.roles:
        for start in ("verify ", "compare ", "target "):
            if role.startswith(start):
                return role.removeprefix(start)
    return "base" if any(role.startswith("base") for role in run.roles) else _OTHER


def _mean(losses: Mapping[str, list[float | None]], domains: Sequence[str]) -> list[float | None]:
    columns = [losses[domain] for domain in domains if domain in losses]
    return [
        sum(value for value in row if value is not None) / len(row) if None not in row else None
        for row in zip(*columns, strict=True)
    ]


def verification_figure(verification: Mapping[str, Any], units: str) -> Figure:
    """Prediction with its interval beside measurement with its standard error, a row a mixture."""
    mixtures = verification["mixtures"]
    names = list(mixtures)
    drawing = blank(130 + 46 * len(names), legend=_LEGEND)
    for label, key, color, shift in (
        ("predicted", "predicted", MAIN, -0.14),
        ("measured", "measured", OPTIMUM, 0.14),
    ):
        rows = [(i, mixtures[name][key]) for i, name in enumerate(names) if mixtures[name][key]]
        ends = [_ends(value) for _, value in rows]
        drawing.add_scatter(
            x=[value["value"] for _, value in rows], y=[i + shift for i, _ in rows], mode="markers", name=label,
            marker={"color": color, "size": 10, "symbol": "diamond" if key == "predicted" else "circle"},
            error_x={
                "type": "data", "symmetric": False, "color": color, "thickness": 2,
                "array": [high - value["value"] for (_, value), (_, high) in zip(rows, ends, strict=True)],
                "arrayminus": [value["value"] - low for (_, value), (low, _) in zip(rows, ends, strict=True)],
            },
            customdata=[[plain(names[i]), low, high] for (i, _), (low, high) in zip(rows, ends, strict=True)],
            hovertemplate=f"%{{customdata[0]}}, {label}<br>%{{x:.4g}} (%{{customdata[1]:.4g}} to "
            "%{customdata[2]:.4g})<extra></extra>",
        )  # fmt: skip
    named_rows(drawing, names)
    drawing.update_xaxes(title=plain(f"{verification['objective']} ({units})"))
    note = "Lower is better. Predicted: with its 95 % interval. Measured: mean over seeds, ± 1.96 standard errors."
    return figure("verification", "Predicted against measured", note, drawing)


def _ends(value: Mapping[str, Any]) -> tuple[float, float]:
    """Low and high end of an estimate (95 % interval) or of a measurement (± 1.96 standard errors)."""
    middle = value["value"]
    if "standard_error" in value:
        half = 1.96 * (value["standard_error"] or 0.0)
        return middle - half, middle + half
    return (middle if value["low"] is None else value["low"]), (middle if value["high"] is None else value["high"])
