"""What a regressor of losses on mixtures is: one protocol for laws, trees and Gaussian processes.

Every loss is modelled by itself; objectives are computed from predicted losses afterwards, as they are from
measured ones (`mixopt.objective`). So one fit serves every objective.

Symbols: R runs, K training domains, V losses (evaluation domains), B replicates, G folds. Weights are on the
simplex, losses are in nats/token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Bools, Floats, Indices
from mixopt.errors import ConfigError

if TYPE_CHECKING:
    import cvxpy as cp


class Replicates(ABC):
    """B laws that the runs leave open as much as the one fitted: how sure a prediction and an optimum are."""

    @abstractmethod
    def __len__(self) -> int:
        """B."""

    @abstractmethod
    def predict(self, weights: Floats) -> Floats:
        """(B, P, V) losses that each replicate predicts.

        Args:
            weights: (P, K) for the same mixtures in every replicate, or (B, P, K) for each one's own.
        """

    def jacobian(self, weights: Floats) -> Floats | None:
        """(B, P, V, K) derivatives of `predict` by the weights; None where the law is not smooth."""
        return None


class Fitted(ABC):
    """A regressor, fitted."""

    @abstractmethod
    def predict(self, weights: Floats) -> Floats:
        """(…, V) predicted losses of mixtures (…, K)."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """JSON values: the law in words under `law`, and its parameters."""

    @abstractmethod
    def replicates(self, count: int, seed: int) -> Replicates:
        """B laws of resampled runs; the same for the same seed."""

    def sd(self, weights: Floats) -> Floats | None:
        """(…, V) standard deviations of predictions, without a run's own noise; None for a law that has none."""
        return None

    def jacobian(self, weights: Floats) -> Floats | None:
        """(…, V, K) derivatives of `predict` by the weights; None where the law is not smooth."""
        return None

    def convex(self, weights: cp.Variable, losses: Indices) -> cp.Expression | None:
        """Predicted losses as a convex cvxpy expression of shape (len(losses),).

        Args:
            weights: a variable of shape (K,), on the simplex.

        Returns:
            None where one of them is not convex in the weights.
        """
        return None


class Regressor(ABC):
    """A way to learn losses from mixtures. A new one is a file, a line in `LAWS` and a parameter of its test."""

    name: str  # as it is written on the command line
    title: str  # in words, for reports
    costly: bool = False  # fits take so long that a choice of several laws drops it early where it is far behind

    @abstractmethod
    def least_runs(self, domains: int) -> int:
        """How many runs of different mixtures a fit of K domains needs."""

    @abstractmethod
    def fit(self, weights: Floats, losses: Floats, *, seed: int) -> Fitted:
        """Learn V losses.

        Args:
            weights: (R, K) mixtures.
            losses: (R, V) nats/token.

        Raises:
            ConfigError: too few runs, or numbers that are not finite.
        """

    def left_out(self, weights: Floats, losses: Floats, folds: Bools, *, seed: int) -> Floats:
        """(G, R, V) predictions for all runs by fits that have not seen the runs of each fold (G, R)."""
        fits = (self.fit(weights[~held], losses[~held], seed=seed) for held in folds)
        return np.stack([fit.predict(weights) for fit in fits])

    def check(self, weights: Floats, losses: Floats) -> None:
        """Refuse what cannot be fitted.

        Raises:
            ConfigError: shapes that disagree, numbers that are not finite, or too few different mixtures.
        """
        if weights.ndim != 2 or losses.ndim != 2 or len(weights) != len(losses):
            raise ConfigError(
                f"{self.name}: expected weights (runs, domains) and losses (runs, losses), found shapes "
                f"{weights.shape} and {losses.shape}"
            )
        for what, array in (("weight", weights), ("loss", losses)):
            bad = ~np.isfinite(array)
            if bad.any():
                row, column = np.argwhere(bad)[0]
                raise ConfigError(
                    f"{self.name}: {what} {column} of run {row} is {array[row, column]}, expected a finite number"
                )
        domains = weights.shape[1]
        found, least = len(np.unique(weights.round(6), axis=0)), self.least_runs(domains)
        if found < least:
            raise ConfigError(
                f"{self.name}: a fit of {domains} domains needs at least {least} runs of different mixtures, "
                f"found {found}; train {least - found} more"
            )


class Refits(Replicates):
    """Replicates as separate fits, for regressors that have no quicker way."""

    def __init__(self, fits: list[Fitted]):
        """Take B fits, in order."""
        self._fits = fits

    def __len__(self) -> int:
        return len(self._fits)

    def predict(self, weights: Floats) -> Floats:
        """(B, P, V) losses of (P, K) or (B, P, K) mixtures."""
        each = np.broadcast_to(weights, (len(self), *weights.shape[-2:]))
        return np.stack([fit.predict(own) for fit, own in zip(self._fits, each, strict=True)])
