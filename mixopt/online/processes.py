"""The processes of data-parallel training, as `torch.distributed` knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, distributed

if TYPE_CHECKING:
    from mixopt.arrays import Floats


def rank_and_size() -> tuple[int, int]:
    """This process's rank, and how many there are; (0, 1) alone."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def gather(row: Tensor) -> Floats:
    """The rows (C,) of all processes, (N, C) by rank, the same in every process.

    Gathered and not reduced: sums that the host makes in the order of the ranks are bitwise equal everywhere.
    """
    _, size = rank_and_size()
    rows = [torch.empty_like(row) for _ in range(size)]
    if size > 1:
        distributed.all_gather(rows, row)
    else:
        rows = [row]
    return torch.stack(rows).cpu().numpy().astype(np.float64)
