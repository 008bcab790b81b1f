"""Replay of search methods on tables of finished runs: what a table holds, what a method may know, what it does.

Symbols: M mixtures, K training domains, F fidelities, V evaluation domains, n entries that were paid for.

A *fidelity* is a model size and a number of tokens. The most expensive one is the *target*: what the search is for,
and the unit of cost. A method sees a `View`: all that is free to know (`Problem`) and the entries that it has paid
for. The table itself stays with the ledger (`mixopt.bench.ledger`), and a view holds no way back to it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixopt.errors import ConfigError
from mixopt.mixture import SUM_TOLERANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray


class UnpaidError(LookupError):
    """A method read, or bought, what it may not: a mistake in the method, not in anybody's data."""


@dataclass(frozen=True)
class Fidelity:
    """A scale at which runs were made.

    Attributes:
        name: as tables and plots call it (`1M x 1B`).
        parameters: model size.
        tokens: training tokens.
        cost: FLOPs of a run in multiples of a target run's, so 1 at the target.
    """

    name: str
    parameters: int
    tokens: int
    cost: float


@dataclass(frozen=True)
class Purchase:
    """A run to pay for: row of the mixture and index of the fidelity."""

    mixture: int
    fidelity: int


@dataclass(frozen=True, eq=False)
class Problem:
    """What is known before any run is made.

    Attributes:
        domains: K training domains.
        eval_domains: V evaluation domains.
        mixtures: (M, K) weights, rows sum to 1.
        fidelities: F scales in ascending cost; the last is the target.
        available: (F, M) whether the table has that run, so whether it can be bought.
        objective: (V,) what is minimised is `losses @ objective`, in nats/token for weights that sum to 1.
    """

    domains: tuple[str, ...]
    eval_domains: tuple[str, ...]
    mixtures: NDArray[np.float64]
    fidelities: tuple[Fidelity, ...]
    available: NDArray[np.bool_]
    objective: NDArray[np.float64]

    @property
    def target(self) -> int:
        """Index of the target fidelity."""
        return len(self.fidelities) - 1

    @property
    def candidates(self) -> NDArray[np.intp]:
        """Rows of the mixtures that can be run at the target, ascending: those among which one is recommended."""
        return np.flatnonzero(self.available[self.target])

    @property
    def costs(self) -> NDArray[np.float64]:
        """(F,) in target runs."""
        return np.array([fidelity.cost for fidelity in self.fidelities])


@dataclass(frozen=True, eq=False)
class Table:
    """Finished runs of M mixtures at F fidelities; what a replay may sell.

    Attributes:
        name: as the command line calls it.
        domains: K training domains.
        eval_domains: V evaluation domains.
        mixtures: (M, K) weights, rows sum to 1.
        fidelities: F scales in ascending cost; the last is the target and costs 1.
        losses: (F, M, V) nats/token; NaN in all of V where a run was not made.
        curves: fidelities of one size are points of the same run, so that a run shows the shorter ones for nothing.
        source: where the numbers are from, for reports.
        notes: what its reader should know, a sentence each.

    Raises:
        ConfigError: shapes disagree, costs do not ascend to 1, a run has some of its losses only, or nothing was
            run at the target.
    """

    name: str
    domains: tuple[str, ...]
    eval_domains: tuple[str, ...]
    mixtures: NDArray[np.float64]
    fidelities: tuple[Fidelity, ...]
    losses: NDArray[np.float64]
    curves: bool = False
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        rows = self.mixtures.shape[0]
        expected = (len(self.fidelities), rows, len(self.eval_domains))
        if self.losses.shape != expected or self.mixtures.shape != (rows, len(self.domains)):
            raise ConfigError(
                f"table {self.name}: expected losses of shape {expected} (fidelities, mixtures, evaluation domains)"
                f" and weights for {len(self.domains)} domains, found {self.losses.shape} and {self.mixtures.shape}"
            )
        off = np.abs(self.mixtures.sum(axis=1) - 1)
        if (off > SUM_TOLERANCE).any() or (self.mixtures < 0).any():
            raise ConfigError(
                f"table {self.name}: mixture {int(off.argmax())} has weights that are not shares of 1"
            )
        costs = [fidelity.cost for fidelity in self.fidelities]
        if not costs or costs != sorted(costs) or costs[0] <= 0 or costs[-1] != 1:
            raise ConfigError(f"table {self.name}: expected costs that ascend from above 0 to 1, found {costs}")
        made = np.isfinite(self.losses)
        partly = made.any(axis=2) & ~made.all(axis=2)
        if partly.any():
            fidelity, row = np.argwhere(partly)[0]
            domain = self.eval_domains[int(np.argmin(made[fidelity, row]))]
            raise ConfigError(
                f"table {self.name}: the run of mixture {row} at {self.fidelities[fidelity].name} has no loss on "
                f"{domain!r}; give it, or leave the run out"
            )
        if not made[-1].any():
            raise ConfigError(f"table {self.name}: no run at the target {self.fidelities[-1].name}")

    @property
    def available(self) -> NDArray[np.bool_]:
        """(F, M) which runs were made."""
        return np.asarray(np.isfinite(self.losses).all(axis=2))

    def problem(self, objective: NDArray[np.float64]) -> Problem:
        """What methods may know for nothing, in arrays of its own."""
        return Problem(
            self.domains,
            self.eval_domains,
            _frozen(self.mixtures),
            self.fidelities,
            _frozen(self.available),
            _frozen(objective),
        )


