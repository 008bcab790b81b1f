"""What one mixture's runs measured, in the units of a comparison.

Symbols: S seeds, P points of a curve, V evaluation domains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats
from mixopt.comparison import DomainScore, Entry, Measured, Metric, ValueCurve, Worst
from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.objective import UNITS, Downstream, MeanLoss, Objective, TaskError, WeightedLoss, WorstLoss, tasks_of
from mixopt.store.frames import validation_points

if TYPE_CHECKING:
    from mixopt.result import Run
    from mixopt.spec import RunSpec
    from mixopt.study.compare.tasks import SharedTasks


def in_bits(objective: Objective) -> Objective:
    """The objective on bits per byte in place of nats/token; a mean perplexity becomes their mean."""
    if isinstance(objective, TaskError | Downstream) or objective.units == UNITS:
        return objective  # scores know no tokens
    if isinstance(objective, WorstLoss | WeightedLoss):
        return replace(objective, units=objective.units.replace("nats/token", "bits/byte"))
    return MeanLoss(name="mean_bits_per_byte", units="bits/byte")


@dataclass(frozen=True)
class Yardstick:
    """What all groups are measured by."""

    objective: Objective  # on what `metric` compares
    metric: Metric  # nats/token (perplexities), or bits per byte
    domains: tuple[str, ...]  # V evaluation domains, in order
    averaged: tuple[str, ...]  # those that averages go over
    tasks: SharedTasks  # T downstream tasks that all runs have scores of

    def value(self, chosen: Floats, errors: Floats) -> Floats:
        """The objective (S,) of losses or bits (S, V) and errors of tasks (S, T).

        Raises:
            ConfigError: it reads a task that not every run has a score of, or it is 0, so that nothing is relative.
        """
        domains = (*self.domains, *self.tasks.domains)
        values = self.objective.value(np.hstack([chosen, errors]), domains, self.averaged)
        if (values <= 0).any():
            raise ConfigError(
                f"objective {self.objective.name}: a run has {values.min():g}, of which no share can be told; "
                "compare another objective (--objective)"
            )
        return values

    def along(self, chosen: Floats) -> Floats | None:
        """The objective (…) of losses or bits (…, V) inside runs; None where it reads tasks."""
        if tasks_of(self.objective, self.tasks.domains):
            return None
        return self.objective.value(chosen, self.domains, self.averaged)


@dataclass(frozen=True)
class Scores:
    """What a mixture scored, seed by seed."""

    objective: Mapping[int, float]  # the objective by seed; above 0
    domains: Mapping[str, Mapping[int, float]]  # perplexity (or bits per byte) by domain, then by seed; above 0


@dataclass(frozen=True, eq=False)
class Side:
    """One group, measured."""

    entry: Entry  # not yet held against others
    scores: Scores  # what gains are computed from
    spec: RunSpec  # of one of its runs; the others differ in their seed only

    @classmethod
    def of(cls, name: str, runs: Sequence[Run], yardstick: Yardstick) -> Side:
        """Measure a group of finished runs, ascending by seed.

        Raises:
            ConfigError: bits per byte are to be compared, and a run has none.
        """
        losses = np.array([[result.losses()[domain] for domain in yardstick.domains] for _, result in runs])
        bits = _bits(runs, yardstick.domains)
        chosen, scale, compared = losses, np.ones_like(losses), np.exp(losses)
        if yardstick.metric == "bits-per-byte":
            if bits is None:
                raise ConfigError(f"{name!r}: its runs have no bits per byte; leave out --metric bits-per-byte")
            chosen, scale, compared = bits, bits / losses, bits
        ids = [result.run_id for _, result in runs]
        objective = yardstick.value(chosen, yardstick.tasks.errors(ids))
        columns = [yardstick.domains.index(domain) for domain in yardstick.averaged]
        worst = yardstick.averaged[int(np.argmax(chosen[:, columns].mean(axis=0)))]
        domains = _domain_scores(runs, yardstick.domains, losses, bits)
        spec = runs[0][0]
        seeds = tuple(spec.seed for spec, _ in runs)
        entry = Entry(
            weights=_weights(runs),
            policy=spec.policy.name,
            runs=tuple(ids),
            seeds=seeds,
            tokens=spec.tokens,
            objective=_measured(objective),
            mean_loss=_measured(losses[:, columns].mean(axis=1)),
            mean_ppl=_measured(np.exp(losses[:, columns]).mean(axis=1)),
            mean_bits_per_byte=None if bits is None else _measured(bits[:, columns].mean(axis=1)),
            worst=Worst(domain=worst, loss=domains[worst].loss, ppl=domains[worst].ppl),
            domains=domains,
            curve=_value_curve(runs, yardstick, scale),
            tasks=yardstick.tasks.measured(ids),
            task_mean=yardstick.tasks.mean(ids),
        )
        by_domain = zip(yardstick.domains, compared.T.tolist(), strict=True)
        scores = Scores(
            objective=dict(zip(seeds, objective.tolist(), strict=True)),
            domains={domain: dict(zip(seeds, values, strict=True)) for domain, values in by_domain},
        )
        return cls(entry, scores, spec)


def _domain_scores(
    runs: Sequence[Run], domains: Sequence[str], losses: Floats, bits: Floats | None
) -> dict[str, DomainScore]:
    """Each domain's score from (S, V) losses and bits."""
    return {
        domain: DomainScore(
            trained=domain in runs[0][0].data.domains,
            loss=_measured(losses[:, column]),
            ppl=_measured(np.exp(losses[:, column])),
            bits_per_byte=None if bits is None else _measured(bits[:, column]),
            epochs=float(np.mean([result.domains[domain].epochs for _, result in runs])),
        )
        for column, domain in enumerate(domains)
    }


def _weights(runs: Sequence[Run]) -> dict[str, float]:
    """The mixture of a group: as asked for where it is fixed, else each domain's share of the tokens drawn."""
    spec = runs[0][0]
    if spec.policy.name == "static":
        return spec.mixture.to_dict()
    seen = {domain: sum(result.domains[domain].tokens_seen for _, result in runs) for domain in spec.data.domains}
    return Mixture.normalised(seen).to_dict()


def _measured(values: Floats) -> Measured:
    return Measured.of(values.tolist())


def _bits(runs: Sequence[Run], domains: Sequence[str]) -> Floats | None:
    rows = [[result.domains[domain].bits_per_byte for domain in domains] for _, result in runs]
    return None if any(value is None for row in rows for value in row) else np.array(rows, dtype=np.float64)


def _value_curve(runs: Sequence[Run], yardstick: Yardstick, scale: Floats) -> ValueCurve | None:
    """The objective at each point, of runs evaluated at the same tokens; `scale` (S, V) is that of nats/token."""
    curves = [validation_points(result.curve, yardstick.domains) for _, result in runs]
    grid = curves[0][0]
    if not grid or any(tokens != grid or np.isnan(losses).any() for tokens, losses in curves):
        return None
    losses = np.stack([values for _, values in curves]) * scale[:, None, :]
    values = yardstick.along(losses)
    if values is None:
        return None
    evaluation = runs[0][0].evaluation
    return ValueCurve(
        tokens=grid,
        values=tuple(tuple(row) for row in values.tolist()),
        comparable=evaluation.point_tokens_per_domain == evaluation.tokens_per_domain,
    )
