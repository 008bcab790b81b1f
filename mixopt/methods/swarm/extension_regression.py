"""Laws for an extended search, which use the runs of the earlier study where those still hold.

Symbols: K domains, L coordinates (`mixopt.methods.swarm.extension.Frozen`), C mixtures, V losses, B replicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Bools, Floats, Indices
from mixopt.methods.swarm.regressors.base import Fitted, Regressor, Replicates

if TYPE_CHECKING:
    import cvxpy as cp


class WithEarlierRuns(Regressor):
    """A regressor that fits the losses of old domains to the earlier study's runs as well.

    Those runs have nothing of the new domains and say nothing of their losses; the laws of old losses are of all K
    weights, and of the small swarm's and the earlier runs. Laws of new losses are of the coordinates.

    Args:
        base: the regressor.
        matrix: (K, L) coordinates to weights.
        weights: (C, K) mixtures of the earlier runs.
        losses: (C, V) their losses; NaN where a domain was not measured.
    """

    def __init__(self, base: Regressor, matrix: Floats, weights: Floats, losses: Floats) -> None:
        self._base, self._matrix, self._weights = base, matrix, weights
        self._known = np.asarray(np.isfinite(losses).all(axis=0))
        self._losses = losses[:, self._known]
        self.name, self.title, self.costly = base.name, f"{base.title} with earlier runs", base.costly

    def least_runs(self, domains: int) -> int:
        """What the laws of the new losses need."""
        return self._base.least_runs(domains)

    def fit(self, weights: Floats, losses: Floats, *, seed: int) -> Fitted:
        """Fit old and new losses apart."""
        known = self._known
        old = self._base.fit(*self._with_earlier(weights, losses), seed=seed)
        new = self._base.fit(weights, losses[:, ~known], seed=seed) if not known.all() else None
        return _Both(old, new, self._matrix, known)

    def left_out(self, weights: Floats, losses: Floats, folds: Bools, *, seed: int) -> Floats:
        """(G, R, V) predictions as the base makes them; no fold leaves earlier runs out."""
        known = self._known
        seen = np.pad(folds, ((0, 0), (0, len(self._weights))))
        old = self._base.left_out(*self._with_earlier(weights, losses), seen, seed=seed)[:, : len(weights)]
        new = self._base.left_out(weights, losses[:, ~known], folds, seed=seed) if not known.all() else None
        return _merged(known, old, new, -1)

    def _with_earlier(self, weights: Floats, losses: Floats) -> tuple[Floats, Floats]:
        """(R + C, K) weights and (R + C, old losses) of the swarm and the earlier runs."""
        return (
            np.concatenate([weights @ self._matrix.T, self._weights]),
            np.concatenate([losses[:, self._known], self._losses]),
        )


@dataclass(frozen=True, eq=False)
class _Both(Fitted):
    """Laws of old losses over domains, and of new ones over coordinates, as laws over coordinates."""

    old: Fitted
    new: Fitted | None
    matrix: Floats
    known: Bools

    def predict(self, weights: Floats) -> Floats:
        """(…, V) losses of coordinates (…, L)."""
        return _merged(
            self.known, self.old.predict(weights @ self.matrix.T), self.new.predict(weights) if self.new else None, -1
        )

    def jacobian(self, weights: Floats) -> Floats | None:
        """(…, V, L), by the chain rule."""
        old = self.old.jacobian(weights @ self.matrix.T)
        new = self.new.jacobian(weights) if self.new else None
        if old is None or (self.new and new is None):
            return None
        return _merged(self.known, old @ self.matrix, new, -2)

    def sd(self, weights: Floats) -> Floats | None:
        """(…, V)."""
        old = self.old.sd(weights @ self.matrix.T)
        new = self.new.sd(weights) if self.new else None
        if old is None or (self.new and new is None):
            return None
        return _merged(self.known, old, new, -1)

    def convex(self, weights: cp.Variable, losses: Indices) -> cp.Expression | None:
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


@dataclass(frozen=True, eq=False)
class _BothReplicates(Replicates):
    old: Replicates
    new: Replicates | None
    law: _Both

    def __len__(self) -> int:
        return len(self.old)

    def predict(self, weights: Floats) -> Floats:
        """(B, P, V) losses of (P, L) or (B, P, L) coordinates."""
        old = self.old.predict(weights @ self.law.matrix.T)
        return _merged(self.law.known, old, self.new.predict(weights) if self.new else None, -1)

    def jacobian(self, weights: Floats) -> Floats | None:
        """(B, P, V, L)."""
        old = self.old.jacobian(weights @ self.law.matrix.T)
        new = self.new.jacobian(weights) if self.new else None
        if old is None or (self.new and new is None):
            return None
        return _merged(self.law.known, old @ self.law.matrix, new, -2)


def _merged(known: Bools, old: Floats, new: Floats | None, axis: int) -> Floats:
    """Numbers of old and new losses in the order of all (V,) losses, which `known` tells apart."""
    if new is None:
        return old
    order = np.argsort(np.concatenate([np.flatnonzero(known), np.flatnonzero(~known)]))
    return np.take(np.concatenate([old, new], axis=axis), order, axis=axis)
