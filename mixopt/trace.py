"""`PolicyTrace`: what an online policy did in a run, and why; recorded by the loop, read by tables and plots.

Symbols: K training domains, S recorded steps, P points of the loss curves.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mixopt.arrays import Floats, Ints, pack, unpack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A policy's account of itself at one step: for ADO, right after laws were adopted."""

    step: int  # the step whose losses it had just taken in
    tokens: int  # training tokens so far
    # parameters of the laws in use, each by domain; None where a domain has no law. Power laws have `log_beta`,
    # `log_eps`, `alpha`, with n in samples of `tokens_per_sample` tokens.
    laws: dict[str, dict[str, float | None]] = field(default_factory=dict)
    outcome: dict[str, str] = field(default_factory=dict)  # for each domain `ok`, or why its new law was refused
    # final training loss that the laws forecast, nats/token, by domain; None without a law
    forecasts: dict[str, float | None] = field(default_factory=dict)
    # what the mixture is made of, each by domain: `speed`, `credit`, `preference`, `policy` for ADO
    parts: dict[str, dict[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class LossPoints:
    """The training losses that laws were fitted to, as the policy kept them."""

    tokens: Floats  # (P,) training tokens so far, over all domains
    losses: Floats  # (P, K) training losses, nats/token; NaN where a domain has no point
    weights: Floats  # (P, K) tokens behind each loss


@dataclass(frozen=True, eq=False, kw_only=True)
class PolicyTrace:
    """The course of one run's policy."""

    policy: str  # the policy's name
    settings: dict[str, Any]  # everything that it was set to, JSON values
    domains: tuple[str, ...]  # K training domains, in the order of the columns below
    steps: Ints  # (S,) every step that was trained
    weights: NDArray[np.float32]  # (S, K) the mixture of each, float32
    moments: tuple[Moment, ...] = ()  # the policy's accounts, oldest first
    # counts by domain of what went wrong, by kind (`refused`, `unusable`)
    failures: dict[str, dict[str, int]] = field(default_factory=dict)
    points: LossPoints | None = None  # the losses behind the laws; None for a policy without

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PolicyTrace) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, Any]:
        """JSON values, arrays packed bit by bit."""
        points = self.points
        return {
            "policy": self.policy,
            "settings": self.settings,
            "domains": list(self.domains),
            "steps": pack(self.steps),
            "weights": pack(self.weights),
            "moments": [asdict(moment) for moment in self.moments],
            "failures": self.failures,
            "points": points and {name: pack(getattr(points, name)) for name in ("tokens", "losses", "weights")},
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> PolicyTrace:
        """The inverse of `to_dict`, exact."""
        points = content["points"]
        return cls(
            policy=content["policy"],
            settings=content["settings"],
            domains=tuple(content["domains"]),
            steps=unpack(content["steps"]),
            weights=unpack(content["weights"]),
            moments=tuple(Moment(**moment) for moment in content["moments"]),
            failures=content["failures"],
            points=points and LossPoints(**{name: unpack(array) for name, array in points.items()}),
        )