@dataclass(frozen=True, eq=False)
class View:
    """What a method has to go on: the problem, and the entries that it has paid for, in the order of purchase.

    Attributes:
        problem: what is free to know.
        seed: of this replay; all methods get the same seeds.
        budget: most that may be spent, in target runs.
        spent: so far.
        mixture: (n,) rows.
        fidelity: (n,) indices.
        losses: (n, V) nats/token.
        purchases: what was bought, which is fewer than n entries where a run shows earlier points of its curve.
    """

    problem: Problem
    seed: int
    budget: float
    spent: float
    mixture: NDArray[np.intp]
    fidelity: NDArray[np.intp]
    losses: NDArray[np.float64]
    purchases: tuple[Purchase, ...] = ()

    @property
    def left(self) -> float:
        """What may still be spent, in target runs."""
        return self.budget - self.spent

    @property
    def values(self) -> NDArray[np.float64]:
        """(n,) the objective of each entry."""
        return self.losses @ self.problem.objective

    def loss(self, mixture: int, fidelity: int) -> NDArray[np.float64]:
        """(V,) losses of an entry.

        Raises:
            UnpaidError: it was not paid for.
        """
        found = np.flatnonzero((self.mixture == mixture) & (self.fidelity == fidelity))
        if not found.size:
            raise UnpaidError(f"mixture {mixture} at {self.problem.fidelities[fidelity].name} was not paid for")
        return self.losses[found[0]]

    def paid(self, fidelity: int) -> NDArray[np.bool_]:
        """(M,) which mixtures are known at a fidelity."""
        known = np.zeros(len(self.problem.mixtures), dtype=bool)
        known[self.mixture[self.fidelity == fidelity]] = True
        return known

    def incumbent(self) -> int | None:
        """Row of the best mixture that was measured at the target; None before the first."""
        at_target = np.flatnonzero(self.fidelity == self.problem.target)
        if not at_target.size:
            return None
        return int(self.mixture[at_target[np.argmin(self.values[at_target])]])

    def best_measured(self) -> int:
        """What to recommend without a model: the incumbent, else the candidate nearest to the best cheap run.

        Cheap runs of different scales are not compared: those of the most expensive scale count. Before any run it
        is the first candidate.
        """
        candidates = self.problem.candidates
        best = self.incumbent()
        if best is not None or not self.mixture.size:
            return int(candidates[0]) if best is None else best
        highest = np.flatnonzero(self.fidelity == self.fidelity.max())
        cheap = self.problem.mixtures[self.mixture[highest[np.argmin(self.values[highest])]]]
        return int(candidates[np.abs(self.problem.mixtures[candidates] - cheap).sum(axis=1).argmin()])

    def rng(self, stream: str) -> np.random.Generator:
        """A generator from the seed and a name: the same at every call, so that methods stay pure functions."""
        return np.random.default_rng([self.seed, zlib.crc32(stream.encode())])


class Method(Protocol):
    """A search method in a replay: pure functions of the view (what it keeps may only save time)."""

    def next(self, view: View) -> Purchase | None:
        """What to pay for next; None to stop. It must be available, not yet paid for, and within `view.left`."""
        ...

    def recommend(self, view: View) -> int:
        """Row of the mixture, one of `view.problem.candidates`, that it would train at the target now.

        It is asked after every purchase. The mixture need not have been measured.
        """
        ...


def _frozen(array: NDArray) -> NDArray:
    """A read-only copy."""
    copy = np.array(array)
    copy.setflags(write=False)
    return copy
