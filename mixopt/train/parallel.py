"""The processes that train one run together: who this one is among them, and what they say to each other.

Every process draws the same batches and holds the same policy; each trains on its share of a batch, and sums over
processes make their losses and gradients those of the whole batch. Ray Train (or torchrun) starts the processes and
connects them; without any, a group is this process alone and costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from mixopt.arrays import Ints

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from mixopt.train.device import Device


def shard(model: PreTrainedModel, group: Group, device: Device, *, compile_blocks: bool) -> None:
    """Split `model`, on the CPU so far, over the group, block by block (FSDP2); its parameters become DTensors.

    Zhao et al. 2023, by torch's `fully_shard`: a block's parameters are gathered before it works, dropped after.

    Args:
        model: every process has the same one; in float32, as the optimiser's copy stays.
        device: where it trains; in bfloat16, blocks are gathered and multiplied in it, and gradients are still
            summed in float32.
        compile_blocks: compile each block, which leaves the gathering around it as it is.
    """
    mesh = init_device_mesh(device.name, (group.size,))
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if device.bfloat16 else None, reduce_dtype=torch.float32 if device.bfloat16 else None
    )
    # Blocks: what the library keeps whole, less what shares a parameter with the rest (an embedding with the head).
    kinds = set(model._no_split_modules or ())
    shared = _shared_parameters(model)
    for module in list(model.modules()):
        if type(module).__name__ in kinds and not shared & {id(parameter) for parameter in module.parameters()}:
            if compile_blocks:
                module.compile()
            fully_shard(module, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
    # True for the root as well: between steps every parameter is then a shard, which checkpoints rely on.
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=True)


def _shared_parameters(model: PreTrainedModel) -> set[int]:
    """Ids of the parameters that have two names or more."""
    names = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    return {identity for identity, count in names.items() if count > 1}


def is_sharded(tensor: Tensor) -> bool:
    """Whether each process holds only a part of the tensor."""
    return isinstance(tensor, DTensor)


def gather(tensor: Tensor) -> Tensor:
    """All of a tensor that may be sharded; every process of its group calls this at once."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def split_like(parameter: Tensor, whole: Tensor) -> Tensor:
    """`whole`, which every process has, split as `parameter` is; scalars and unsplit ones as they are."""
    if not isinstance(parameter, DTensor) or whole.shape != parameter.shape:
        return whole
    return distribute_tensor(whole, parameter.device_mesh, parameter.placements, src_data_rank=None)


T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """The processes of a run."""

    rank: int = 0  # this process, 0 to size − 1; the first one reads and writes files
    size: int = 1  # how many there are
    # torch's process group for values in host memory; None with one process
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
