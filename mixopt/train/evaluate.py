"""Validation losses by domain: mean nats/token over the first sequences of each domain's validation documents."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from mixopt.train.device import token_losses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from mixopt.data.manifest import Split
    from mixopt.data.tokens import TokenData
    from mixopt.train.device import Device
    from mixopt.train.parallel import Group

# Tokens of one forward pass without gradients: enough to fill a GPU; on a CPU, what stays in its
# cache is fastest (0.95 s for 115k tokens of the smallest preset, against 2.2 s in passes of 16k).
_FORWARD_TOKENS = {"cpu": 2048, "cuda": 16384}


def validation_windows(
    data: TokenData, domains: Sequence[str], tokens_per_domain: int, sequence_length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
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
    model: nn.Module,
    data: TokenData,
    domains: Sequence[str],
    device: Device,
    tokens_per_domain: int,
    sequence_length: int,
    group: Group,
) -> NDArray[np.float64]:
    """Mean loss of each of V domains in nats/token, shape (V,); NaN or infinite where the model's outputs are.

    Every process of `group` measures its share of the sequences and gets the losses of all.
    """
    positions, windows = validation_windows(data, domains, tokens_per_domain, sequence_length)
    in_data = data.indices(domains)[positions]
    rows = max(1, _FORWARD_TOKENS[device.name] // sequence_length)
    sums = torch.zeros(len(domains), dtype=torch.float64, device=device.name)
    model.eval()
    with torch.no_grad():
        share, weights = group.share(len(positions))
        for start in range(0, len(share), rows):
            part = share[start : start + rows]
            tokens = device.put(data.batch("validation", in_data[part], windows[part], sequence_length))
            losses = token_losses(model, tokens, device).sum(dim=1, dtype=torch.float64)
            losses *= device.put(weights[start : start + rows])
            sums.index_add_(0, device.put(positions[part]), losses)
    group.sum(sums)
    model.train()
    counts = np.bincount(positions, minlength=len(sums)) * sequence_length
    return sums.cpu().numpy() / counts


def bits_per_byte(loss: float, split: Split) -> float:
    """Bits per byte of the validation text from nats/token, by its own tokens per byte."""
    return loss / math.log(2) * split.tokens / split.bytes
