"""What methods of a replay do not know: the truth, regret, and random search in closed form.

Symbols: M candidates (mixtures with a run at the target), k of them at the top, n draws without replacement.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats, Indices
from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from mixopt.bench.base import Table


@dataclass(frozen=True, eq=False)
class Truth:
    """The objective of every candidate at the target."""

    rows: Indices  # (M,) the candidates' rows in the table
    values: Floats  # (M,) their objective

    @classmethod
    def of(cls, table: Table, objective: Floats) -> Truth:
        """The truth of a table.

        Raises:
            ConfigError: fewer than two candidates, or all are equally good.
        """
        rows = np.flatnonzero(table.available[-1])
        values = table.losses[-1, rows] @ objective
        target = table.fidelities[-1].name
        if len(rows) < 2:
            raise ConfigError(
                f"table {table.name}: only one mixture was run at the target {target}; a replay needs two or more"
            )
        if np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())):
            raise ConfigError(
                f"table {table.name}: the objective is the same ({values[0]:.6g}) for all {len(rows)} mixtures at "
                f"{target}: there is nothing to search for"
            )
        return cls(rows, values)

    def regret(self, row: int) -> float:
        """How much worse a candidate is than the best one, at least 0."""
        at = np.flatnonzero(self.rows == row)
        if not at.size:
            raise LookupError(f"mixture {row} has no run at the target, so it cannot be recommended")
        return float(self.values[at[0]] - self.values.min())

    def top(self, count: int) -> set[int]:
        """Rows of the `count` best candidates, and of those that tie with the last of them."""
        limit = np.sort(self.values)[count - 1]
        return {int(row) for row in self.rows[self.values <= limit]}


def parse_top(text: str, candidates: int) -> int:
    """How many candidates count as the top: `3`, or `1%` of them (rounded up).

    Raises:
        ConfigError: neither, or as many as there are.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", text)
    count = math.nan
    if match:
        count = math.ceil(float(match[1]) / 100 * candidates - 1e-9) if match[2] else float(match[1])
    if not (1 <= count < candidates and count == int(count)):
        raise ConfigError(
            f"top: expected a count such as 3 or a share such as 1%, fewer than the {candidates} mixtures at the "
            f"target, found {text!r}"
        )
    return int(count)


def random_reach(candidates: int, top: int) -> float:
    """Expected number of draws until the first of `top` is among them: (M + 1) / (k + 1)."""
    return (candidates + 1) / (top + 1)


def random_regret(values: Floats, draws: int) -> float:
    """Expected regret of the best of n draws.

    The i-th best (from 0) is the best drawn with probability P(T ≥ i) − P(T ≥ i + 1), where
    P(T ≥ i) = C(M − i, n) / C(M, n): none of the i better ones is drawn.
    """
    ordered = np.sort(values)
    count = len(ordered)
    draws = min(draws, count)
    none_better = np.array([math.comb(count - i, draws) / math.comb(count, draws) for i in range(count + 1)])
    return float((none_better[:-1] - none_better[1:]) @ (ordered - ordered[0]))
