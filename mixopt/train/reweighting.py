"""Losses of a batch weighed by how far the model is behind a frozen reference model: DoReMi's proxy.

Symbols: K training domains, B sequences in a step, b of them in a pass of this process, T targets of each at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from mixopt.arrays import Floats, Ints

if TYPE_CHECKING:
    from torch import Tensor

    from mixopt.policy import LossWeighting
    from mixopt.train.batches import Batch
    from mixopt.train.device import Device
    from mixopt.train.parallel import Group

# As the published code has it: no batch's weights sum to less.
_LEAST = 1e-10


class Reweighting:
    """Asks a policy for the weights of a batch's losses, from the batch's own excess losses.

    Of each step, every process calls `add` for each of its passes and then `factors` once. The weights are known
    on the host before the backward pass, so each step waits for the device once.

    Args:
        policy: the same on every process.
        reference: a batch to the reference's (b, T) losses, nats; without gradient.
        group: the processes that share a batch.
        device: this process' device.
        domains: K.
    """

    def __init__(
        self, policy: LossWeighting, reference: Callable[[Batch], Tensor], group: Group, device: Device, domains: int
    ) -> None:
        self._policy, self._reference, self._group = policy, reference, group
        self._sums = torch.zeros(domains, dtype=torch.float64, device=device.name)

    def add(self, batch: Batch, losses: Tensor, domains: Tensor, counted: Tensor) -> None:
        """Take in a pass of this process.

        Args:
            losses: (b, T) the model's losses, nats.
            domains: (b,) training domains.
            counted: (b,) 1, or 0 for a sequence that another process has as well.
        """
        # Clipped token by token, before the mean: tokens that are learnt already do not make up for others.
        excess = (losses.detach() - self._reference(batch)).clamp(min=0).sum(dim=1, dtype=torch.float64)
        self._sums.index_add_(0, domains, excess * counted)

    def factors(self, step: int, domains: Ints, targets: Ints) -> Floats:
        """(B,) factors of the sequences' losses in the whole batch's mean, from all passes of all processes.

        Σ factor·loss / Σ targets is then the mean of the targets' losses weighed by the policy.

        Args:
            domains: (B,) training domains of the whole batch.
            targets: (K,) tokens that the whole batch's losses are of.
        """
        sums = self._group.sum(self._sums).cpu().numpy()
        with np.errstate(invalid="ignore"):
            weights = self._policy.loss_weights(step, sums / targets, targets)
        self._sums.zero_()
        return weights[domains] * (targets.sum() / max(weights @ targets, _LEAST))
