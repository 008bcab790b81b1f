"""DoReMi's answer from what its proxies did: the averaged domain weights, how far to trust them, and why.

Source: Xie et al. 2023 (DoReMi), Algorithm 1 and section 3.3 (rounds). Symbols: K domains, S seeds, P recorded
moments of a proxy, α the domain weights, λ the scores (clipped excess losses).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.methods.base import Recommendation
from mixopt.methods.doremi.advice import warn
from mixopt.methods.doremi.evidence import DoremiEvidence, RoundEvidence
from mixopt.mixture import Mixture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixopt.arrays import Floats, Ints
    from mixopt.trace import PolicyTrace

# ||ᾱ − reference||_∞ at which rounds end, as in the paper.
TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class DoremiSettings:
    """What the proxies were trained with.

    Attributes:
        eta: η, the rate of the exponentiated gradient.
        smoothing: c, the share of the uniform distribution in every α.
        sampling: s, the mixture that a proxy draws.
        tokens: training tokens of each run.
        batch_sequences: sequences of a step.
        epochs: passes over each domain's distinct tokens that a weight of 1 would take in `tokens`, by domain.
        max_epochs: the most that are allowed.
        rounds: the most rounds.
    """

    eta: float
    smoothing: float
    sampling: Mixture
    tokens: int
    batch_sequences: int
    epochs: Mapping[str, float]
    max_epochs: float
    rounds: int


@dataclass(frozen=True, eq=False)
class ProxyPath:
    """What the domain weights of a proxy did.

    Attributes:
        run: its id.
        tokens: (P,) training tokens at each moment, the last one at the end.
        alpha: (P, K) α.
        average: (P, K) the mean of α so far.
        excess: (P, K) λ, nats/token.
    """

    run: str
    tokens: Ints
    alpha: Floats
    average: Floats
    excess: Floats

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
    """A reference run and a proxy, for every seed.

    Attributes:
        reference: the mixture of the reference runs.
        references: their ids.
        proxies: what the proxies did, one a seed.
    """

    reference: Mixture
    references: tuple[str, ...]
    proxies: tuple[ProxyPath, ...]

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


def recommend(
    rounds: Sequence[Round], settings: DoremiSettings, baselines: Mapping[str, Mixture]
) -> Recommendation:
    """The last round's answer; it predicts no loss.

    Args:
        rounds: the rounds done, one at least.
        settings: what they were done with.
        baselines: mixtures to show beside the answer, by name.
    """
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
