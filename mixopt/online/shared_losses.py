"""PlanBoard: which sequences the next steps are made of, in memory that the loader's workers share.

The training process decides a step's sequences and writes them up; workers read, and wait for steps that are not
there yet. So no worker holds any state that a change of the mixture could outdate, however far it runs ahead.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from mixopt.arrays import Ints
from mixopt.errors import DataError

# At most two steps are planned ahead, and no reader is behind the step that is being trained.
_ROWS = 4
_NEXT, _CLOSED, _HEADER = 0, 1, 2
_TAG, _CHECK, _PLAN = 0, 1, 2


class PlanBoard:
    """Plans of the last few steps; one process writes, any number read. Pickled to a worker, it is the same memory.

    Args:
        sequences: in a step, over all processes.
    """

    def __init__(self, sequences: int) -> None:
        self.sequences = sequences
        self._memory = torch.zeros(_HEADER + _ROWS * (_PLAN + 2 * sequences), dtype=torch.int64).share_memory_()

    @property
    def next_step(self) -> int:
        """The first step that has not been trained."""
        return int(self._cells[_NEXT])

    @property
    def closed(self) -> bool:
        """Whether no further step will come."""
        return bool(self._cells[_CLOSED])

    def begin(self, step: int) -> None:
        """Wipe the board; `step` will be trained next."""
        self._cells[:] = 0
        self._cells[_NEXT] = step

    def advance(self) -> None:
        """The next step has been trained."""
        self._cells[_NEXT] += 1

    def close(self) -> None:
        """Tell waiting readers that no further step will come."""
        self._cells[_CLOSED] = 1

    def publish(self, step: int, domains: Ints, windows: Ints) -> int:
        """Write a step's plan up, (sequences,) each, and return its checksum."""
        row = self._row(step)
        plan = np.concatenate([domains, windows])
        check = _checksum(step, plan)
        row[_PLAN:], row[_CHECK], row[_TAG] = plan, check, step + 1
        return check

    def read(self, step: int) -> tuple[Ints, Ints] | None:
        """Domains and windows of `step`, or None if it is not on the board."""
        row = self._row(step).copy()
        # Processors may show another process's writes in any order; a row that is half written fails its checksum.
        if row[_TAG] != step + 1 or row[_CHECK] != _checksum(step, row[_PLAN:]):
            return None
        return row[_PLAN : _PLAN + self.sequences], row[_PLAN + self.sequences :]

    @property
    def _cells(self) -> Ints:
        return self._memory.numpy()

    def _row(self, step: int) -> Ints:
        return self._cells[_HEADER:].reshape(_ROWS, -1)[step % _ROWS]


def _checksum(step: int, plan: Ints) -> int:
    return zlib.crc32(plan.tobytes(), zlib.crc32(step.to_bytes(8, "little")))


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
