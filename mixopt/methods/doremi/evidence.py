"""What DoReMi's proxies did, round by round."""

from __future__ import annotations

from typing import Literal

from mixopt.methods.base import Evidence, record


@record
class RoundEvidence:
    """A round; the paths are the first seed's.

    Attributes:
        reference: mixture of the reference runs.
        answer: mean of the proxies' averages.
        change: greatest difference of a weight between the two.
        averages: of each proxy, by domain.
        references: ids of the reference runs, a seed each.
        proxies: ids of the proxies.
        tokens: (P,) training tokens at each recorded moment.
        alpha: (P,) domain weight at each, by domain.
        average: (P,) mean of alpha so far, by domain.
        excess: (P,) excess loss, nats/token, by domain.
    """

    reference: dict[str, float]
    answer: dict[str, float]
    change: float
    averages: tuple[dict[str, float], ...]
    references: tuple[str, ...]
    proxies: tuple[str, ...]
    tokens: tuple[int, ...]
    alpha: dict[str, tuple[float, ...]]
    average: dict[str, tuple[float, ...]]
    excess: dict[str, tuple[float, ...]]


@record
class DoremiEvidence(Evidence):
    """Behind DoReMi's answer.

    Attributes:
        eta: rate of the exponentiated gradient.
        smoothing: share of the uniform distribution in every alpha.
        sampling: mixture that the proxies drew.
        converged: whether another round would say the same.
        rounds: in order.
    """

    kind: Literal["doremi"] = "doremi"
    eta: float
    smoothing: float
    sampling: dict[str, float]
    converged: bool
    rounds: tuple[RoundEvidence, ...]
