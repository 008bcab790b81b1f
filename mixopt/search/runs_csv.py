"""Histories from anybody's CSV files.

One file: columns `run`, `tokens`, `seed` (0 if absent), `params` (optional), `w.<domain>` for every training
domain, and for every evaluation domain `loss.<domain>` (nats/token) or `ppl.<domain>` (perplexity, exp of the
loss).

Two files, as Olmix writes them: `ratios.csv` (`run` or `run_id`, a column of weights for each domain) and
`metrics.csv` (the same id, a column of losses for each evaluation domain), joined strictly: the two must hold the
same runs. `name` and `index` are labels there and are left out.

Published weights are rounded. A row whose weights sum to 1 within `ROUNDING` is divided by its sum, and the reader
is told of it in a note (RegMix's published rows sum to 0.996 to 1.003); a row further off is an error.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixopt.errors import ConfigError
from mixopt.mixture import SUM_TOLERANCE
from mixopt.search.base import History
from mixopt.units import parse_count

ROUNDING = 5e-3

_IDS = ("run", "run_id")
_LABELS = ("name", "index")
_PLAIN = ("tokens", "seed", "params")


@dataclass(frozen=True, eq=False)
class _Table:
    """A CSV file: cells by column, one row a run, with the line that each row stands on."""

    path: Path
    runs: list[str]
    lines: list[int]
    columns: dict[str, list[str]]

    def where(self, row: int) -> str:
        return f"{self.path}, line {self.lines[row]} (run {self.runs[row]!r})"

    def numbers(self, column: str) -> list[float]:
        """A column of finite numbers."""
        values: list[float] = []
        for row, text in enumerate(self.columns[column]):
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                found = repr(text) if text.strip() else "nothing"
                raise ConfigError(f"{self.where(row)}: column {column!r}: expected a number, found {found}")
            values.append(value)
        return values

    def counts(self, column: str) -> list[int]:
        """A column of counts such as 800000 or 800k."""
        return [parse_count(text, f"{self.where(row)}: {column}") for row, text in enumerate(self.columns[column])]


def _read(path: str | Path) -> _Table:
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"runs file {path}: cannot be read ({error})") from error
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ConfigError(f"runs file {path}: not CSV ({error})") from error
    if len(rows) < 2:
        raise ConfigError(f"runs file {path}: expected a line of column names and a line for each run, found none")
    header = [name.strip() for name in rows[0][1]]
    for name in header:
        if header.count(name) > 1:
            raise ConfigError(f"runs file {path}: column {name!r} is there twice")
    ids = [name for name in _IDS if name in header]
    if len(ids) != 1:
        raise ConfigError(f"runs file {path}: expected a column `run`, found {', '.join(header)[:200]}")
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise ConfigError(f"runs file {path}, line {line}: expected {len(header)} cells, found {len(row)}")
    columns = {name: [row[i] for _, row in rows[1:]] for i, name in enumerate(header)}
    runs = [run.strip() for run in columns.pop(ids[0])]
    lines = [line for line, _ in rows[1:]]
    first: dict[str, int] = {}
    for run, line in zip(runs, lines, strict=True):
        if not run:
            raise ConfigError(f"runs file {path}, line {line}: the run has no name")
        if run in first:
            raise ConfigError(f"runs file {path}, line {line}: run {run!r} is there already, on line {first[run]}")
        first[run] = line
    return _Table(path, runs, lines, columns)


def read_runs(
    path: str | Path, metrics: str | Path | None = None, tokens: int | None = None
) -> tuple[History, list[str]]:
    """A history from one CSV file, or from a pair as Olmix writes it.

    Args:
        path: the table, or the pair's `ratios.csv`.
        metrics: the pair's `metrics.csv`.
        tokens: tokens of every run, for files without a column `tokens`.

    Returns:
        The history, and notes on what was read in a way that its owner should know of.

    Raises:
        ConfigError: a file is not as the module's description says; the message names file, line and column.
    """
    table = _read(path)
    notes: list[str] = []
    weights = _weights(table, bare=metrics is not None, notes=notes)
    if metrics is None:
        losses = _losses(table, bare=False)
    else:
        measured = _join(table, _read(metrics))
        bare = [name for name in measured.columns if not name.startswith(("loss.", "ppl."))]
        if [name for name in bare if name not in _LABELS + _PLAIN]:
            notes.append(f"{measured.path}: columns without `loss.` or `ppl.` are taken as losses in nats/token")
        losses = _losses(measured, bare=True)
    count = len(table.runs)
    if "tokens" in table.columns:
        if tokens is not None:
            raise ConfigError(f"runs file {table.path}: it has a column `tokens`; leave the option --tokens out")
        total = table.counts("tokens")
    elif tokens is not None:
        total = [tokens] * count
    else:
        raise ConfigError(f"runs file {table.path}: no column `tokens`; add it, or give --tokens for every run")
    seeds = [round(seed) for seed in table.numbers("seed")] if "seed" in table.columns else [0] * count
    history = History(
        runs=tuple(table.runs),
        domains=tuple(weights),
        eval_domains=tuple(losses),
        tokens_seen=np.stack(list(weights.values()), axis=1) * np.array(total, dtype=np.float64)[:, None],
        losses=np.stack(list(losses.values()), axis=1),
        seeds=np.array(seeds, dtype=np.int64),
        parameters=np.array(_parameters(table), dtype=np.int64),
    )
    return history, notes


def _parameters(table: _Table) -> list[int]:
    if "params" not in table.columns:
        return [0] * len(table.runs)
    return [
        parse_count(text, f"{table.where(row)}: params") if text.strip() not in ("", "0") else 0
        for row, text in enumerate(table.columns["params"])
    ]


def _weights(table: _Table, bare: bool, notes: list[str]) -> dict[str, np.ndarray]:
    """Weights by domain, (R,) each; every row sums to 1."""
    names = {name.removeprefix("w."): name for name in table.columns if name.startswith("w.")}
    if not names and bare:
        names = {name: name for name in table.columns if name not in _LABELS + _PLAIN}
    if not names:
        raise ConfigError(
            f"runs file {table.path}: no weights: expected columns `w.<domain>`, found "
            f"{', '.join(table.columns)[:200] or 'none'}"
        )
    columns = {domain: table.numbers(name) for domain, name in names.items()}
    for domain, values in columns.items():
        for row, value in enumerate(values):
            if value < 0:
                raise ConfigError(
                    f"{table.where(row)}: the weight of {domain!r} must be at least 0, found {value:g}"
                )
    sums = np.array([math.fsum(row) for row in zip(*columns.values(), strict=True)])
    off = np.abs(sums - 1)
    worst = int(off.argmax())
    if off[worst] > ROUNDING:
        raise ConfigError(
            f"{table.where(worst)}: the weights must sum to 1 (within {ROUNDING:g}, for rounded ones), "
            f"found {sums[worst]:.6g}"
        )
    rounded = off > SUM_TOLERANCE
    if rounded.any():
        notes.append(
            f"{table.path}: the weights of {int(rounded.sum())} of {len(sums)} runs are rounded (sums "
            f"{sums.min():.4g} to {sums.max():.4g}) and were divided by their sums"
        )
    return {domain: np.array(values) / np.where(rounded, sums, 1.0) for domain, values in columns.items()}


def _losses(table: _Table, bare: bool) -> dict[str, np.ndarray]:
    """Losses by evaluation domain in nats/token, (R,) each."""
    losses: dict[str, np.ndarray] = {}
    for name in table.columns:
        kind, dot, domain = name.partition(".")
        if dot and kind in ("loss", "ppl"):
            values = np.array(table.numbers(name))
        elif bare and name not in _LABELS + _PLAIN:
            kind, domain, values = "loss", name, np.array(table.numbers(name))
        else:
            continue
        if domain in losses:
            raise ConfigError(f"runs file {table.path}: {domain!r} has two columns of losses; keep one")
        least = 1.0 if kind == "ppl" else 0.0
        if (values < least).any():
            row = int((values < least).argmax())
            what = "perplexity" if kind == "ppl" else "loss"
            raise ConfigError(
                f"{table.where(row)}: column {name!r}: expected a {what} of at least {least:g}, "
                f"found {values[row]:g}"
            )
        losses[domain] = np.log(values) if kind == "ppl" else values
    if not losses:
        raise ConfigError(f"runs file {table.path}: no losses: expected columns `loss.<domain>` or `ppl.<domain>`")
    return losses


def _join(ratios: _Table, metrics: _Table) -> _Table:
    """`metrics` in the order of `ratios`; both must hold the same runs."""
    for one, other in ((ratios, metrics), (metrics, ratios)):
        lost = [run for run in one.runs if run not in set(other.runs)]
        if lost:
            more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            raise ConfigError(f"runs files: run {lost[0]!r}{more} is in {one.path} but not in {other.path}")
    order = [metrics.runs.index(run) for run in ratios.runs]
    columns = {name: [cells[i] for i in order] for name, cells in metrics.columns.items()}
    return _Table(metrics.path, ratios.runs, [metrics.lines[i] for i in order], columns)
