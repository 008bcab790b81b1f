"""The tables of every study: weights, predictions, laws, verification, runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mixopt.report.html.table import Cell, Table, interval, measured, number, percent, runs_cell, word
from mixopt.units import format_count, format_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixopt.report.html.gather import Gathered, Run

_KIND = {"finished": "good", "diverged": "bad", "failed": "bad"}


def weights_table(recommendation: Mapping[str, Any], baselines: Mapping[str, Mapping[str, float]]) -> Table:
    """One row a domain: recommended weight, interval, baselines, epochs, the optimum under other objectives."""
    others = recommendation.get("other_objectives") or {}
    epochs = recommendation["details"].get("epochs") or {}
    columns = {"domain": "", "recommended": "share of the training tokens", "95 % interval": ""}
    columns |= {name: f"weight in the mixture {name}" for name in baselines}
    if epochs:
        columns["epochs"] = "passes over the domain's distinct tokens at the recommended weight"
    columns |= {f"best for {name}": "the optimum under another objective, from the same runs" for name in others}
    rows = []
    for domain, weight in recommendation["weights"].items():
        row = [word(domain), number(weight, "{:.3f}", "strong"), interval(*_pair(recommendation, domain))]
        row += [number(baseline.get(domain, 0.0), "{:.3f}") for baseline in baselines.values()]
        row += [number(_plain(epochs.get(domain)), "{:.2g}")] if epochs else []
        row += [number(weights.get(domain, 0.0), "{:.3f}") for weights in others.values()]
        rows.append(row)
    return Table("weights", "Recommended weights", columns, rows)


def _plain(value: Any) -> float | None:
    """A number, also where a method gives one by predictor or with an interval."""
    return float(value) if isinstance(value, (int, float)) else None


def _pair(recommendation: Mapping[str, Any], domain: str) -> tuple[float | None, float | None]:
    low, high = recommendation["intervals"].get(domain) or (None, None)
    return low, high


def predictions_table(recommendation: Mapping[str, Any], shown: Sequence[str], units: str) -> Table:
    """One row a mixture: the predicted objective, and the recommended mixture's gain over it."""
    columns = {
        "mixture": "",
        units: f"predicted {recommendation['objective']}",
        "95 % interval": "",
        "gain over it": "how much lower the objective of the recommended mixture is",
        "interval of the gain": "95 %",
    }
    rows = []
    for name in ("recommended", *shown):
        value, gain = recommendation["predicted"].get(name), recommendation["gains"].get(name)
        if value:
            rows.append(
                [
                    word(name, "strong" if name == "recommended" else ""),
                    number(value["value"]),
                    interval(value["low"], value["high"], "{:#.4g}"),
                    percent(gain["value"], _sure(gain["low"])) if gain else Cell(""),
                    interval(gain["low"], gain["high"], "{:+.2f}", 100) if gain else Cell(""),
                ]
            )
    return Table("predictions", "Predicted", columns, rows)


def _sure(low: float | None) -> str:
    return "good" if low is not None and low > 0 else ""


def laws_table(study: Gathered) -> Table:
    """The fitted parameters of each domain, and the runs behind them."""
    assert study.recommendation is not None
    domains = study.recommendation["details"]["domains"]
    names = list(dict.fromkeys(name for part in domains.values() for name in part.get("law", {})))
    columns = {"domain": "", **dict.fromkeys(names, "parameter of the law"), "recommended": "", "tested": "",
               "runs": ""}  # fmt: skip
    columns["recommended"] = columns["tested"] = "multiples of the base run's tokens of the domain"
    rows = []
    for domain, part in domains.items():
        x = part["points"]["x"]
        ids = [run for some in part["points"].get("runs", ()) for run in some]
        rows.append(
            [
                word(domain),
                *(number(part.get("law", {}).get(name)) for name in names),
                number(part["recommended_x"], "x{:#.3g}"),
                interval(min(x), max(x), "x{:#.3g}"),
                runs_cell(ids or _of_domain(study, domain)),
            ]
        )
    return Table("laws", "Fitted laws", columns, rows)


def _of_domain(study: Gathered, domain: str) -> list[str]:
    """Runs of a domain's law by their roles, for answers that do not name them."""
    return [
        run.run_id
        for run in study.runs
        if any(role == "base" or role.startswith(f"{domain} x") for role in run.roles)
    ]


