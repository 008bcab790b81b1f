"""The processes that train one run together: who this one is among them, and what they say to each other.

Every process draws the same batches and holds the same policy; each trains on its share of a batch, and sums over
processes make their losses and gradients those of the whole batch. Ray Train (or torchrun) starts the processes and
connects them; without any, a group is this process alone and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import distributed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from mixopt.arrays import Ints

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """The processes of a run.

    Attributes:
        rank: this process, 0 to size − 1; the first one reads and writes files.
        size: how many there are.
        hosts: torch's process group for values in host memory; None with one process.
    """

    rank: int = 0
    size: int = 1
    hosts: distributed.ProcessGroup | None = None

    @classmethod
    def current(cls) -> Group:
        """The group that this process was started in; called by all of its processes at once."""
        if not distributed.is_initialized() or distributed.get_world_size() == 1:
            return cls()
        # NCCL sees GPU memory only, and waiting for it would stop the host from running ahead of its GPU.
        hosts = distributed.new_group(backend="gloo")
        assert isinstance(hosts, distributed.ProcessGroup)  # every process is a member of it
        return cls(distributed.get_rank(), distributed.get_world_size(), hosts)

    def share(self, count: int) -> tuple[Ints, Ints]:
        """This process' part of `count` items.

        Every process gets equally many, as sharded models need: where `count` does not divide, those that come
        short get item 0 once more, with weight 0.

        Returns:
            Indices of the items, and their weights, 1 or 0; both (n,).
        """
        indices = np.arange(self.rank, count, self.size)
        short = -(-count // self.size) - len(indices)
        weights = np.repeat([1, 0], [len(indices), short])
        return np.concatenate([indices, np.zeros(short, dtype=np.int64)]), weights

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over processes, in place, the same on each to the last bit."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def tally(self, counts: Ints) -> Ints:
        """The sum over processes of counts in host memory."""
        if self.size == 1:
            return counts
        summed = torch.from_numpy(counts.copy())
        distributed.all_reduce(summed, group=self.hosts)
        return summed.numpy()

    def agree(self, value: bool) -> bool:
        """What the first process says."""
        if self.size == 1:
            return value
        said = torch.tensor([value])
        distributed.broadcast(said, 0, group=self.hosts)
        return bool(said)

    def tell(self, value: T) -> T:
        """The first process' value, which has to be picklable."""
        if self.size == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, 0, group=self.hosts)
        return values[0]

    def spread(self, tensor: Tensor | None, shape: Sequence[int], dtype: torch.dtype, like: Tensor) -> Tensor:
        """The first process' `tensor` on every process, on the device of `like`; only the first one gives it."""
        if self.size == 1:
            assert tensor is not None
            return tensor.to(like.device)
        if self.rank == 0:
            assert tensor is not None
            received = tensor.to(like.device)
        else:
            received = torch.empty(tuple(shape), dtype=dtype, device=like.device)
        distributed.broadcast(received, 0)
        return received


ALONE = Group()
"""A process that trains without others."""
