"""Per-domain losses on their way from the device, read one step late so that the host never stalls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from mixopt.arrays import Floats, Ints


class LateLosses:
    """One step's summed losses by domain: the copy starts now, and `sums` waits for it.

    Args:
        step: which step.
        sums: (K,) summed losses, nats, on the device.
        tokens: (K,) training tokens by domain.
        targets: (K,) those that the losses are of: all of a causal model's, the masked ones of a masked one's.
    """

    def __init__(self, step: int, sums: Tensor, tokens: Ints, targets: Ints) -> None:
        self.step, self.tokens, self.targets = step, tokens, targets
        self._copied: torch.cuda.Event | None = None
        self._host = sums
        if sums.is_cuda:
            self._host = torch.empty(sums.shape, dtype=sums.dtype, pin_memory=True)
            self._host.copy_(sums, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()

    def sums(self) -> Floats:
        """(K,) summed losses, nats."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._host.numpy().astype(np.float64)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint between the step and its reading."""
        return {"step": self.step, "sums": self.sums(), "tokens": self.tokens, "targets": self.targets}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> LateLosses:
        """The inverse of `state_dict`."""
        return cls(state["step"], torch.from_numpy(state["sums"]), state["tokens"], state["targets"])
