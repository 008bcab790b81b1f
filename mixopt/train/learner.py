"""The model of a run and its optimiser, on one process or on several: what a step and an evaluation do.

Symbols: K training domains, V measured ones, B sequences of L tokens in a step.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parallel import DistributedDataParallel

from mixopt.models.build import build_model
from mixopt.train.device import token_losses
from mixopt.train.evaluate import validation_losses
from mixopt.train.optim import learning_rate, make_adamw
from mixopt.train.sharding import shard

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mixopt.data.tokens import TokenData
    from mixopt.spec import RunSpec
    from mixopt.train.device import Device
    from mixopt.train.parallel import Group
    from mixopt.train.runtime import Runtime


class Learner:
    """Model and optimiser. Every process of the group makes one, and calls each of its methods at the same time.

    Args:
        spec: what is trained.
        runtime: where and how.
        device: this process' device.
        group: the processes that train together.
        data: its tokens.

    Attributes:
        model: transformers' model; sharded with `runtime.sharding`, else whole on every process.
        optimizer: AdamW over its parameters.
        parameters: trained parameters, of all processes together.
        label: what it trains on, in words.
    """

    def __init__(self, spec: RunSpec, runtime: Runtime, device: Device, group: Group, data: TokenData) -> None:
        self._spec, self._runtime, self._device, self._group, self._data = spec, runtime, device, group, data
        self._in_data = data.indices(spec.data.domains)
        self.model = build_model(spec.model, spec.seed, data.manifest.eot_id)
        sharded = group.size > 1 and runtime.sharding == "fsdp"
        if sharded:
            shard(self.model, group, device, compile_blocks=runtime.compile)
            self._device = replace(device, bfloat16=False)  # the shards' own policy does it
        else:
            torch.nn.Module.to(self.model, device.name)
        self._parameters = list(self.model.parameters())
        self.optimizer = make_adamw(self.model, spec.optim)
        self._replicas: DistributedDataParallel | None = None
        if group.size > 1 and not sharded:
            self._replicas = DistributedDataParallel(self.model, gradient_as_bucket_view=True)
        self._forward: Any = self._replicas or self.model
        if runtime.compile and not sharded:
            self._forward = torch.compile(self._forward)
        self.parameters = sum(parameter.numel() for parameter in self._parameters)
        self.label = device.label if group.size == 1 else f"{device.label}, {group.size} processes"

    def step(self, step: int, domain_ids: NDArray[np.int64], window_ids: NDArray[np.int64]) -> Tensor:
        """One optimiser step on a batch, which is the same on every process; each computes its share of it.

        Args:
            step: which step, for the learning rate.
            domain_ids: (B,) training domains.
            window_ids: (B,) windows of these.

        Returns:
            (K,) summed training losses of the whole batch, nats, still on the device.
        """
        spec, device = self._spec, self._device
        rate = learning_rate(spec.optim, step, spec.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        sums = torch.zeros(len(spec.data.domains), device=device.name)
        # Gradients are averaged over processes: this makes that the mean over the batch, however it is shared out.
        tokens_per_process = spec.optim.batch_tokens / self._group.size
        share, weights = self._group.share(len(domain_ids))
        rows = self._runtime.micro_batch or len(share)
        for start in range(0, len(share), rows):
            part, weight = share[start : start + rows], weights[start : start + rows]
            with self._gradients_meet(last=start + rows >= len(share)):
                windows = self._in_data[domain_ids[part]], window_ids[part]
                tokens = device.put(self._data.batch("train", *windows, spec.sequence_length))
                losses = token_losses(self._forward, tokens, device).sum(dim=1)
                if not weight.all():
                    losses = losses * device.put(weight)
                (losses.sum() / tokens_per_process).backward()
            sums.index_add_(0, device.put(domain_ids[part]), losses.detach())
        if spec.optim.grad_clip:
            torch.nn.utils.clip_grad_norm_(self._parameters, spec.optim.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return self._group.sum(sums)

    def _gradients_meet(self, *, last: bool) -> AbstractContextManager[None]:
        """Replicas exchange gradients once a step. Shards do in every pass: whole gradients might not fit."""
        return contextlib.nullcontext() if last or self._replicas is None else self._replicas.no_sync()

    def validate(self, tokens_per_domain: int) -> NDArray[np.float64]:
        """(V,) validation losses of the spec's measured domains, nats/token."""
        return validation_losses(
            self.model,
            self._data,
            self._spec.measured,
            self._device,
            tokens_per_domain,
            self._spec.sequence_length,
            self._group,
        )
