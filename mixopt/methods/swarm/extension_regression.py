"""Laws for an extended search, which use the runs of the earlier study where those still hold.

Symbols: K domains, L coordinates (`mixopt.methods.swarm.extension.Frozen`), C mixtures, V losses, B replicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.methods.swarm.regressors.base import Fitted, Regressor, Replicates

if TYPE_CHECKING:
    import cvxpy as cp
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class WithEarlierRuns(Regressor):
    """A regressor that fits the losses of old domains to the earlier study's runs as well.

    Those runs have nothing of the new domains and say nothing of their losses; the laws of old losses are of all K
    weights, and of the small swarm's and the earlier runs. Laws of new losses are of the coordinates.

    Attributes:
        base: the regressor.
        matrix: (K, L) coordinates to weights.
        weights: (C, K) mixtures of the earlier runs.
        losses: (C, V) their losses; NaN where a domain was not measured.
    """

    base: Regressor
    matrix: NDArray[np.float64]
    weights: NDArray[np.float64]
    losses: NDArray[np.float64]

    @property
    def name(self) -> str:  # type: ignore[override]
        """That of the base."""
        return self.base.name

    @property
    def title(self) -> str:  # type: ignore[override]
        """That of the base."""
        return f"{self.base.title} with earlier runs"

    def least_runs(self, domains: int) -> int:
        """What the laws of the new losses need."""
        return self.base.least_runs(domains)

    def fit(self, weights: NDArray[np.float64], losses: NDArray[np.float64], *, seed: int) -> Fitted:
        """Fit old and new losses apart."""
        known = np.asarray(np.isfinite(self.losses).all(axis=0))
        matrix = self.matrix
        old = self.base.fit(
            np.concatenate([weights @ matrix.T, self.weights]),
            np.concatenate([losses[:, known], self.losses[:, known]]),
            seed=seed,
        )
        new = self.base.fit(weights, losses[:, ~known], seed=seed) if not known.all() else None
        return _Both(old, new, matrix, known)


@dataclass(frozen=True, eq=False)
class _Both(Fitted):
    """Laws of old losses over domains, and of new ones over coordinates, as laws over coordinates."""

    old: Fitted
    new: Fitted | None
    matrix: NDArray[np.float64]
    known: NDArray[np.bool_]

    def predict(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(…, V) losses of coordinates (…, L)."""
        return self.merged(
            self.old.predict(weights @ self.matrix.T), self.new.predict(weights) if self.new else None, -1
        )

    def jacobian(self, weights: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """(…, V, L), by the chain rule."""
        old = self.old.jacobian(weights @ self.matrix.T)
        new = self.new.jacobian(weights) if self.new else None
        if old is None or (self.new and new is None):
            return None
        return self.merged(old @ self.matrix, new, -2)

    def sd(self, weights: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """(…, V)."""
        old = self.old.sd(weights @ self.matrix.T)
        new = self.new.sd(weights) if self.new else None
        if old is None or (self.new and new is None):
            return None
        return self.merged(old, new, -1)

    def convex(self, weights: cp.Variable, losses: NDArray[np.intp]) -> cp.Expression | None:
        """Convex where both are: an affine map of a variable keeps it so."""
        import cvxpy as cp

        place = np.where(self.known, np.cumsum(self.known) - 1, np.cumsum(~self.known) - 1)
        parts, order = [], []
        for fitted, point, which in (
            (self.old, self.matrix @ weights, self.known[losses]),
            (self.new, weights, ~self.known[losses]),
        ):
            if not which.any() or fitted is None:
                continue
            part = fitted.convex(point, place[losses[which]])  # type: ignore[arg-type]
            if part is None:
                return None
            parts.append(part)
            order.extend(np.flatnonzero(which).tolist())
        return cp.hstack(parts)[np.argsort(order)]

    def replicates(self, count: int, seed: int) -> Replicates:
        """Of both, paired by number."""
        new = self.new.replicates(count, seed) if self.new else None
        return _BothReplicates(self.old.replicates(count, seed), new, self)

    def describe(self) -> dict[str, Any]:
        """Both laws."""
        old = self.old.describe()
        both = {"law": old.get("law"), "old_losses": old}
        return {**both, "new_losses": self.new.describe()} if self.new else both

    def merged(self, old: NDArray[np.float64], new: NDArray[np.float64] | None, axis: int) -> NDArray[np.float64]:
        """Numbers of old and new losses in the order of all losses."""
        if new is None:
            return old
        order = np.argsort(np.concatenate([np.flatnonzero(self.known), np.flatnonzero(~self.known)]))
        return np.take(np.concatenate([old, new], axis=axis), order, axis=axis)


@dataclass(frozen=True, eq=False)
class _BothReplicates(Replicates):
    old: Replicates
    new: Replicates | None
    law: _Both

    def __len__(self) -> int:
        return len(self.old)

    def predict(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(B, P, V) losses of (P, L) or (B, P, L) coordinates."""
        old = self.old.predict(weights @ self.law.matrix.T)
        return self.law.merged(old, self.new.predict(weights) if self.new else None, -1)

    def jacobian(self, weights: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """(B, P, V, L)."""
        old = self.old.jacobian(weights @ self.law.matrix.T)
        new = self.new.jacobian(weights) if self.new else None
        if old is None or (self.new and new is None):
            return None
        return self.law.merged(old @ self.law.matrix, new, -2)
