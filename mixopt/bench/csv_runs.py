"""Tables for replay from anybody's CSV of runs, the columns that `mixopt runs export` writes.

Beside `run`, `tokens`, `seed`, `params`, `w.<domain>` and `loss.<domain>` (`mixopt.store.runs_csv`) there may be
a column `mixture`: runs with the same entry are of one mixture. Without it, runs whose weights agree within
`JOINED` are, since a run's realised weights are rounded to whole sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixopt.arrays import Bools, Floats, Indices, Ints
from mixopt.bench.base import Fidelity, Table
from mixopt.errors import ConfigError
from mixopt.mixture import total_variation
from mixopt.store.csv_table import ROUNDING, read_table
from mixopt.store.runs_csv import read_runs
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.history import History

# Most total variation distance between two runs of one mixture.
JOINED = ROUNDING


@dataclass(frozen=True, eq=False)
class LabelledRuns:
    """Runs of a CSV, with the mixture that each belongs to."""

    path: str  # the file, for messages
    history: History  # R runs
    labels: NDArray[np.str_] | None  # (R,) entries of the column `mixture`; None where there is no such column
    notes: tuple[str, ...]  # on how they were read

    def select(self, rows: Bools) -> LabelledRuns:
        """Some of the runs."""
        labels = None if self.labels is None else self.labels[rows]
        return LabelledRuns(self.path, self.history.select(rows), labels, self.notes)


def read_labelled(path: str | Path) -> LabelledRuns:
    """The runs of a CSV file.

    Raises:
        ConfigError: the file is not as it should be; the message names line and column.
    """
    history, notes = read_runs(path)
    columns = read_table(path, "runs file", "run").columns
    labels = np.array([cell.strip() for cell in columns["mixture"]]) if "mixture" in columns else None
    return LabelledRuns(str(path), history, labels, tuple(notes))


def table_of(runs: LabelledRuns, name: str, *, source: str = "", curves: bool = False) -> Table:
    """A table from runs, joined by mixture; of repeats with other seeds the lowest seed counts.

    Args:
        curves: fidelities of one size are points of the same run.

    Raises:
        ConfigError: rows that do not join, or two runs of one mixture, scale and seed.
    """
    history = runs.history
    known = history.parameters > 0
    if known.any() and not known.all():
        missing = history.runs[int(np.argmin(known))]
        raise ConfigError(f"runs file {runs.path}: run {missing!r} has no `params`, though others do; give it")
    members = _joined(runs)
    scales = np.stack([history.parameters, np.round(history.tokens).astype(np.int64)], axis=1)
    fidelities, at = _fidelities(scales)
    order = np.argsort(history.seeds, kind="stable")  # the lowest seed first
    chosen: dict[tuple[int, int], int] = {}
    repeats = 0
    for row in order:
        key = (int(at[row]), int(members[row]))
        if key not in chosen:
            chosen[key] = int(row)
        elif history.seeds[chosen[key]] == history.seeds[row]:
            raise ConfigError(
                f"runs file {runs.path}: runs {history.runs[chosen[key]]!r} and {history.runs[row]!r} are of the "
                f"same mixture (within {JOINED:g}) at {fidelities[key[0]].name} with one seed; leave one out, or "
                "tell mixtures apart in a column `mixture`"
            )
        else:
            repeats += 1
    losses = np.full((len(fidelities), int(members.max()) + 1, len(history.eval_domains)), np.nan)
    for (fidelity, mixture), row in chosen.items():
        losses[fidelity, mixture] = history.losses[row]
    first = np.unique(members, return_index=True)[1]
    weights = history.weights[first]
    told = [f"{repeats} repeats with other seeds are left out"] if repeats else []
    return Table(
        name=name,
        domains=history.domains,
        eval_domains=history.eval_domains,
        mixtures=weights / weights.sum(axis=1, keepdims=True),
        fidelities=fidelities,
        losses=losses,
        curves=curves,
        source=source or runs.path,
        notes=(*runs.notes, *told),
    )


def scale_name(parameters: int, tokens: int) -> str:
    """How a scale is called: `1M x 1B` (parameters x tokens), or its tokens where the size is unknown."""
    return f"{format_count(parameters)} x {format_count(tokens)}" if parameters else format_count(tokens)


def priced(scales: list[tuple[int, int]]) -> tuple[Fidelity, ...]:
    """Fidelities of distinct (parameters, tokens) in ascending cost, by FLOPs = 6 · parameters · tokens.

    Sizes that are unknown (0) count alike.
    """
    ordered = sorted(scales, key=lambda scale: (max(scale[0], 1) * scale[1], *scale))
    most = max(ordered[-1][0], 1) * ordered[-1][1]
    return tuple(
        Fidelity(scale_name(size, tokens), size, tokens, max(size, 1) * tokens / most) for size, tokens in ordered
    )


def _fidelities(scales: Ints) -> tuple[tuple[Fidelity, ...], Indices]:
    """Fidelities of runs at (R, 2) scales, and (R,) the index of each."""
    fidelities = priced([(int(size), int(tokens)) for size, tokens in np.unique(scales, axis=0)])
    index = {(fidelity.parameters, fidelity.tokens): i for i, fidelity in enumerate(fidelities)}
    return fidelities, np.array([index[int(size), int(tokens)] for size, tokens in scales], dtype=np.intp)


def _joined(runs: LabelledRuns) -> Indices:
    """(R,) which mixture each run is of, numbered by first appearance."""
    weights = runs.history.weights
    if runs.labels is None:
        return _joined_by_weights(weights)
    numbers: dict[str, int] = {}
    first: dict[str, int] = {}
    members = np.zeros(len(weights), dtype=np.intp)
    for row, label in enumerate(runs.labels.tolist()):
        if not label:
            raise ConfigError(f"runs file {runs.path}: run {runs.history.runs[row]!r} has nothing in column `mixture`")
        members[row] = numbers.setdefault(label, len(numbers))
        other = first.setdefault(label, row)
        apart = float(total_variation(weights[row], weights[other]))
        if apart > JOINED:
            raise ConfigError(
                f"runs file {runs.path}: runs {runs.history.runs[other]!r} and {runs.history.runs[row]!r} are both "
                f"of mixture {label!r}, but their weights differ by {apart:.3g} (total variation; most {JOINED:g})"
            )
    return members


def _joined_by_weights(weights: Floats) -> Indices:
    members = np.zeros(len(weights), dtype=np.intp)
    first: list[int] = []
    for row, own in enumerate(weights):
        apart = total_variation(weights[first], own)
        if apart.size and apart.min() <= JOINED:
            members[row] = int(apart.argmin())
        else:
            members[row] = len(first)
            first.append(row)
    return members
