"""The table's rows as what methods and people work on: arrays, wide frames, long frames.

Symbols: R runs, K training domains, V evaluation domains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Floats
from mixopt.errors import StoreError
from mixopt.history import CurvePoints, History
from mixopt.store.schema import RUN_COLUMNS

if TYPE_CHECKING:
    import sqlite3

    import pandas as pd


def listed(row: sqlite3.Row) -> dict[str, Any]:
    """A run as `Store.rows` gives it: its mean loss under a name that tells what is predicted."""
    scalars = dict(row)
    mean, masked = scalars.pop("mean"), scalars["objective"] == "masked"
    del scalars["whole_word"]
    return {**scalars, "mean_loss": None if masked else mean, "mean_masked_loss": mean if masked else None}


def history(runs: list[sqlite3.Row], parts: list[sqlite3.Row], wanted: list[str] | None) -> History:
    """Arrays from rows.

    Args:
        runs: run_id, seed, parameters, objective, whole_word of the finished runs.
        parts: run_id, domain, weight, loss, tokens_seen; weight is None where a domain is only evaluated.
        wanted: order of the runs; None for the order of `runs`.

    Raises:
        StoreError: two runs do not have the same domains, or predict different things.
    """
    by_run: dict[str, list[sqlite3.Row]] = {}
    for part in parts:
        by_run.setdefault(part["run_id"], []).append(part)
    scalars = {row["run_id"]: row for row in runs}
    order = list(scalars) if wanted is None else [run for run in wanted if run in scalars]

    for run in order[1:]:
        one, other = (_predicted(scalars[name]) for name in (order[0], run))
        if one != other:
            raise StoreError(
                f"runs {order[0]} and {run} predict different things ({one} against {other}): their losses cannot "
                "be told together; choose runs of one study with `--study`"
            )
    first = by_run[order[0]] if order else []
    domains = tuple(part["domain"] for part in first if part["weight"] is not None)
    evaluated = tuple(part["domain"] for part in first if part["loss"] is not None)
    tokens = np.zeros((len(order), len(domains)))
    losses = np.zeros((len(order), len(evaluated)))
    for row, run in enumerate(order):
        seen = {part["domain"]: part["tokens_seen"] for part in by_run[run] if part["weight"] is not None}
        loss = {part["domain"]: part["loss"] for part in by_run[run] if part["loss"] is not None}
        for kind, one, other in (("training", domains, seen), ("measured", evaluated, loss)):
            if other.keys() != set(one):
                raise StoreError(
                    f"runs {order[0]} and {run} do not share their {kind} domains ({', '.join(one)} against "
                    f"{', '.join(other)}); choose runs of one study with `--study`"
                )
        tokens[row] = [seen[domain] for domain in domains]
        losses[row] = [loss[domain] for domain in evaluated]
    return History(
        runs=tuple(order),
        domains=domains,
        eval_domains=evaluated,
        tokens_seen=tokens,
        losses=losses,
        seeds=np.array([scalars[run]["seed"] for run in order], dtype=np.int64),
        parameters=np.array([scalars[run]["parameters"] for run in order], dtype=np.int64),
    )


def _predicted(run: sqlite3.Row) -> str:
    return "masked whole words" if run["whole_word"] else f"{run['objective']} tokens"


# What a domain's columns are called in the wide frame, and from which column of `run_domains` they come.
_PER_DOMAIN = (
    ("w", "weight"),
    ("loss", "loss"),
    ("bpb", "bits_per_byte"),
    ("train_loss", "train_loss"),
    ("tokens", "tokens_seen"),
    ("unique_tokens", "unique_tokens"),
)


def wide(runs: list[sqlite3.Row], parts: list[sqlite3.Row], scores: Mapping[str, Floats]) -> pd.DataFrame:
    """One row a run; `w.<domain>`, `loss.<domain>` and so on are NaN where a run has no such number.

    Losses of masked models stand in columns of their own, `masked_loss.<domain>`, which are there if such a run is;
    so do `scores`, (R,) each.
    """
    import pandas as pd

    row_of = {row["run_id"]: index for index, row in enumerate(runs)}
    domains = list(dict.fromkeys(part["domain"] for part in parts))
    column_of = {domain: index for index, domain in enumerate(domains)}
    where = (
        np.array([row_of[part["run_id"]] for part in parts], dtype=np.intp),
        np.array([column_of[part["domain"]] for part in parts], dtype=np.intp),
    )
    columns: dict[str, Any] = {}
    for name in (*RUN_COLUMNS[:-2], "objective"):
        columns[name] = [row[name] for row in runs]
    measured: dict[str, np.ndarray] = {}
    for short, column in _PER_DOMAIN:
        values = np.full((len(runs), len(domains)), np.nan)
        values[where] = np.array([part[column] for part in parts], dtype=np.float64)
        measured[short] = values
    measured["ppl"] = np.exp(measured["loss"])
    with np.errstate(invalid="ignore", divide="ignore"):
        measured["epochs"] = np.where(measured["unique_tokens"] > 0, measured["tokens"] / measured["unique_tokens"], 0)
    masked = np.array([row["objective"] == "masked" for row in runs], dtype=bool)[:, None]
    names = ["w", "loss", "ppl", "bpb", "train_loss", "tokens", "unique_tokens", "epochs"]
    if masked.any():
        for short in ("loss", "ppl", "train_loss"):
            measured[f"masked_{short}"] = np.where(masked, measured[short], np.nan)
            measured[short] = np.where(masked, np.nan, measured[short])
            names.append(f"masked_{short}")
    for short in names:
        columns.update({f"{short}.{domain}": measured[short][:, i] for i, domain in enumerate(domains)})
    return pd.DataFrame({**columns, **scores})


def with_curves(history: History, curve_of: Callable[[str], Mapping[str, Sequence[Any]]]) -> History:
    """The history with the points of its runs' curves; a point that lacks a domain is left out."""
    runs: list[int] = []
    tokens: list[int] = []
    losses: list[Floats] = []
    for index, run in enumerate(history.runs):
        for at, found in zip(*validation_points(curve_of(run), history.eval_domains), strict=True):
            if at > 0 and np.isfinite(found).all():
                runs.append(index)
                tokens.append(at)
                losses.append(found)
    shape = len(runs), len(history.eval_domains)
    points = CurvePoints(np.array(runs, np.intp), np.array(tokens, np.float64), np.array(losses).reshape(shape))
    return replace(history, curves=points)


def validation_points(curve: Mapping[str, Sequence[Any]], domains: Sequence[str]) -> tuple[tuple[int, ...], Floats]:
    """Tokens (P,), ascending, and validation losses (P, V) of a run's curve; NaN where one was not measured."""
    place = {domain: column for column, domain in enumerate(domains)}
    points: dict[int, Floats] = {}
    names = ("tokens", "split", "domain", "loss")
    for tokens, split, domain, loss in zip(*(curve.get(name, ()) for name in names), strict=True):
        if split == "validation":
            point = points.setdefault(tokens, np.full(len(domains), np.nan))
            if domain in place and loss is not None:
                point[place[domain]] = loss
    grid = tuple(sorted(points))
    return grid, np.array([points[tokens] for tokens in grid]).reshape(len(grid), len(domains))
