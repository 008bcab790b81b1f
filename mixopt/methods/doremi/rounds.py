"""DoReMi's answer from what its proxies did: the averaged domain weights, how far to trust them, and why.

Source: Xie et al. 2023 (DoReMi), Algorithm 1 and section 3.3 (rounds). Symbols: K domains, S seeds, P recorded
moments of a proxy, α the domain weights, λ the scores (clipped excess losses).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats, Ints
from mixopt.methods.base import Recommendation
from mixopt.methods.doremi.evidence import DoremiEvidence, RoundEvidence
from mixopt.mixture import Mixture
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.trace import PolicyTrace


# ||ᾱ − reference||_∞ at which rounds end, as in the paper.
TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class DoremiSettings:
    """What the proxies were trained with."""

    eta: float  # η, the rate of the exponentiated gradient
    smoothing: float  # c, the share of the uniform distribution in every α
    sampling: Mixture  # s, the mixture that a proxy draws
    tokens: int  # training tokens of each run
    batch_sequences: int  # sequences of a step
    # passes over each domain's distinct tokens that a weight of 1 would take in `tokens`, by domain
    epochs: Mapping[str, float]
    max_epochs: float  # the most that are allowed
    rounds: int  # the most rounds


@dataclass(frozen=True, eq=False)
class ProxyPath:
    """What the domain weights of a proxy did."""

    run: str  # its id
    tokens: Ints  # (P,) training tokens at each moment, the last one at the end
    alpha: Floats  # (P, K) α
    average: Floats  # (P, K) the mean of α so far
    excess: Floats  # (P, K) λ, nats/token

    @classmethod
    def of(cls, run: str, trace: PolicyTrace) -> ProxyPath:
        """From the trace of a finished proxy."""
        moments = trace.moments

        def part(name: str) -> Floats:
            return np.array([[moment.parts[name][domain] for domain in trace.domains] for moment in moments])

        tokens = np.array([moment.tokens for moment in moments], dtype=np.int64)
        return cls(run, tokens, part("alpha"), part("average"), part("excess"))


@dataclass(frozen=True, eq=False)
class Round:
    """A reference run and a proxy, for every seed."""

    reference: Mixture  # the mixture of the reference runs
    references: tuple[str, ...]  # their ids
    proxies: tuple[ProxyPath, ...]  # what the proxies did, one a seed

    @property
    def averages(self) -> Floats:
        """(S, K) the last average of each proxy."""
        return np.array([proxy.average[-1] for proxy in self.proxies])

    @property
    def answer(self) -> Mixture:
        """The mean of the proxies' averages: DoReMi's answer, and the reference of the next round."""
        mean = self.averages.mean(axis=0).tolist()
        return Mixture.of_array(self.reference.domains, mean)

    @property
    def change(self) -> float:
        """The greatest difference of a weight between answer and reference."""
        return float(np.abs(self.answer.array - self.reference.array).max())

    @property
    def converged(self) -> bool:
        """Whether another round would say the same."""
        return self.change < TOLERANCE

    def evidence(self) -> RoundEvidence:
        """As it is told; the paths are the first seed's."""
        names, path = self.reference.domains, self.proxies[0]

        def by_domain(rows: Floats) -> dict[str, tuple[float, ...]]:
            return {name: tuple(column) for name, column in zip(names, rows.T.tolist(), strict=True)}

        return RoundEvidence(
            reference=self.reference.to_dict(),
            answer=self.answer.to_dict(),
            change=self.change,
            averages=tuple(dict(zip(names, row, strict=True)) for row in self.averages.tolist()),
            references=self.references,
            proxies=tuple(proxy.run for proxy in self.proxies),
            tokens=tuple(path.tokens.tolist()),
            alpha=by_domain(path.alpha),
            average=by_domain(path.average),
            excess=by_domain(path.excess),
        )


def recommend(rounds: Sequence[Round], settings: DoremiSettings, baselines: Mapping[str, Mixture]) -> Recommendation:
    """The last round's answer; it predicts no loss."""
    last = rounds[-1]
    names = last.reference.domains
    return Recommendation(
        method=f"DoReMi, eta {settings.eta:g}, round {len(rounds)}",
        objective="worst excess loss",
        tokens=settings.tokens,
        mixture=last.answer,
        intervals=_intervals(names, last.averages),
        predicted={},
        warnings=warn(rounds, settings),
        runs=tuple(run for one in rounds for run in (*one.references, *(proxy.run for proxy in one.proxies))),
        baselines=dict(baselines),
        epochs={name: weight * settings.epochs[name] for name, weight in last.answer.to_dict().items()},
        evidence=DoremiEvidence(
            eta=settings.eta,
            smoothing=settings.smoothing,
            sampling=settings.sampling.to_dict(),
            converged=last.converged,
            rounds=tuple(one.evidence() for one in rounds),
        ),
    )


def _intervals(names: Sequence[str], averages: Floats) -> dict[str, tuple[float, float]]:
    """95 % intervals of the mean over seeds (Student's t), by domain; none of a single seed."""
    seeds = len(averages)
    if seeds < 2:
        return {}
    from scipy.special import stdtrit

    mean = averages.mean(axis=0)
    half = stdtrit(seeds - 1, 0.975) * averages.std(axis=0, ddof=1) / np.sqrt(seeds)
    ends = np.clip([mean - half, mean + half], 0.0, 1.0)
    return {name: (float(low), float(high)) for name, low, high in zip(names, *ends, strict=True)}


