"""A user's own function as a mixture policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mixopt.arrays import Floats, Ints, pack, unpack
from mixopt.errors import ConfigError
from mixopt.mixture import SUM_TOLERANCE, Mixture
from mixopt.plugins import is_path, load
from mixopt.policy.base import Policy

Function = Callable[[int, Floats], Floats]


class Custom(Policy):
    """A `MixturePolicy` from a pure function of the step and the last losses.

    Args:
        prior: the mixture until a loss has been seen.
        function: called with the step and the last training loss of each domain ((K,), nats/token, NaN for one
            that has not been drawn yet); returns the mixture of that step, (K,), on the simplex. As text (for study
            files and specs): `module:name`. A policy with a memory is a class with `MixturePolicy`'s methods.

    Raises:
        ConfigError: there is no such function.
    """

    summary = "a function of yours, `function=module:name`"

    def __init__(self, prior: Mixture, function: Function | str) -> None:
        self._function = _find(function) if isinstance(function, str) else function
        self._prior, self._losses = prior.array, np.full(len(prior.domains), np.nan)

    def weights(self, step: int) -> Floats:
        """What the function says, shape (K,).

        Raises:
            ConfigError: it is no mixture.
        """
        if np.isnan(self._losses).all():
            return self._prior
        weights = np.asarray(self._function(step, self._losses.copy()), dtype=np.float64)
        if weights.shape != self._prior.shape or not (weights >= 0).all() or abs(weights.sum() - 1) > SUM_TOLERANCE:
            raise ConfigError(
                f"custom policy: expected {self._prior.size} weights of at least 0 with sum 1 at step {step}, "
                f"found {weights.tolist()!s:.80}"
            )
        return weights

    def observe(self, step: int, loss_k: Floats, tokens_k: Ints) -> None:
        """Remember the losses of the domains that were drawn."""
        self._losses = np.where((tokens_k > 0) & np.isfinite(loss_k), loss_k, self._losses)

    def state_dict(self) -> dict[str, Any]:
        """The last losses, as JSON values."""
        return {"losses": pack(self._losses)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly.

        Raises:
            ConfigError: the state is of another number of domains.
        """
        losses = unpack(state["losses"])
        if losses.shape != self._prior.shape:
            raise ConfigError(
                f"custom policy: the saved state is of {losses.size} domains; this policy has {self._prior.size}"
            )
        self._losses = losses


def _find(path: str) -> Any:
    if not is_path(path):
        raise ConfigError(f"custom policy: function: expected module:name, found {path!r:.80}")
    found = load(path, "custom policy: function")
    if not callable(found):
        raise ConfigError(f"custom policy: function: {path!r} is no function")
    return found
