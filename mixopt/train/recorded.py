"""A policy whose course is written down as it goes, for a run's `PolicyTrace`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Floats, Ints, pack, unpack
from mixopt.policy.base import LawFitting, LossWeighting, SelfDescribing
from mixopt.trace import LossPoints, Moment, PolicyTrace

if TYPE_CHECKING:
    from mixopt.policy import MixturePolicy
    from mixopt.spec import RunSpec


def recorded(policy: MixturePolicy, spec: RunSpec, evaluated: Collection[int]) -> MixturePolicy:
    """`policy` with its course written down; a fixed mixture has none, and stays as it is.

    Args:
        evaluated: steps after which the run is evaluated: where a policy without laws is asked to describe itself.
            One that weighs losses has nothing else to show, and does so at `_MOMENTS` steps.
    """
    return policy if spec.policy.name == "static" else _Recorded(policy, spec, frozenset(evaluated))


def trace_of(policy: MixturePolicy, steps: int) -> PolicyTrace | None:
    """The course of what `recorded` gave, over the first `steps` steps; None for a fixed mixture."""
    return policy.trace(steps) if isinstance(policy, _Recorded) else None


# Fine enough for a picture, at a tenth of a megabyte for twenty domains.
_MOMENTS = 100


class _Recorded:
    """A `MixturePolicy` that passes everything on, and keeps a row of weights a step and the policy's accounts."""

    def __init__(self, policy: MixturePolicy, spec: RunSpec, evaluated: frozenset[int]) -> None:
        self._policy, self._spec, self._evaluated = policy, spec, evaluated
        # Asked once: such a check takes longer than a policy's step.
        self._laws = policy if isinstance(policy, LawFitting) else None
        self._describing = policy if isinstance(policy, SelfDescribing) else None
        self._weighing = isinstance(policy, LossWeighting)
        if self._weighing:
            count = min(_MOMENTS, spec.steps)
            self._evaluated = frozenset(round(spec.steps * (i + 1) / count) for i in range(count))
        self._rows = np.empty((spec.steps, len(spec.data.domains)), dtype=np.float32)
        self._known = self._observed = 0
        self._moments: list[Moment] = []

    def weights(self, step: int) -> Floats:
        weights = self._policy.weights(step)
        if step < len(self._rows):  # the last evaluation asks for the step after the last one
            self._rows[step] = weights
            self._known = step + 1
        if self._weighing:
            # Such a policy takes in a step while that is trained: it stands after the last one now, not when told
            # that step's losses, which are a step late.
            self._describe(step - 1)
        return weights

    def observe(self, step: int, loss_k: Floats, tokens_k: Ints) -> None:
        laws, fits = self._laws, len(self._laws.refits) if self._laws else 0
        self._policy.observe(step, loss_k, tokens_k)
        self._observed = step + 1
        if laws:
            if len(laws.refits) > fits:
                self._moments.append(self._law_moment(step, laws))
        elif not self._weighing:
            self._describe(step)

    def _describe(self, step: int) -> None:
        """Keep what the policy says of itself after `step`, if that is due."""
        known = self._moments and self._moments[-1].step >= step  # an evaluation asks for weights besides training
        if self._describing and step + 1 in self._evaluated and not known:
            parts = self._describing.describe()
            self._moments.append(Moment(step=step, tokens=self._tokens(step), parts=parts))

    def _law_moment(self, step: int, policy: LawFitting) -> Moment:
        domains = self._spec.data.domains
        forecasts = policy.forecast(policy.samples * self._spec.steps / (step + 1))
        return Moment(
            step=step,
            tokens=self._tokens(step),
            laws={name: _by_domain(domains, values) for name, values in policy.laws.to_dict().items()},
            outcome=dict(zip(domains, policy.refits[-1].outcome, strict=True)),
            forecasts=_by_domain(domains, (float(x) if np.isfinite(x) else None for x in forecasts)),
            parts=policy.describe(),
        )

    def _tokens(self, step: int) -> int:
        return (step + 1) * self._spec.optim.batch_tokens

    def trace(self, steps: int) -> PolicyTrace:
        laws, spec = self._laws, self._spec
        return PolicyTrace(
            policy=spec.policy.name,
            settings=laws.settings.to_dict() if laws else dict(spec.policy.options),
            domains=spec.data.domains,
            steps=np.arange(steps, dtype=np.int64),
            weights=self._rows[:steps].copy(),
            moments=tuple(self._moments),
            failures=laws.failures if laws else {},
            points=_loss_points(laws, self._observed * spec.optim.batch_tokens) if laws else None,
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "policy": self._policy.state_dict(),
            "observed": self._observed,
            "weights": pack(self._rows[: self._known]),
            "moments": [asdict(moment) for moment in self._moments],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._policy.load_state_dict(state["policy"])
        rows = unpack(state["weights"])
        self._known, self._observed = len(rows), state["observed"]
        self._rows[: self._known] = rows
        self._moments = [Moment(**moment) for moment in state["moments"]]


def _loss_points(policy: LawFitting, tokens: int) -> LossPoints:
    samples, losses, weights = policy.points()
    per_sample = tokens / policy.samples if policy.samples else 1.0
    return LossPoints(tokens=samples * per_sample, losses=losses.T.copy(), weights=weights.T.copy())


def _by_domain(domains: tuple[str, ...], values: Iterable[float | None]) -> dict[str, float | None]:
    return dict(zip(domains, values, strict=True))
