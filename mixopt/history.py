"""Finished runs as arrays, what every search method is given; what repeats over seeds tell of each, and of noise.

Symbols: R runs, K training domains, V evaluation domains; n observations (runs), C cells (what is repeated), S seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Bools, Floats, Indices, Ints
from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from mixopt.trace import PolicyTrace


@dataclass(frozen=True, eq=False)
class CurvePoints:
    """Validation losses measured inside runs, before their end: data of shorter runs that cost nothing."""

    run: Indices  # (C,) index of the run in its history
    tokens: Floats  # (C,) training tokens by then
    losses: Floats  # (C, V) nats/token; finite


@dataclass(frozen=True, eq=False)
class RunTrace:
    """What the policy of a run did."""

    trace: PolicyTrace | None  # its course; None where it is lost
    reference: str | None = None  # the run that it was held against; None for none


@dataclass(frozen=True, eq=False)
class History:
    """Finished runs as arrays, from the results table or from anybody's CSV.

    Downstream tasks are evaluation domains too: `task:NAME` has the error, 1 − score.

    Raises:
        ConfigError: shapes disagree, a run is named twice, or a number is not finite or negative.
    """

    runs: tuple[str, ...]  # R names (run ids)
    domains: tuple[str, ...]  # K training domains
    eval_domains: tuple[str, ...]  # V domains that losses were measured on, tasks among them
    tokens_seen: Floats  # (R, K) training tokens of each domain
    losses: Floats  # (R, V) validation losses, nats/token, and errors of tasks; finite
    seeds: Ints  # (R,) seeds
    parameters: Ints  # (R,) model sizes; 0 where unknown
    curves: CurvePoints | None = None  # points of learning curves; None where nobody asked for them
    # of runs whose mixture a policy chose, by run; None where nobody asked for them
    traces: Mapping[str, RunTrace] | None = None
    # (R, V) of `losses`, from the spread over a task's items; 0 for losses, whose validation text is large. None where
    # there are none.
    standard_errors: Floats | None = None

    def __post_init__(self) -> None:
        count = len(self.runs)
        shapes = {
            "tokens_seen": (self.tokens_seen, (count, len(self.domains))),
            "losses": (self.losses, (count, len(self.eval_domains))),
            "seeds": (self.seeds, (count,)),
            "parameters": (self.parameters, (count,)),
        }
        if self.standard_errors is not None:
            shapes["standard_errors"] = (self.standard_errors, self.losses.shape)
        for name, (array, shape) in shapes.items():
            if array.shape != shape:
                raise ConfigError(f"history: {name} must have shape {shape}, found {array.shape}")
        if len(set(self.runs)) != count:
            twice = sorted({run for run in self.runs if self.runs.count(run) > 1})
            raise ConfigError(f"history: run {twice[0]!r} is there more than once")
        numbers = (("tokens", self.tokens_seen, self.domains), ("a loss", self.losses, self.eval_domains))
        for what, array, columns in numbers:
            bad = np.argwhere(~np.isfinite(array) | (array < 0))
            if bad.size:
                row, column = bad[0]
                raise ConfigError(
                    f"history: run {self.runs[row]!r}: expected {what} of {columns[column]!r} of at least 0, found "
                    f"{array[row, column]}; leave the run out or measure it again"
                )

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def tokens(self) -> Floats:
        """(R,) training tokens."""
        return self.tokens_seen.sum(axis=1)

    @property
    def weights(self) -> Floats:
        """(R, K) the mixture that each run really saw."""
        return self.tokens_seen / self.tokens[:, None]

    def select(self, rows: Bools | Indices) -> History:
        """The history of some runs, by mask or by index."""
        index = np.arange(len(self))[rows]
        return replace(
            self,
            runs=tuple(self.runs[i] for i in index),
            tokens_seen=self.tokens_seen[index],
            losses=self.losses[index],
            seeds=self.seeds[index],
            parameters=self.parameters[index],
            curves=None if self.curves is None else _of_runs(self.curves, index),
            standard_errors=None if self.standard_errors is None else self.standard_errors[index],
        )


def _of_runs(curves: CurvePoints, index: Indices) -> CurvePoints:
    """The points of some runs, which are numbered by their place in `index`."""
    parts = [np.flatnonzero(curves.run == run) for run in index]
    chosen = np.concatenate(parts) if parts else np.zeros(0, dtype=np.intp)
    place = np.repeat(np.arange(len(index)), [len(part) for part in parts])
    return CurvePoints(place, curves.tokens[chosen], curves.losses[chosen])


def empty_history() -> History:
    """The history before the first run."""
    nothing = np.zeros((0, 0))
    return History((), (), (), nothing, nothing, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class RunEffects:
    """Two-way layout: observation = effect of its cell + shift of its seed + noise.

    Runs of one seed share initialisation and data order, and so a shift that says nothing about mixtures: it is
    taken out. Where seeds are not repeated across cells, it cannot be, and the plain mean of each cell is used.
    """

    operator: Floats  # (C, n) observations to effects, by least squares (unbalanced layouts too)
    residual: Floats  # (n, n) observations to residuals
    freedom: int  # degrees of freedom left for the noise

    @classmethod
    def of(cls, cells: Ints, seeds: Ints, count: int) -> RunEffects:
        """The layout of observations of these cells (each of 0 … count − 1 at least once) and seeds, both (n,)."""
        by_cell = (cells[:, None] == np.arange(count)).astype(np.float64)
        distinct = np.unique(seeds)
        # Shifts sum to zero over seeds, so that a cell's effect is its level at the average seed.
        shift = (seeds[:, None] == distinct[:-1]).astype(np.float64) - (seeds[:, None] == distinct[-1:])
        both = np.hstack([by_cell, shift])
        connected = distinct.size > 1 and np.linalg.matrix_rank(both) == both.shape[1]
        layout = both if connected else by_cell
        inverse = np.linalg.pinv(layout)
        return cls(inverse[:count], np.eye(cells.size) - layout @ inverse, cells.size - layout.shape[1])

    def noise(self, values: Floats) -> float | None:
        """Standard deviation of one observation (n,) → scalar; None without repeats."""
        if self.freedom < 1:
            return None
        return float(np.sqrt(((self.residual @ values) ** 2).sum() / self.freedom))

    @property
    def spread(self) -> Floats:
        """(C,) standard deviation of each effect, in units of one observation's."""
        return np.sqrt((self.operator**2).sum(axis=1))
