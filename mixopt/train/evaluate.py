"""Validation losses by domain: means over the first sequences of each domain's validation documents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mixopt.arrays import Floats, Ints
from mixopt.result import CURVE_COLUMNS
from mixopt.train.batches import Batches, token_losses

if TYPE_CHECKING:
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
        positions: (S,) measured domain of each sequence.
        windows: (S,) its window.

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


class Curve:
    """Grows by a stretch at every evaluation; training losses are means over the stretch's predicted tokens.

    Args:
        domains: K training domains.
        only: domains that are measured and not trained on.

    Attributes:
        rows: columns `CURVE_COLUMNS`.
        mixture: columns `step`, `domain`, `weight`.
    """

    def __init__(self, domains: Iterable[str], only: Iterable[str] = ()) -> None:
        self.domains = tuple(domains)
        self.measured = (*self.domains, *only)
        self.rows: dict[str, list[Any]] = {name: [] for name in CURVE_COLUMNS}
        self.mixture: dict[str, list[Any]] = {"step": [], "domain": [], "weight": []}
        self._sums = np.zeros(len(self.domains))
        self._targets = np.zeros(len(self.domains), dtype=np.int64)

    def add_step(self, sums: Floats, targets: Ints) -> None:
        """Take in a step's (K,) summed training losses (nats) and the tokens that they are of."""
        self._sums += sums
        self._targets += targets

    def add_point(self, step: int, tokens: int, validation: Floats, weights: Floats) -> None:
        """Close a stretch.

        Args:
            tokens: tokens trained.
            validation: (V,) validation losses, nats/predicted token: of the K domains, then of the others.
            weights: (K,) mixture of the step to come.
        """
        self.close_stretch(step, tokens)
        for domain, loss in zip(self.measured, validation, strict=True):
            self._add(step, tokens, "validation", domain, loss)
        for index, domain in enumerate(self.domains):
            for column, value in zip(self.mixture, (step, domain, float(weights[index])), strict=True):
                self.mixture[column].append(value)

    def close_stretch(self, step: int, tokens: int) -> None:
        """Write the training losses since the last point: at a point, and where a run diverges between points."""
        for index, domain in enumerate(self.domains):
            if self._targets[index]:
                self._add(step, tokens, "train", domain, self._sums[index] / self._targets[index])
        self._sums[:] = 0
        self._targets[:] = 0

    def _add(self, *row: Any) -> None:
        *head, loss = row
        for column, value in zip(CURVE_COLUMNS, (*head, float(loss)), strict=True):
            self.rows[column].append(value)

    def last_validation(self) -> dict[str, float]:
        """Validation losses of the last point by domain."""
        return self._last("validation")

    def last_training(self) -> dict[str, float]:
        """Training losses of the last stretch by domain; absent domains left out."""
        return self._last("train")

    def _last(self, split: str) -> dict[str, float]:
        rows = zip(*(self.rows[name] for name in CURVE_COLUMNS), strict=True)
        last = self.rows["step"][-1] if self.rows["step"] else None
        return {domain: loss for step, _, row_split, domain, loss in rows if (step, row_split) == (last, split)}

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"rows": self.rows, "mixture": self.mixture, "sums": self._sums, "targets": self._targets}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.rows, self.mixture = state["rows"], state["mixture"]
        self._sums, self._targets = state["sums"], state["targets"]
