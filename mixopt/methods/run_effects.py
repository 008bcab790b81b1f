"""What each run is worth when it is repeated over seeds, and how noisy that is.

Symbols: n observations (runs), C cells (what is repeated), S seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixopt.arrays import Floats, Ints


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
