"""An objective as a function of the mixture, by a fitted regressor: values, slopes, and a convex form where it is.

Symbols: B laws (replicates, or one), P mixtures, K domains, V losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mixopt.arrays import Floats
from mixopt.errors import ConfigError
from mixopt.methods.joint.runs import counted
from mixopt.objective import Objective, perplexities

if TYPE_CHECKING:
    import cvxpy as cp

    from mixopt.history import History
    from mixopt.methods.swarm.regressors.base import Fitted, Replicates
    from mixopt.solve.interior_point import Aggregate


class Laws(Protocol):
    """B laws of V losses; `mixopt.methods.swarm.regressors.base.Replicates` are."""

    def __len__(self) -> int: ...

    def predict(self, weights: Floats) -> Floats:
        """(B, P, V) losses of (P, K) or (B, P, K) mixtures."""
        ...

    def jacobian(self, weights: Floats) -> Floats | None:
        """(B, P, V, K) derivatives by the weights; None where a law is not smooth."""
        ...


@dataclass(frozen=True)
class Single:
    """One fitted law as `Laws`."""

    fitted: Fitted

    def __len__(self) -> int:
        return 1

    def predict(self, weights: Floats) -> Floats:
        """(1, P, V) losses of (P, K) or (1, P, K) mixtures."""
        return self.fitted.predict(weights.reshape(-1, weights.shape[-1]))[None]

    def jacobian(self, weights: Floats) -> Floats | None:
        """(1, P, V, K) derivatives."""
        found = self.fitted.jacobian(weights.reshape(-1, weights.shape[-1]))
        return None if found is None else found[None]


@dataclass(frozen=True, eq=False)
class Pull:
    """A pull towards a mixture p: λ · s · KL(w ‖ p) is added to the objective.

    s is the standard deviation of the measured objective over the swarm's mixtures. So λ does not depend on the
    objective's units: at λ = 0.05 a mixture one nat from p must promise 5 % of that spread to be worth it. (Olmix,
    which adds λ · KL to a sum of losses, leaves the meaning of λ to the weights of that sum.)
    """

    strength: float  # λ ≥ 0
    prior: Floats  # (K,) p; where it is 0, so must the weight be
    scale: float  # s > 0, in the objective's units

    def value(self, weights: Floats) -> Floats:
        """(…) what is added to the objective of mixtures (…, K)."""
        from scipy.special import rel_entr

        return self.strength * self.scale * rel_entr(weights, self.prior).sum(axis=-1)

    def slope(self, weights: Floats) -> Floats:
        """(…, K) its derivatives, held finite at weights of 0."""
        prior = np.maximum(self.prior, 1e-12)
        return self.strength * self.scale * (np.log(np.maximum(weights, 1e-9) / prior) + 1)

    def expression(self, weights: cp.Variable) -> Any:
        """The same in cvxpy."""
        import cvxpy as cp

        return self.strength * self.scale * cp.sum(cp.rel_entr(weights, np.maximum(self.prior, 1e-12)))


@dataclass(frozen=True, eq=False)
class Surface:
    """F(w) = aggregate of the predicted losses, plus the pull: B functions of the mixture."""

    laws: Laws  # of the losses
    share: Floats  # (V,) u ≥ 0, what each loss counts
    aggregate: Aggregate  # Σ u l, Σ u exp(l), or the greatest l where u > 0
    pull: Pull | None = None  # towards a mixture; None for none
    fitted: Fitted | None = None  # the one law behind it, for its convex form; None for replicates
    # β, which puts log Σ exp(β l) / β in place of the greatest loss: smooth, and above it by at most log V / β. None
    # for the greatest loss itself.
    sharpness: float | None = None

    @classmethod
    def of(
        cls, fitted: Fitted, objective: Objective, history: History, trained: Sequence[str], pull: Pull | None = None
    ) -> Surface:
        """The surface of one law."""
        share, aggregate = counted(objective, history, trained)
        return cls(Single(fitted), share, aggregate, pull, fitted)

    def over(self, replicates: Replicates) -> Surface:
        """The same of replicates."""
        return replace(self, laws=replicates, fitted=None)

    @property
    def bare(self) -> Surface:
        """The same without the pull: what is predicted of a mixture."""
        return replace(self, pull=None)

    def __len__(self) -> int:
        return len(self.laws)

    def value(self, weights: Floats) -> Floats:
        """(B, P) F of (P, K) or (B, P, K) mixtures."""
        value = aggregated(self.laws.predict(weights), self.share, self.aggregate, self.sharpness)
        return value if self.pull is None else value + self.pull.value(weights)

    @property
    def kinked(self) -> bool:
        """Whether it is a greatest loss, which has kinks."""
        return self.aggregate == "max"

    def smoothed(self, sharpness: float) -> Surface:
        """The same with a smooth maximum, for descents."""
        return replace(self, sharpness=sharpness)

    def slope(self, weights: Floats) -> Floats | None:
        """(B, P, K) ∂F/∂w of (B, P, K) mixtures; None where a law is not smooth."""
        jacobian = self.laws.jacobian(weights)
        if jacobian is None:
            return None
        outer = _outer_slope(self.laws.predict(weights), self.share, self.aggregate, self.sharpness)
        slope = np.einsum("bpv,bpvk->bpk", outer, jacobian)
        return slope if self.pull is None else slope + self.pull.slope(weights)

    def expression(self, weights: cp.Variable) -> Any | None:
        """F as a convex cvxpy expression of one law; None where it is not convex."""
        import cvxpy as cp

        if self.fitted is None:
            return None
        counted = np.flatnonzero(self.share > 0)
        losses = self.fitted.convex(weights, counted)
        if losses is None:
            return None
        share = self.share[counted]
        if self.aggregate == "max":
            value = cp.max(losses)
        else:
            value = share @ (cp.exp(losses) if self.aggregate == "sum_exp" else losses)
        return value if self.pull is None else value + self.pull.expression(weights)


def aggregated(losses: Floats, share: Floats, aggregate: Aggregate, sharpness: float | None = None) -> Floats:
    """(…) objectives of losses (…, V); with `sharpness` the greatest loss is a smooth one."""
    if aggregate == "max":
        some = losses[..., share > 0]
        if sharpness is None:
            return some.max(axis=-1)
        top = some.max(axis=-1, keepdims=True)
        return top[..., 0] + np.log(np.exp(sharpness * (some - top)).sum(axis=-1)) / sharpness
    return (perplexities(losses) if aggregate == "sum_exp" else losses) @ share


def _outer_slope(losses: Floats, share: Floats, aggregate: Aggregate, sharpness: float | None) -> Floats:
    """(…, V) derivatives of `aggregated` by the losses; of the greatest loss, by one that is greatest."""
    if aggregate == "sum":
        return np.broadcast_to(share, losses.shape)
    if aggregate == "sum_exp":
        return share * perplexities(losses)
    masked = np.where(share > 0, losses, -np.inf)
    if sharpness is None:
        return (np.arange(losses.shape[-1]) == masked.argmax(axis=-1)[..., None]).astype(np.float64)
    part = np.exp(sharpness * (masked - masked.max(axis=-1, keepdims=True)))
    return part / part.sum(axis=-1, keepdims=True)


def check_prior(prior: Floats, floors: Floats, domains: tuple[str, ...]) -> None:
    """Refuse a pull towards a mixture without a domain that has a floor: KL would be infinite everywhere.

    Raises:
        ConfigError: it is such a mixture.
    """
    for domain, share, floor in zip(domains, prior, floors, strict=True):
        if share <= 0 < floor:
            raise ConfigError(
                f"kl: the natural mixture has nothing of {domain!r}, which has a floor of {floor:.3g}; lower the "
                "floor or leave --kl out"
            )
