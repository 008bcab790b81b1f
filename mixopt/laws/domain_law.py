"""The scaling law of a domain's training loss, ε + β·n^−α (Jiang et al. 2024, Definition 1), for K domains at once.

n counts the training samples seen so far over all domains, a sample being a fixed number of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mixopt.arrays import Bools, Floats, Indices

_NAMES = ("log_beta", "log_eps", "alpha")


@dataclass(frozen=True, eq=False)
class DomainLaws:
    """Laws of K domains; NaN in all three arrays for a domain that has none."""

    log_beta: Floats  # (K,) log of the reducible loss at n = 1, in nats/token
    log_eps: Floats  # (K,) log of the irreducible loss, in nats/token
    alpha: Floats  # (K,) exponents

    @classmethod
    def none(cls, domains: int) -> DomainLaws:
        """No law for any of `domains`."""
        return cls(*np.full((3, domains), np.nan))

    @property
    def known(self) -> Bools:
        """(K,) which domains have a law."""
        return np.isfinite(self.log_beta + self.log_eps + self.alpha)

    def reducible(self, samples: ArrayLike) -> Floats:
        """β·n^−α = L̂(n) − ε in nats/token: (K,) for one n, (…, K) for n of shape (…)."""
        log_n = np.log(np.asarray(samples, dtype=np.float64))[..., None]
        return np.exp(self.log_beta - self.alpha * log_n)

    def loss(self, samples: ArrayLike) -> Floats:
        """The forecast L̂(n) in nats/token: (K,) for one n, (…, K) for n of shape (…)."""
        return np.exp(self.log_eps) + self.reducible(samples)

    def speed(self, samples: ArrayLike) -> Floats:
        """The learning speed −dL̂/dn = α (L̂(n) − ε) / n (Eq. 1), nats/token and sample: shapes as for `loss`."""
        n = np.asarray(samples, dtype=np.float64)
        return self.alpha * self.reducible(n) / n[..., None]

    def updated(self, other: DomainLaws, where: Bools) -> DomainLaws:
        """These laws with those of `other` for the domains `where` (K,)."""
        return DomainLaws(*(np.where(where, getattr(other, name), getattr(self, name)) for name in _NAMES))

    def some(self, domains: Indices) -> DomainLaws:
        """The laws of the domains with these numbers; −1 for no law."""
        return DomainLaws(*(np.where(domains < 0, np.nan, getattr(self, name)[domains]) for name in _NAMES))

    def to_dict(self) -> dict[str, Any]:
        """JSON values, None for NaN; the inverse of `from_dict`, exact."""
        return {name: [float(x) if np.isfinite(x) else None for x in getattr(self, name)] for name in _NAMES}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DomainLaws:
        """The inverse of `to_dict`: None becomes NaN."""
        return cls(*(np.array(values[name], dtype=np.float64) for name in _NAMES))
