"""The convex problem that laws with transfer between domains lead to.

Symbols: m training domains, V laws, w the mixture; law v is l_v(w) = e_v + s_v (Σ_k t_vk w_k)^(−a_v), convex for
s, t, a ≥ 0. Leading axes are a batch, written (…, V).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from mixopt.arrays import Floats

Aggregate = Literal["sum", "sum_exp", "max"]


@dataclass(frozen=True, eq=False)
class TransferLaws:
    """F(w): Σ_v u_v l_v(w), Σ_v u_v exp(l_v(w)), or the greatest l_v(w) of those with u_v > 0.

    Attributes:
        floor: (…, V) e.
        amplitude: (…, V) s ≥ 0.
        exponent: (…, V) a ≥ 0.
        transfer: (…, V, m) t ≥ 0, in any units of amount for one unit of weight.
        share: (V,) u ≥ 0.
        aggregate: which of the three.

    Raises:
        ConfigError: a number is not finite or outside its range, or no law counts.
    """

    floor: Floats
    amplitude: Floats
    exponent: Floats
    transfer: Floats
    share: Floats
    aggregate: Aggregate

    def __post_init__(self) -> None:
        if not np.isfinite(self.floor).all():
            raise ConfigError("law: every floor must be a finite number")
        for name in ("amplitude", "exponent", "transfer", "share"):
            array = getattr(self, name)
            if not np.isfinite(array).all() or (array < 0).any():
                raise ConfigError(f"law: every {name} must be a finite number of at least 0")
        if not self.share.any():
            raise ConfigError("law: no share is above 0, so nothing is minimised")

    @property
    def shape(self) -> tuple[int, ...]:
        """(…, m)."""
        return (*self.transfer.shape[:-2], self.transfer.shape[-1])

    def laws(self, weights: Floats) -> Floats:
        """(…, V) l_v(w); infinite where a law that is not flat has no amount."""
        amount = (self.transfer @ weights[..., None])[..., 0]
        amount = np.where(self.amplitude * self.exponent == 0, 1.0, amount)
        with np.errstate(divide="ignore"):
            return self.floor + self.amplitude * amount**-self.exponent

    def value(self, weights: Floats) -> Floats:
        """F(w), shape (…); infinite where exp(l) is beyond floating point, above 709 nats/token."""
        laws = self.laws(weights)
        if self.aggregate == "max":
            return laws[..., self.share > 0].max(axis=-1)
        with np.errstate(over="ignore"):
            return ((np.exp(laws) if self.aggregate == "sum_exp" else laws) * self.share).sum(axis=-1)

    def derivatives(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """l (…, V), and its first and second derivatives by the amount Σ_k t_vk w_k, (…, V) each."""
        flat = self.amplitude * self.exponent == 0
        amount = np.where(flat, 1.0, (self.transfer @ weights[..., None])[..., 0])
        power = self.amplitude * amount**-self.exponent
        first = -self.exponent * power / amount
        return self.floor + power, first, -(self.exponent + 1) * first / amount

    def slope(self, weights: Floats, duals: Floats) -> Floats:
        """−∂F/∂w ≥ 0, shape (…, m); `duals` (…, V) of the maximum, not used by sums."""
        slope = -self.goal_gradient(weights, duals)
        return slope * self.value(weights)[..., None] if self.aggregate == "sum_exp" else slope

    def goal_gradient(self, weights: Floats, duals: Floats) -> Floats:
        """∂G/∂w, shape (…, m), of the goal G that the solver minimises in place of F.

        G is F for `sum`, Σ_v dual_v l_v for `max`, and log F for `sum_exp`: convex as well and least at the same
        mixture, but in nats, where F falls by a factor e^100 on the way from a poor mixture to the best.
        """
        law, first, _ = self.derivatives(weights)
        return ((self.counts(law, duals) * first)[..., None, :] @ self.transfer)[..., 0, :]

    def goal_hessian(self, weights: Floats, duals: Floats) -> Floats:
        """∂²G/∂w², shape (…, m, m)."""
        law, first, second = self.derivatives(weights)
        counts = self.counts(law, duals)[..., None]
        hessian = np.swapaxes(self.transfer, -1, -2) @ (counts * second[..., None] * self.transfer)
        if self.aggregate != "sum_exp":
            return hessian
        # Of log Σ_v u_v exp(l_v) also the covariance of the laws' slopes, each law counted as its share of F.
        slopes = first[..., None] * self.transfer
        apart = slopes - (counts * slopes).sum(axis=-2, keepdims=True)
        return hessian + np.swapaxes(apart, -1, -2) @ (counts * apart)

    def counts(self, law: Floats, duals: Floats) -> Floats:
        """(…, V) ∂G/∂l: how much each law counts in the goal."""
        if self.aggregate == "max":
            return duals
        if self.aggregate == "sum":
            return np.broadcast_to(self.share, law.shape)
        part = self.share * np.exp(law - law.max(axis=-1, keepdims=True))
        return part / part.sum(axis=-1, keepdims=True)

    def flattened(self) -> TransferLaws:
        """The same with one leading axis, (B, …), and with the laws that count only."""
        *batch, laws, domains = self.transfer.shape
        counted = self.share > 0

        def rows(array: Floats) -> Floats:
            return np.broadcast_to(array, (*batch, laws)).reshape(-1, laws)[:, counted]

        return TransferLaws(
            rows(self.floor),
            rows(self.amplitude),
            rows(self.exponent),
            self.transfer.reshape(-1, laws, domains)[:, counted],
            self.share[counted],
            self.aggregate,
        )
