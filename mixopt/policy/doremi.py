"""DoReMi's Group DRO: domains on which a proxy is furthest behind a reference model weigh more in its loss.

Source: Xie et al. 2023 (DoReMi), Algorithm 1, as its published code has it; `docs/doremi.md` tells where the two
differ. Symbols: K domains, s the sampling weights, α the domain weights, λ the scores (clipped excess losses).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Floats, Ints, pack, unpack
from mixopt.errors import ConfigError
from mixopt.policy.base import Part, Policy, by_domain, require_same

if TYPE_CHECKING:
    from mixopt.mixture import Mixture


class GroupDro(Policy):
    """A `LossWeighting` policy: the data come by fixed weights, and α weighs their losses.

    Args:
        prior: the sampling weights s, every one above 0; they stay as they are.
        eta: η, the rate of the exponentiated gradient.
        smoothing: c, the share of the uniform distribution in every α.

    Attributes:
        alpha: (K,) α of the last step; uniform before the first.
        average: (K,) the mean of α over all steps, which is DoReMi's answer; uniform before the first.
        scores: (K,) λ, nats/token; 0 for a domain that has not been drawn yet.
        steps: steps so far.

    Raises:
        ConfigError: a domain is never sampled, or a setting is out of its range.
    """

    summary = "DoReMi's proxy, which `mixopt doremi` trains against a reference"
    parts = (
        Part("alpha", "domain weight in the loss"),
        Part("average", "average domain weight"),
        Part("excess", "excess loss, nats/token"),
    )

    def __init__(self, prior: Mixture, *, eta: float = 1.0, smoothing: float = 1e-3) -> None:
        check_settings(eta, smoothing)
        missing = [name for name, weight in prior.to_dict().items() if not weight]
        if missing:
            raise ConfigError(
                f"group_dro: sampling: expected a weight above 0 for every domain, found 0 for {missing[0]!r}; a "
                "domain that is never drawn has no excess loss"
            )
        self._domains, self._eta, self._smoothing = prior.domains, eta, smoothing
        self._sampling = prior.array
        domains = len(prior.domains)
        self.alpha = np.full(domains, 1 / domains)
        self.average = self.alpha.copy()
        self.scores = np.zeros(domains)
        self.steps = 0

    def weights(self, step: int) -> Floats:
        """s, shape (K,): the mixture that is drawn never changes."""
        return self._sampling

    def loss_weights(self, step: int, excess_k: Floats, tokens_k: Ints) -> Floats:
        """Update α with this step's excess losses, and give the weights of its own losses; see `LossWeighting`.

        λ_k is replaced where domain k was drawn, else kept; α' = softmax(log α + ηλ); α = (1 − c)α' + c/K;
        q_k = (α_k/s_k) / Σ_j (α_j/s_j), so that sampling by s and weighing by q is on average weighing by α.
        """
        drawn = (tokens_k > 0) & np.isfinite(excess_k)
        self.scores = np.where(drawn, excess_k, self.scores)
        with np.errstate(divide="ignore"):  # without smoothing a weight may vanish, and then stays at 0
            logits = np.log(self.alpha) + self._eta * self.scores
        raised = np.exp(logits - logits.max())
        self.alpha = (1 - self._smoothing) * raised / raised.sum() + self._smoothing / raised.size
        self.average = (self.average * self.steps + self.alpha) / (self.steps + 1)
        self.steps += 1
        ratio = self.alpha / self._sampling
        return ratio / ratio.sum()

    def observe(self, step: int, loss_k: Floats, tokens_k: Ints) -> None:
        """Nothing: `loss_weights` has learnt from the step already."""

    def describe(self) -> dict[str, dict[str, float | None]]:
        """What the policy is made of, by domain: `alpha`, `average` (of α) and `excess` (λ, nats/token)."""
        return by_domain(self._domains, {"alpha": self.alpha, "average": self.average, "excess": self.scores})

    def state_dict(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "domains": list(self._domains),
            "sampling": pack(self._sampling),
            "settings": {"eta": self._eta, "smoothing": self._smoothing},
            "steps": self.steps,
            "moving": pack(np.stack([self.alpha, self.average, self.scores])),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly.

        Raises:
            ConfigError: the state is of other domains, another sampling or other settings.
        """
        ours = self.state_dict()
        require_same("group_dro", state, {name: ours[name] for name in ("domains", "settings")})
        if state["sampling"] != ours["sampling"]:
            raise ConfigError("group_dro: the saved state has another sampling: continue with the same")
        self.steps = state["steps"]
        self.alpha, self.average, self.scores = unpack(state["moving"])


def check_settings(eta: float, smoothing: float) -> None:
    """Refuse settings out of their range.

    Raises:
        ConfigError: η is not above 0, or c not from 0 to below 1.
    """
    if not (np.isfinite(eta) and eta > 0):
        raise ConfigError(f"group_dro: eta: expected a rate above 0 (1 as published, 0.1 to go gently), found {eta}")
    if not 0 <= smoothing < 1:
        raise ConfigError(f"group_dro: smoothing: expected from 0 to below 1 (1e-3 as published), found {smoothing}")