def verification_tables(study: Gathered) -> list[Table]:
    """Predicted against measured, and the measured loss of each domain under each mixture."""
    assert study.verification is not None
    mixtures = study.verification["mixtures"]
    columns = {"mixture": "", "predicted": "", "measured": "mean over seeds ± standard error",
               "predicted gain": "of the recommended mixture over this one", "measured gain": "seed by seed",
               "runs": ""}  # fmt: skip
    rows = []
    for name, part in mixtures.items():
        gain, found = part["gain_predicted"], part["gain_measured"]
        low = found and found["standard_error"] and found["value"] - 1.96 * found["standard_error"]
        rows.append(
            [
                word(name, "strong" if name == "recommended" else ""),
                number(part["predicted"]["value"] if part["predicted"] else None),
                measured(part["measured"]),
                percent(gain["value"] if gain else None),
                measured(found, "{:+.2f} %", 100, _sure(low)),
                runs_cell(_verified(study, name)),
            ]
        )
    losses = [
        [word(domain), *(number(part["losses"].get(domain), "{:.4f}") for part in mixtures.values())]
        for domain in next(iter(mixtures.values()))["losses"]
    ]
    heads = {"domain": "", **dict.fromkeys(mixtures, f"mean validation loss over seeds, {study.loss_units}")}
    return [
        Table("verified", "Predicted against measured", columns, rows),
        Table("verified-losses", f"Measured loss by domain ({study.loss_units})", heads, losses),
    ]


def _verified(study: Gathered, name: str) -> list[str]:
    known = set(study.verification["runs"]) if study.verification else set()
    return [run.run_id for run in study.runs if f"verify {name}" in run.roles and run.run_id in known]


def runs_table(study: Gathered) -> Table:
    """Every run: what it is for, what came out; a click on its id shows it by domain."""
    name, units = study.objective.name, study.objective.units
    columns = {
        "run": "the run's id; click for its domains",
        "role": "what the run is for",
        "status": "",
        "seed": "initialisation and data order",
        "tokens": "training tokens used",
        name: f"the study's objective, {units}",
        "mean loss": f"of the training domains, {study.loss_units}",
        "worst loss": f"greatest validation loss of a training domain, {study.loss_units}",
        "model": "",
        "time": "wall time, all attempts",
        "trained on": "",
        "recorded": "UTC",
    }
    rows = [_run(run) for run in study.runs]
    anchors = tuple(f"run-{run.run_id}" for run in study.runs)
    words = frozenset({0, 1, 2, 8, 10, 11})
    return Table("runs", f"Runs ({len(rows)})", columns, rows, words, anchors, filter=True)


def _run(run: Run) -> list[Cell]:
    row = run.row
    worst = max(run.losses.items(), key=lambda item: item[1], default=None)
    error = row["error"] if isinstance(row["error"], str) else ""
    return [
        Cell(run.run_id[:8], run.run_id, title=run.run_id, link=run.run_id),
        word("; ".join(dict.fromkeys(run.roles))),
        word(row["status"], _KIND.get(row["status"], ""), error),
        number(row["seed"], "{:d}"),
        Cell(format_count(row["tokens"]), float(row["tokens"]), title=f"{row['tokens']:,}"),
        number(run.objective, "{:.4f}"),
        number(run.mean_loss, "{:.4f}"),
        number(worst[1], "{:.4f}", title=worst[0]) if worst else Cell(""),
        word(f"{row['model']} ({format_count(row['parameters'])})"),
        Cell(format_seconds(row["seconds"]), float(row["seconds"])),
        word(row["device"]),
        word(row["created"][:16].replace("T", " ")),
    ]


def run_details(study: Gathered) -> dict[str, Any]:
    """By run id what the page shows of one run: lines of words, and numbers by domain in `columns`' order."""
    details = {}
    for run in study.runs:
        row = run.row
        lines = [
            ["role", "; ".join(dict.fromkeys(run.roles))],
            ["status", row["status"] + (f": {row['error']}" if isinstance(row["error"], str) else "")],
            ["training", f"{row['tokens']:,} tokens, seed {row['seed']}, policy {row['policy']}"],
            ["model", f"{row['model']}, {row['parameters']:,} parameters"],
            ["data", row["fingerprint"]],
            [
                "speed",
                f"{format_seconds(row['seconds'])} on {row['device'] or 'nothing'}, {row['flops']:.3g} FLOPs",
            ],
        ]
        parts = [
            [name, *(_rounded(value) for value in (p.weight, p.tokens, p.epochs, p.loss, _exp(p.loss),
                                                   p.bits_per_byte, p.train_loss))]
            for name, p in run.parts.items()
        ]  # fmt: skip
        details[run.run_id] = {"lines": lines, "domains": parts}
    columns = ["domain", "weight", "tokens", "epochs", "loss", "perplexity", "bits/byte", "train loss"]
    return {"columns": columns, "runs": details}


def _exp(loss: float | None) -> float | None:
    return None if loss is None else math.exp(loss)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
