"""FSDP2: parameters, gradients and moments split over the processes of a run, for models that do not fit on one.

Zhao et al. 2023 (PyTorch FSDP), by torch's `fully_shard`: a block's parameters are gathered before it works and
dropped afterwards.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from mixopt.train.device import Device
    from mixopt.train.parallel import Group


def shard(model: PreTrainedModel, group: Group, device: Device, *, compile_blocks: bool) -> None:
    """Split `model`, on the CPU so far, over the group, block by block; its parameters become DTensors.

    Args:
        model: every process has the same one; in float32, as the optimiser's copy stays.
        group: more than one process.
        device: where it trains; in bfloat16, blocks are gathered and multiplied in it, and gradients are still
            summed in float32.
        compile_blocks: compile each block, which leaves the gathering around it as it is.
    """
    mesh = init_device_mesh(device.name, (group.size,))
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if device.bfloat16 else None,
        reduce_dtype=torch.float32 if device.bfloat16 else None,
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
