"""The same mixture at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixopt.policy.base import Policy

if TYPE_CHECKING:
    from mixopt.arrays import Floats, Ints
    from mixopt.mixture import Mixture


class Static(Policy):
    """A `MixturePolicy` that keeps its prior and learns nothing."""

    summary = "the prior at every step"

    def __init__(self, prior: Mixture) -> None:
        self._weights = prior.array

    def weights(self, step: int) -> Floats:  # noqa: ARG002
        """The prior."""
        return self._weights

    def observe(self, step: int, loss_k: Floats, tokens_k: Ints) -> None:
        """Nothing is learnt."""

    def state_dict(self) -> dict[str, Any]:
        """No state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """No state."""
