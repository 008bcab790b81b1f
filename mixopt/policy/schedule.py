"""Mixtures that follow one another at given amounts of training tokens."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Floats, Ints
from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.policy.base import Policy

if TYPE_CHECKING:
    from mixopt.policy.base import Course, Option


class _Unlearning(Policy):
    """Nothing that happens in training changes the mixture."""

    def observe(self, step: int, loss_k: Floats, tokens_k: Ints) -> None:
        """Nothing is learnt."""

    def state_dict(self) -> dict[str, Any]:
        """No state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """No state."""


class Schedule(_Unlearning):
    """A `MixturePolicy` that is piecewise constant in training tokens and learns nothing.

    Args:
        prior: the mixture until the first piece.
        pieces: pairs of the training tokens from which a mixture holds, and the mixture; in increasing order. As
            text (for study files and specs): JSON, `[[tokens, {domain: weight}], …]`.
        tokens_per_step: training tokens of a step; 1 for pieces that count steps.

    Raises:
        ConfigError: the pieces are not that, not in order, or of domains that the prior does not have.
    """

    summary = "mixtures that follow one another at given tokens, `pieces=[[TOKENS, {DOMAIN: WEIGHT}], …]`"

    def __init__(
        self, prior: Mixture, pieces: str | Sequence[tuple[int, Mixture]] = (), tokens_per_step: int = 1
    ) -> None:
        if tokens_per_step < 1:
            raise ConfigError(f"schedule: tokens_per_step: expected at least 1, found {tokens_per_step}")
        pairs = _parse(pieces) if isinstance(pieces, str) else pieces
        starts = [0, *(start for start, _ in pairs)]
        if any(later < earlier for earlier, later in itertools.pairwise(starts)):
            raise ConfigError(f"schedule: pieces: expected tokens from 0 on in increasing order, found {starts[1:]}")
        self._per_step, self._starts = tokens_per_step, np.array(starts)
        self._mixtures = np.stack([prior.array, *(mixture.ordered(prior.domains).array for _, mixture in pairs)])
        self._mixtures.flags.writeable = False

    @classmethod
    def from_run(cls, course: Course, given: Mapping[str, Option]) -> dict[str, Option | None]:  # noqa: ARG003
        """Tokens of a step."""
        return {"tokens_per_step": course.batch_tokens}

    def weights(self, step: int) -> Floats:
        """The mixture that holds when `step` begins, shape (K,)."""
        return self._mixtures[np.searchsorted(self._starts, step * self._per_step, side="right") - 1]


def _parse(text: str) -> list[tuple[int, Mixture]]:
    """Pieces from JSON."""
    try:
        return [(int(start), Mixture.from_dict(weights)) for start, weights in json.loads(text)]
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f'schedule: pieces: expected JSON like [[1000000, {{"web": 0.5, "code": 0.5}}]], found {text!r:.60} '
            f"({error})"
        ) from error


class Static(_Unlearning):
    """A `MixturePolicy` that keeps its prior and learns nothing."""

    summary = "the prior at every step"

    def __init__(self, prior: Mixture) -> None:
        self._weights = prior.array

    def weights(self, step: int) -> Floats:
        """The prior."""
        return self._weights
