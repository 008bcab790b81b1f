"""Runs of two processes: for tests of training in parallel."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.policy import Policy
from mixopt.train.loop import train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixopt.mixture import Mixture
    from mixopt.result import RunResult
    from mixopt.spec import RunSpec
    from mixopt.train.device import Runtime
    from tests.pair import Pair


DRIFTING = f"{__name__}:Drifting"


class Interrupted(Exception):
    pass


class Drifting(Policy):
    """A policy with state: its weights follow every loss that it was told of, and it notes what it was told."""

    made: Drifting

    def __init__(self, prior: Mixture) -> None:
        self.logits = np.log(prior.array)
        self.told: list[list[float]] = []
        Drifting.made = self

    def weights(self, step: int) -> Any:
        share = np.exp(self.logits - self.logits.max())
        return share / share.sum()

    def observe(self, step: int, loss_k: Any, tokens_k: Any) -> None:
        self.logits = self.logits + 0.02 * np.nan_to_num(loss_k)
        self.told.append([step, *loss_k.tolist(), *tokens_k.tolist()])

    def state_dict(self) -> dict[str, Any]:
        return {"logits": self.logits}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.logits = state["logits"]


@dataclass(frozen=True)
class Case:
    """A run, and the number of tokens at which it is interrupted."""

    spec: RunSpec
    runtime: Runtime
    stop: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a process has of a run: its result (None if interrupted), what its policy was told, its progress."""

    result: RunResult | None
    told: list[list[float]]
    progress: list[int]


def run_case(case: Case) -> Outcome:
    """Train one case in this process, which may be one of several."""
    progress: list[int] = []

    def note(tokens: int) -> None:
        progress.append(tokens)
        if tokens == case.stop:
            raise Interrupted

    result = None
    with contextlib.suppress(Interrupted):
        result = train(case.spec, case.runtime, note)
    told = Drifting.made.told if case.spec.policy.name == DRIFTING else []
    return Outcome(result, told, progress)


def run_together(pair: Pair, cases: Sequence[Case]) -> list[list[Outcome]]:
    """Train `cases` one after the other, each on both processes; outcomes by case and by process."""
    return [list(outcomes) for outcomes in zip(*pair(_run_cases, list(cases)), strict=True)]


def _run_cases(cases: list[Case]) -> list[Outcome]:
    return [run_case(case) for case in cases]
