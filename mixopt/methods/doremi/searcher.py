"""DoReMi: rounds of a reference run and of a proxy held against it, until the domain weights stay where they are.

Source: Xie et al. 2023 (DoReMi), Algorithm 1 and section 3.3 (rounds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mixopt.errors import ConfigError
from mixopt.methods.base import Proposal, Recommendation, Role
from mixopt.methods.doremi.rounds import DoremiSettings, ProxyPath, Round, recommend
from mixopt.spec import PolicySpec

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.mixture import Mixture


class Doremi:
    """A `Searcher`: the reference of a round, then its proxies, then the next round with their answer.

    Attributes:
        reference: the mixture of the first reference run.
        settings: of every round.
        seeds: repeats of every run, each proxy against the reference of its own seed.
        baselines: mixtures to show beside the answer, by name.
        wants: what proxies did is read from their traces.
    """

    wants = frozenset({"traces"})

    def __init__(
        self, reference: Mixture, settings: DoremiSettings, seeds: Sequence[int], baselines: Mapping[str, Mixture]
    ) -> None:
        self.reference, self.settings, self.seeds = reference, settings, tuple(seeds)
        self.baselines = dict(baselines)

    def ask(self, history: History) -> list[Proposal]:
        """What the round that is open lacks: a proxy is asked for when the references of its round are there."""
        return self._walk(history)[1]

    def recommend(self, history: History) -> Recommendation:
        """The answer of the last round.

        Raises:
            ConfigError: a run is missing, or the trace of a proxy is lost.
        """
        rounds, lacking = self._walk(history)
        if lacking:
            first = lacking[0]
            raise ConfigError(f"doremi: expected the run `{first.role}` with seed {first.seed}, found none")
        return recommend(rounds, self.settings, self.baselines)

    def _walk(self, history: History) -> tuple[list[Round], list[Proposal]]:
        """The rounds that are done, and the runs that the next one lacks: none when there is none."""
        traces, rounds = history.traces or {}, []
        held = {(seed, traces[run].reference): run for run, seed in _runs(history) if run in traces}
        free = {run: seed for run, seed in _runs(history) if run not in traces}
        reference = self.reference
        for number in range(1, self.settings.rounds + 1):
            found = {seed: self._nearest(history, free, reference, seed) for seed in self.seeds}
            lost = [seed for seed, run in found.items() if run is None]
            if lost:
                return rounds, [self._reference(number, reference, seed) for seed in lost]
            names = {seed: run for seed, run in found.items() if run is not None}
            free = {run: seed for run, seed in free.items() if run not in names.values()}
            lost = [seed for seed in self.seeds if (seed, names[seed]) not in held]
            if lost:
                return rounds, [self._proxy(number, names[seed], seed) for seed in lost]
            proxies = [held[seed, names[seed]] for seed in self.seeds]
            rounds.append(Round(reference, tuple(names.values()), tuple(_path(history, proxy) for proxy in proxies)))
            if rounds[-1].converged:
                break
            reference = rounds[-1].answer
        return rounds, []

    def _nearest(self, history: History, free: Mapping[str, int], mixture: Mixture, seed: int) -> str | None:
        """The run of this seed that trained on a mixture, as whole sequences round it; None where there is none."""
        seen = dict(zip(history.runs, history.weights, strict=True))
        order = [history.domains.index(name) for name in mixture.domains] if len(history) else []
        away = {run: float(np.abs(seen[run][order] - mixture.array).sum()) for run, of in free.items() if of == seed}
        return min(away, key=lambda run: (away[run], run), default=None)

    def _reference(self, number: int, mixture: Mixture, seed: int) -> Proposal:
        role = Role("reference", str(number), f"round {number} reference")
        return Proposal(mixture, self.settings.tokens, seed, role, keep=True)

    def _proxy(self, number: int, reference: str, seed: int) -> Proposal:
        """The Group DRO run against a reference run."""
        settings = self.settings
        policy = PolicySpec(
            name="group_dro",
            weights=settings.sampling.weights,
            options={"eta": settings.eta, "smoothing": settings.smoothing},
            reference=reference,
        )
        role = Role("proxy", str(number), f"round {number} proxy")
        return Proposal(settings.sampling, settings.tokens, seed, role, policy=policy)


def _runs(history: History) -> list[tuple[str, int]]:
    return list(zip(history.runs, history.seeds.tolist(), strict=True))


def _path(history: History, run: str) -> ProxyPath:
    trace = (history.traces or {})[run].trace
    if trace is None or not trace.moments:
        raise ConfigError(
            f"run {run} has lost the trace of its weights; `mixopt runs rm {run}` and this command again make it"
        )
    return ProxyPath.of(run, trace)
