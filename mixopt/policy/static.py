"""The same mixture at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixopt.policy.base import Policy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixopt.mixture import Mixture


class Static(Policy):
    """A `MixturePolicy` that keeps its prior and learns nothing."""

    summary = "the prior at every step"

    def __init__(self, prior: Mixture) -> None:
        self._weights = prior.array

    def weights(self, step: int) -> NDArray[np.float64]:  # noqa: ARG002
        """The prior."""
        return self._weights

    def observe(self, step: int, loss_k: NDArray[np.float64], tokens_k: NDArray[np.int64]) -> None:
        """Nothing is learnt."""

    def state_dict(self) -> dict[str, Any]:
        """No state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """No state."""