# Assumptions, none of them published: from where on a weight is all but one, an average still moves, an average is
# still where it began, a batch holds too little of a domain to score it.
_COLLAPSED = 0.9
_ONE_HOT = 0.95
_UNSETTLED = 0.02
_UNMOVED = 0.01
_FEW_SEQUENCES = 4.0


def warn(rounds: Sequence[Round], settings: DoremiSettings) -> tuple[str, ...]:
    """A sentence for each doubt about the last round's answer; none about a single domain, which has no choice."""
    if len(rounds[-1].reference.domains) < 2:
        return ()
    found = [
        _collapse(rounds[-1], settings),
        _unsettled(rounds[-1]),
        _unmoved(rounds[-1], settings),
        _moving_on(rounds, settings),
        _repeats(rounds[-1], settings),
        _one_seed(rounds[-1]),
    ]
    return tuple(sentence for sentence in found if sentence)


def _collapse(last: Round, settings: DoremiSettings) -> str | None:
    """α near one domain, in the answer or most of the time, and what is known to cause it."""
    weights = last.answer.to_dict()
    top = max(weights, key=lambda name: weights[name])
    one_hot = float(np.mean([(proxy.alpha.max(axis=1) > _ONE_HOT).mean() for proxy in last.proxies]))
    if weights[top] > _COLLAPSED:
        what = f"collapsed to one domain: {top} has {weights[top]:.2f} of the averaged weight"
    elif one_hot > 0.5:
        what = (
            f"the weights collapsed to one domain at a time: in {one_hot:.0%} of the moments recorded a single one "
            f"had over {_ONE_HOT:g}, and the answer is an average over which one it was"
        )
    else:
        return None
    return f"{what}; {_cause(settings)}"


def _cause(settings: DoremiSettings) -> str:
    rarest = min(settings.sampling.to_dict().items(), key=lambda item: item[1])
    sequences = settings.batch_sequences * rarest[1]
    advice = []
    if sequences < _FEW_SEQUENCES:
        advice.append(
            f"a batch holds {settings.batch_sequences} sequences, {sequences:.2g} of {rarest[0]} on average, so "
            "that its score is mostly noise: use a larger training.batch_tokens"
        )
    if settings.eta > 0.1:
        advice.append(f"at eta {settings.eta:g} a domain that is a nat behind gains a factor of "
                      f"{np.exp(settings.eta):.3g} in every step: use --eta 0.1")  # fmt: skip
    advice.append(
        f"early on the proxy is behind everywhere, and {format_count(settings.tokens)} tokens may be too few for "
        "that to pass: use more --tokens"
    )
    return "; ".join(advice)


def _unsettled(last: Round) -> str | None:
    """An average that still moved in the last quarter."""
    moves = []
    for proxy in last.proxies:
        before = proxy.average[np.searchsorted(proxy.tokens, 0.75 * proxy.tokens[-1])]
        moves.append(proxy.average[-1] - before)
    move = np.mean(moves, axis=0)
    at = int(np.abs(move).argmax())
    if abs(move[at]) <= _UNSETTLED:
        return None
    return (
        f"the average had not settled: the weight of {last.reference.domains[at]} moved by {move[at]:+.3f} in the "
        "last quarter of the proxy; use more --tokens"
    )


def _unmoved(last: Round, settings: DoremiSettings) -> str | None:
    """An average that is still where every α begins, as if nothing had been asked."""
    weights = last.answer.array
    if np.abs(weights - 1 / len(weights)).max() >= _UNMOVED:
        return None
    return (
        "every weight is within "
        f"{_UNMOVED:g} of uniform, where DoReMi begins: the domains are equally far behind the reference, or "
        f"{format_count(settings.tokens)} tokens at eta {settings.eta:g} are too few to tell them apart"
    )


def _moving_on(rounds: Sequence[Round], settings: DoremiSettings) -> str | None:
    """Rounds that were to converge and did not."""
    last = rounds[-1]
    if settings.rounds == 1 or last.converged:
        return None
    return (
        f"not converged: round {len(rounds)} changed a weight by {last.change:.3f}, and 0.001 is the mark; allow "
        f"more --rounds"
    )


def _repeats(last: Round, settings: DoremiSettings) -> str | None:
    """A domain that the answer repeats more often than is allowed: DoReMi knows of no supply."""
    epochs = {name: weight * settings.epochs[name] for name, weight in last.answer.to_dict().items()}
    name = max(epochs, key=lambda domain: epochs[domain])
    if epochs[name] <= settings.max_epochs:
        return None
    return (
        f"{format_count(settings.tokens)} tokens of this mixture repeat {name} {epochs[name]:.1f} times, and "
        f"{settings.max_epochs:g} are allowed (--max-epochs): DoReMi does not know how much text there is"
    )


def _one_seed(last: Round) -> str | None:
    if len(last.proxies) > 1:
        return None
    return "one seed: how far chance moves these weights is not known; --seeds 3 gives intervals"
