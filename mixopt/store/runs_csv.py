"""Histories from anybody's CSV files.

One file: columns `run`, `tokens`, `seed` (0 if absent), `params` (optional), `w.<domain>` for every training
domain, and for every evaluation domain `loss.<domain>` (nats/token) or `ppl.<domain>` (perplexity, exp of the
loss). Losses of masked language models are `masked_loss.<domain>`, and no file holds both kinds. Downstream tasks
are `score.<task>` (a share from 0 to 1, greater is better; the evaluation domain `task:<task>` is 1 − score) or
`error.<task>` (lower is better, taken as it is), and may have their standard error in `score_se.<task>`.

Two files, as Olmix writes them: `ratios.csv` (`run` or `run_id`, a column of weights for each domain) and
`metrics.csv` (the same id, a column of losses for each evaluation domain), joined strictly: the two must hold the
same runs. `name` and `index` are labels there and are left out.

Published weights are rounded. A row whose weights sum to 1 within `ROUNDING` is divided by its sum, and the reader
is told of it in a note (RegMix's published rows sum to 0.996 to 1.003); a row further off is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mixopt.arrays import Floats
from mixopt.errors import ConfigError
from mixopt.history import History
from mixopt.objective import Objective, is_task, tasks_of
from mixopt.score import TASK_PREFIX
from mixopt.store.csv_table import CsvTable, read_table
from mixopt.units import parse_count

_IDS = ("run", "run_id")
_LABELS = ("name", "index")
_PLAIN = ("tokens", "seed", "params")
_LOSSES = ("loss", "ppl", "masked_loss")
_SCORES = SCORE, ERROR, DEVIATION = ("score", "error", "score_se")


def _read(path: str | Path) -> tuple[list[str], CsvTable]:
    """Names of the runs, and a table of the other columns, a row a run."""
    table = read_table(path, "runs file", "run")
    columns = dict(table.columns)
    ids = [name for name in _IDS if name in columns]
    if len(ids) != 1:
        raise ConfigError(f"runs file {path}: expected a column `run`, found {', '.join(columns)[:200]}")
    names = [run.strip() for run in columns.pop(ids[0])]
    first: dict[str, int] = {}
    for run, line in zip(names, table.lines, strict=True):
        if not run:
            raise ConfigError(f"runs file {path}, line {line}: the run has no name")
        if run in first:
            raise ConfigError(f"runs file {path}, line {line}: run {run!r} is there already, on line {first[run]}")
        first[run] = line
    labels = tuple(f"run {name!r}" for name in names)
    return names, replace(table, columns=columns, labels=labels)


def read_runs(
    path: str | Path, metrics: str | Path | None = None, tokens: int | None = None
) -> tuple[History, list[str]]:
    """A history from one CSV file, or from a pair as Olmix writes it.

    Args:
        path: the table, or the pair's `ratios.csv`.
        tokens: tokens of every run, for files without a column `tokens`.

    Returns:
        The history, and notes on what was read in a way that its owner should know of.

    Raises:
        ConfigError: a file is not as the module's description says; the message names file, line and column.
    """
    names, table = _read(path)
    notes: list[str] = []
    weights = _weights(table, bare=metrics is not None, notes=notes)
    if metrics is None:
        errors, deviations = _errors(table)
        losses = _losses(table, bare=False, alone=not errors)
    else:
        measured = _join(names, table, *_read(metrics))
        errors, deviations = _errors(measured)
        bare = [name for name in measured.columns if name.partition(".")[0] not in (*_LOSSES, *_SCORES)]
        if [name for name in bare if name not in _LABELS + _PLAIN]:
            notes.append(f"{measured.path}: columns without `loss.` or `ppl.` are taken as losses in nats/token")
        losses = _losses(measured, bare=True, alone=not errors)
    count = len(names)
    if "tokens" in table.columns:
        if tokens is not None:
            raise ConfigError(f"runs file {table.path}: it has a column `tokens`; leave the option --tokens out")
        total = table.counts("tokens")
    elif tokens is not None:
        total = [tokens] * count
    else:
        raise ConfigError(f"runs file {table.path}: no column `tokens`; add it, or give --tokens for every run")
    seeds = [round(seed) for seed in table.numbers("seed")] if "seed" in table.columns else [0] * count
    measures = [*losses.values(), *errors.values()]
    exact = np.zeros((count, len(losses)))
    history = History(
        runs=tuple(names),
        domains=tuple(weights),
        eval_domains=(*losses, *(f"{TASK_PREFIX}{task}" for task in errors)),
        tokens_seen=np.stack(list(weights.values()), axis=1) * np.array(total, dtype=np.float64)[:, None],
        losses=np.column_stack(measures),
        standard_errors=np.column_stack([exact, *deviations.values()]) if errors else None,
        seeds=np.array(seeds, dtype=np.int64),
        parameters=np.array(_parameters(table), dtype=np.int64),
    )
    return history, notes


def _parameters(table: CsvTable) -> list[int]:
    if "params" not in table.columns:
        return [0] * len(table.lines)
    return [
        parse_count(text, f"{table.where(row)}: params") if text.strip() not in ("", "0") else 0
        for row, text in enumerate(table.columns["params"])
    ]


def _weights(table: CsvTable, bare: bool, notes: list[str]) -> dict[str, Floats]:
    """Weights by domain, (R,) each; every row sums to 1."""
    names = {name.removeprefix("w."): name for name in table.columns if name.startswith("w.")}
    if not names and bare:
        names = {name: name for name in table.columns if name not in _LABELS + _PLAIN}
    if not names:
        raise ConfigError(
            f"runs file {table.path}: no weights: expected columns `w.<domain>`, found "
            f"{', '.join(table.columns)[:200] or 'none'}"
        )
    return table.weights(names, notes)


def _losses(table: CsvTable, bare: bool, alone: bool) -> dict[str, Floats]:
    """Losses by evaluation domain in nats/token, (R,) each; none is an error where they stand alone."""
    losses: dict[str, Floats] = {}
    kinds: set[bool] = set()
    for name in table.columns:
        kind, dot, domain = name.partition(".")
        if dot and kind in _LOSSES:
            values = np.array(table.numbers(name))
        elif bare and name not in _LABELS + _PLAIN and kind not in _SCORES:
            kind, domain, values = "loss", name, np.array(table.numbers(name))
        else:
            continue
        kinds.add(kind == "masked_loss")
        if len(kinds) > 1:
            raise ConfigError(
                f"runs file {table.path}: losses of causal and of masked models cannot be told together; keep the "
                "columns of one kind"
            )
        if domain in losses:
            raise ConfigError(f"runs file {table.path}: {domain!r} has two columns of losses; keep one")
        least = 1.0 if kind == "ppl" else 0.0
        if (values < least).any():
            row = int((values < least).argmax())
            what = "perplexity" if kind == "ppl" else "loss"
            raise ConfigError(
                f"{table.where(row)}: column {name!r}: expected a {what} of at least {least:g}, found {values[row]:g}"
            )
        losses[domain] = np.log(values) if kind == "ppl" else values
    if not losses and alone:
        raise ConfigError(
            f"runs file {table.path}: no losses: expected columns `loss.<domain>`, `ppl.<domain>` or "
            "`masked_loss.<domain>`, or scores `score.<task>`"
        )
    return losses


def _join(runs: list[str], ratios: CsvTable, measured: list[str], metrics: CsvTable) -> CsvTable:
    """`metrics` in the order of `ratios`; both must hold the same runs."""
    for one, other, own, others in ((ratios, metrics, runs, measured), (metrics, ratios, measured, runs)):
        known = set(others)
        lost = [run for run in own if run not in known]
        if lost:
            more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            raise ConfigError(f"runs files: run {lost[0]!r}{more} is in {one.path} but not in {other.path}")
    order = [measured.index(run) for run in runs]
    columns = {name: [cells[i] for i in order] for name, cells in metrics.columns.items()}
    return replace(metrics, lines=[metrics.lines[i] for i in order], columns=columns, labels=ratios.labels)


def _errors(table: CsvTable) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Errors by task, (R,) each, and their standard errors, 0 where the table has none."""
    found: dict[str, dict[str, Floats]] = {kind: {} for kind in _SCORES}
    for name in table.columns:
        kind, dot, task = name.partition(".")
        if not dot or kind not in _SCORES:
            continue
        values = np.array(table.numbers(name))
        # A correlation (Matthews) may be below 0.
        least, most = {SCORE: (-1.0, 1.0)}.get(kind, (0.0, np.inf))
        bad = np.flatnonzero((values < least) | (values > most))
        if bad.size:
            what = "a share from 0 to 1, not percent" if kind == SCORE else "a number of at least 0"
            raise ConfigError(f"{table.where(int(bad[0]))}: column {name!r}: expected {what}, found {values[bad[0]]:g}")
        found[kind][task] = values
    scores, errors, deviations = (found[kind] for kind in _SCORES)
    for task in scores:
        if task in errors:
            raise ConfigError(f"{table.what} {table.path}: {task!r} has a score and an error; keep one column")
    for task in deviations:
        if task not in {**scores, **errors}:
            raise ConfigError(f"{table.what} {table.path}: score_se.{task} has no column score.{task} beside it")
    errors = {**{task: 1 - values for task, values in scores.items()}, **errors}
    zero = np.zeros(len(table.lines))
    return errors, {task: deviations.get(task, zero) for task in errors}


def only_needed(history: History, objectives: Iterable[Objective]) -> History:
    """The history without the tasks that no objective reads: laws need not be fitted to them."""
    read = {task for objective in objectives for task in tasks_of(objective, history.eval_domains)}
    keep = [column for column, domain in enumerate(history.eval_domains) if domain in read or not is_task(domain)]
    deviations = history.standard_errors
    return replace(
        history,
        eval_domains=tuple(history.eval_domains[column] for column in keep),
        losses=history.losses[:, keep],
        standard_errors=None if deviations is None or not read else deviations[:, keep],
    )
