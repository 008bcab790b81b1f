"""Training losses by domain, from the logits of the forward pass that trains."""

from __future__ import annotations

import torch
from torch import Tensor

from mixopt.errors import DataError

IGNORED = -100


def sequence_losses(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each sequence of a batch; differentiable.

    Args:
        logits: (B, T, V).
        labels: (B, T) targets, already shifted; -100 where there is none.

    Returns:
        (B,) summed losses in nats, float32, and (B,) numbers of targets.

    Raises:
        DataError: the shapes do not go together.
    """
    if logits.ndim != 3 or logits.shape[:2] != labels.shape:
        raise DataError(
            f"online: expected logits (B, T, V) and labels (B, T), found {tuple(logits.shape)} and "
            f"{tuple(labels.shape)}"
        )
    # Row by row: the whole batch's logits in float32 would double the memory of a large vocabulary.
    sums = [
        torch.nn.functional.cross_entropy(row.float(), target, ignore_index=IGNORED, reduction="sum")
        for row, target in zip(logits, labels, strict=True)
    ]
    return torch.stack(sums), (labels != IGNORED).sum(dim=1)


class DomainSums:
    """Sums by domain over the batches of a step, kept where the losses are, so that the host waits for nothing.

    Args:
        domains: K.
    """

    def __init__(self, domains: int) -> None:
        self._domains = domains
        self._sums: Tensor | None = None
        self.sequences = 0

    def add(self, loss_sums: Tensor, tokens: Tensor, domain_ids: Tensor) -> None:
        """Add a batch: (B,) each.

        Raises:
            DataError: the shapes differ, or the domain ids are no integers.
        """
        shapes = [tuple(given.shape) for given in (loss_sums, tokens, domain_ids)]
        if len(set(shapes)) != 1 or len(shapes[0]) != 1 or domain_ids.is_floating_point():
            raise DataError(
                "online: expected loss_sums, tokens and integer domain_ids of one shape (B,), found "
                f"{', '.join(str(list(shape)) for shape in shapes)} ({domain_ids.dtype})"
            )
        device = loss_sums.device
        precise = torch.float32 if device.type == "mps" else torch.float64  # which has no float64
        sums = loss_sums.detach().to(precise)
        values = torch.stack([sums, tokens.to(device, precise), torch.ones_like(sums)])
        here = domain_ids.to(device) == torch.arange(self._domains, device=device)[:, None]
        # Chosen, not multiplied by 0: one domain's NaN must not reach the others. An unknown id goes nowhere.
        batch = torch.where(here, values[:, None], 0.0).sum(dim=2)
        self._sums = batch if self._sums is None else self._sums + batch
        self.sequences += len(domain_ids)

    def take(self) -> Tensor:
        """(3, K) summed losses, tokens and sequences by domain since the last call."""
        sums = torch.zeros(3, self._domains, dtype=torch.float64) if self._sums is None else self._sums
        self._sums, self.sequences = None, 0
        return sums
