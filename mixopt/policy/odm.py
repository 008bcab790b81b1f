"""Online data mixing (Albalak et al. 2023, arXiv 2312.02406): a bandit that draws more of the domains of high loss.

The paper and its code differ in more than detail; `Odm` has both, by name. K domains, l_k the mean loss of one in
the batch, ε_t = min(1/K, √(ln K / (K·t))) the exploration rate. An update sets rewards R and the next mixture π:

    paper   R_k ← a·R_k + (1 − a)·L_k/π_k,   π_k = (1 − K·ε_t)·exp(ε_{t−1}·R_k) / Σ_j exp(ε_{t−1}·R_j) + ε_t
    code    R_k ← a·R_k + (1 − a)·exp(l_k),  π_k = (1 − K·ε_{t−1})·R_k / Σ_j R_j + ε_{t−1}

with t, from 1, the step that draws by π. In the paper's Algorithm 1, L_k sums the losses of the micro-batches drawn
from k. Here it is l_k times k's share of the batch: that sum over the number of micro-batches, so that L_k/π_k is
an unbiased estimate of l_k whatever the batch is cut into. The code is that of micro-batches that mix domains; its
rewards are perplexities, its weights linear in them. A domain that a batch lacks keeps its reward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mixopt.arrays import Floats, Ints, pack, unpack
from mixopt.errors import ConfigError
from mixopt.policy.base import Part, Policy, by_domain, require_same

if TYPE_CHECKING:
    from mixopt.mixture import Mixture
    from mixopt.policy.base import Course, Option

# Warm-up of the published script, as a share of its 100,000 steps.
_WARMUP_SHARE = 0.02
# exp(l) of a loss that no trained model has: beyond it a reward would be infinite.
_HIGHEST_LOSS = 100.0


class Odm(Policy):
    """A `MixturePolicy` by online data mixing. A domain of prior 0 is drawn like the others, as published.

    Args:
        prior: the mixture of the warm-up.
        variant: `paper` or `code`.
        smoothing: a, the weight of the old reward: 0.9 is the code's default, 0.5 the published script's.
        warmup: steps on the prior; None for 2 % of `total_steps`, as in the published script, or its 2,000 steps.
        interval: steps from one update to the next.
        total_steps: length of the run in steps.

    Raises:
        ConfigError: a setting out of its range.
    """

    summary = "a bandit that draws more of the domains of high loss (Albalak et al. 2023)"
    variants: ClassVar = {"variant": ("paper", "code")}
    parts = (Part("reward", "reward", "rewards", "Rewards"),)

    def __init__(
        self,
        prior: Mixture,
        variant: str = "paper",
        *,
        smoothing: float = 0.9,
        warmup: int | None = None,
        interval: int = 1,
        total_steps: int | None = None,
    ) -> None:
        if variant not in self.variants["variant"]:
            raise ConfigError(f"odm: variant: expected paper or code, found {variant!r}")
        if not 0 <= smoothing < 1:
            raise ConfigError(f"odm: smoothing: expected from 0 to below 1, found {smoothing}")
        if interval < 1:
            raise ConfigError(f"odm: interval: expected at least 1 step, found {interval}")
        if warmup is None:
            warmup = 2000 if total_steps is None else int(_WARMUP_SHARE * total_steps)
        if warmup < 0:
            raise ConfigError(f"odm: warmup: expected at least 0 steps, found {warmup}")
        self._domains, self._variant = prior.domains, variant
        self._smoothing, self._warmup, self._interval = smoothing, warmup, interval
        self._weights = prior.array
        self._rewards = np.zeros(len(prior.domains))

    @classmethod
    def from_run(cls, course: Course, given: Mapping[str, Option]) -> dict[str, Option | None]:  # noqa: ARG003
        """The run's length."""
        return {"total_steps": course.steps}

    def weights(self, step: int) -> Floats:
        """π, shape (K,), as the last `observe` left it."""
        return self._weights

    def observe(self, step: int, loss_k: Floats, tokens_k: Ints) -> None:
        """Take in a step's losses as rewards. A loss that is no number counts as a domain that was not drawn."""
        if step < self._warmup or (step + 1) % self._interval:
            return
        seen = (tokens_k > 0) & np.isfinite(loss_k) & (self._weights > 0)
        if self._variant == "paper":
            share = tokens_k[seen] / max(int(tokens_k.sum()), 1)
            reward = loss_k[seen] * share / self._weights[seen]
        else:
            reward = np.exp(np.minimum(loss_k[seen], _HIGHEST_LOSS))
        self._rewards[seen] = self._smoothing * self._rewards[seen] + (1 - self._smoothing) * reward
        if self._variant == "paper":
            exploration = self._exploration(step + 2)
            drive = np.exp(self._exploration(step + 1) * (self._rewards - self._rewards.max()))
        else:
            exploration, drive = self._exploration(step + 1), self._rewards
        domains, total = self._rewards.size, drive.sum()
        drive = drive / total if total > 0 else np.full(domains, 1 / domains)
        weights = (1 - domains * exploration) * drive + exploration
        self._weights = weights / weights.sum()

    def _exploration(self, t: int) -> float:
        """ε_t; t counts steps from 1."""
        domains = self._rewards.size
        return min(1 / domains, math.sqrt(math.log(domains) / (domains * t)))

    def describe(self) -> dict[str, dict[str, float | None]]:
        """What the policy is made of, by domain: `reward` R and `policy` π."""
        return by_domain(self._domains, {"reward": self._rewards, "policy": self._weights})

    def state_dict(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "domains": list(self._domains),
            "variant": self._variant,
            "weights": pack(self._weights),
            "rewards": pack(self._rewards),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly.

        Raises:
            ConfigError: the state is of other domains or of the other variant.
        """
        require_same("odm", state, {"domains": list(self._domains), "variant": self._variant})
        self._weights, self._rewards = unpack(state["weights"]), unpack(state["rewards"])
