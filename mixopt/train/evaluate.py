"""Validation losses by domain: means over the first sequences of each domain's validation documents."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from mixopt.train.batches import token_losses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from mixopt.arrays import Floats, Ints
    from mixopt.data.manifest import Split
    from mixopt.data.tokens import TokenData
    from mixopt.train.batches import Batches
    from mixopt.train.device import Device
    from mixopt.train.parallel import Group

# Tokens of one forward pass without gradients: enough to fill a GPU; on a CPU, what stays in its
# cache is fastest (0.95 s for 115k tokens of the smallest preset, against 2.2 s in passes of 16k).
_FORWARD_TOKENS = {"cpu": 2048, "cuda": 16384}


def validation_windows(
    data: TokenData, domains: Sequence[str], tokens_per_domain: int, sequence_length: int
) -> tuple[Ints, Ints]:
    """Index in `domains` and window index of every validation sequence that is measured, both shape (S,).

    Raises:
        DataError: a domain is not in the data, or has less than one validation sequence.
    """
    available = data.validation_sequences(sequence_length, domains)
    counts = [min(count, max(1, tokens_per_domain // sequence_length)) for count in available]
    positions = np.repeat(np.arange(len(counts)), counts)
    windows = np.concatenate([np.arange(count) for count in counts])
    return positions, windows


def validation_losses(
    model: nn.Module, batches: Batches, positions: Ints, windows: Ints, domains: int, device: Device, group: Group
) -> Floats:
    """Mean loss of each of V domains, shape (V,), in nats/token (nats/masked token of a masked model).

    Every process of `group` measures its share of the sequences and gets the losses of all.

    Args:
        model: the model.
        batches: of its run.
        positions: (S,) measured domain of each sequence.
        windows: (S,) its window.
        domains: V.
        device: where the model is.
        group: the processes of the run.

    Returns:
        Losses; NaN or infinite where the model's outputs are.
    """
    rows = max(1, _FORWARD_TOKENS[device.name] // batches.length)
    sums = torch.zeros(domains, dtype=torch.float64, device=device.name)
    counts = np.zeros(domains, dtype=np.int64)
    model.eval()
    with torch.no_grad():
        share, weights = group.share(len(positions))
        for start in range(0, len(share), rows):
            part, weight = share[start : start + rows], weights[start : start + rows]
            batch = batches("validation", positions[part], windows[part])
            losses = token_losses(model, batch, device).sum(dim=1, dtype=torch.float64)
            losses *= device.put(weight)
            sums.index_add_(0, device.put(positions[part]), losses)
            np.add.at(counts, positions[part], batch.counts * weight)
    group.sum(sums)
    model.train()
    with np.errstate(invalid="ignore"):
        return sums.cpu().numpy() / group.tally(counts)


def bits_per_byte(loss: float, split: Split) -> float:
    """Bits per byte of the validation text from nats/token, by its own tokens per byte."""
    return loss / math.log(2) * split.tokens / split.bytes
