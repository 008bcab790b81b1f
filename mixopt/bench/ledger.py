"""The till of a replay: losses leave the table through `buy` alone, and every entry is paid for first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixopt.bench.base import Purchase, Table, UnpaidError, View
from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Ledger:
    """Sells a table's entries, and counts what was spent. It stays with the replay; methods get its views.

    Args:
        table: the runs.
        objective: (V,) weights of the objective.
        seed: of the replay.
        budget: most that may be spent, in target runs.

    Raises:
        ConfigError: the budget does not pay for a single target run.
    """

    def __init__(self, table: Table, objective: NDArray[np.float64], seed: int, budget: float) -> None:
        if not budget >= 1:
            raise ConfigError(f"budget: expected at least 1 (one run at the target), found {budget:g}")
        self._table, self._seed, self._budget = table, seed, budget
        self._problem = table.problem(objective)
        self._spent = 0.0
        self._purchases: list[Purchase] = []
        self._entries: dict[tuple[int, int], NDArray[np.float64]] = {}

    @property
    def spent(self) -> float:
        """So far, in target runs."""
        return self._spent

    def affords(self, purchase: Purchase) -> bool:
        """Whether the budget pays for it too (within rounding of the sum)."""
        return self._spent + self._cost(purchase) <= self._budget * (1 + 1e-9)

    def buy(self, mixture: int, fidelity: int) -> NDArray[np.float64]:
        """Pay for a run; (V,) its losses, nats/token. Where the table has curves, shorter points come with it.

        Raises:
            UnpaidError: no such run, one that was paid for already, or one that the budget does not cover.
        """
        purchase = Purchase(mixture, fidelity)
        cost = self._cost(purchase)
        if (fidelity, mixture) in self._entries:
            raise UnpaidError(f"mixture {mixture} at {self._table.fidelities[fidelity].name} was paid for already")
        if not self.affords(purchase):
            raise UnpaidError(f"a purchase of {cost:g} target runs, where {self._budget - self._spent:g} are left")
        self._spent += cost
        self._purchases.append(purchase)
        for index in self._shown(purchase):
            self._entries.setdefault((index, mixture), self._table.losses[index, mixture].copy())
        return self._entries[fidelity, mixture].copy()

    def view(self) -> View:
        """What has been paid for, as copies: nothing in it leads back to the table."""
        width = len(self._table.eval_domains)
        return View(
            problem=self._problem,
            seed=self._seed,
            budget=self._budget,
            spent=self._spent,
            mixture=np.array([mixture for _, mixture in self._entries], dtype=np.intp),
            fidelity=np.array([fidelity for fidelity, _ in self._entries], dtype=np.intp),
            losses=np.array(list(self._entries.values()), dtype=np.float64).reshape(-1, width),
            purchases=tuple(self._purchases),
        )

    def _cost(self, purchase: Purchase) -> float:
        available = self._problem.available
        inside = 0 <= purchase.fidelity < available.shape[0] and 0 <= purchase.mixture < available.shape[1]
        if not inside or not available[purchase.fidelity, purchase.mixture]:
            raise UnpaidError(f"the table has no run of mixture {purchase.mixture} at fidelity {purchase.fidelity}")
        return self._table.fidelities[purchase.fidelity].cost

    def _shown(self, purchase: Purchase) -> list[int]:
        """Fidelities that a purchase shows: its own last."""
        table, bought = self._table, self._table.fidelities[purchase.fidelity]
        shorter = [
            index
            for index, other in enumerate(table.fidelities)
            if table.curves and other.parameters == bought.parameters and other.tokens < bought.tokens
        ]
        return [i for i in shorter if self._problem.available[i, purchase.mixture]] + [purchase.fidelity]
