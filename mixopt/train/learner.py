"""The model of a run and its optimiser, on one process or on several: what a step and an evaluation do.

Symbols: K training domains, V measured ones, B sequences of L tokens in a step.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from mixopt.arrays import Floats, Ints
from mixopt.models.build import build_model
from mixopt.policy import LossWeighting, MixturePolicy
from mixopt.train.batches import Batch, Batches, token_losses
from mixopt.train.checkpoint import load_final
from mixopt.train.evaluate import validation_losses, validation_windows
from mixopt.train.parallel import Group, shard
from mixopt.train.reweighting import Reweighting

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from mixopt.data.tokens import TokenData
    from mixopt.spec import OptimSpec, RunSpec
    from mixopt.train.device import Device, Runtime


def make_adamw(model: nn.Module, spec: OptimSpec) -> torch.optim.AdamW:
    """Fused AdamW; weight decay on matrices only, as GPT-2's and Llama's recipes have it."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": spec.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=spec.lr,
        betas=(spec.beta1, spec.beta2),
        eps=spec.epsilon,
        fused=True,
    )


def learning_rate(spec: OptimSpec, step: int, steps: int) -> float:
    """The rate of `step` (0 … steps − 1): linear warm-up from 0, then to `final_lr`·lr at the last step."""
    warmup = round(spec.warmup * steps)
    if step < warmup:
        return spec.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - 1 - warmup)
    fall = progress if spec.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * progress))
    return spec.lr * (1 - (1 - spec.final_lr) * fall)


@dataclass(frozen=True, eq=False)
class _Pass:
    """A pass of this process: (b,) rows of the whole batch, (b,) their weights (0 if repeated), what they hold."""

    rows: Ints
    weights: Ints
    batch: Batch


class Learner:
    """Model and optimiser. Every process of the group makes one, and calls each of its methods at the same time.

    Args:
        spec: what is trained.
        runtime: where and how.
        device: this process' device.
        group: the processes that train together.
        data: its tokens.
        policy: of the run; one that is `LossWeighting` has the reference in `runtime.reference_dir` loaded.

    Attributes:
        model: transformers' model; sharded with `runtime.sharding`, else whole on every process.
        optimizer: AdamW over its parameters.
        parameters: trained parameters, of all processes together.
        label: what it trains on, in words.
    """

    def __init__(
        self,
        spec: RunSpec,
        runtime: Runtime,
        device: Device,
        group: Group,
        data: TokenData,
        policy: MixturePolicy | None = None,
    ) -> None:
        self._spec, self._runtime, self._device, self._group, self._data = spec, runtime, device, group, data
        self._batches = Batches(spec, data, device)
        self.model = build_model(spec.model, spec.seed, data.manifest.eot_id)
        sharded = group.size > 1 and runtime.sharding == "fsdp"
        self._place(self.model, device, sharded=sharded)
        if sharded:
            self._device = replace(device, bfloat16=False)  # the shards' own policy does it
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
        self._reweighting: Reweighting | None = None
        if isinstance(policy, LossWeighting):
            reference = self._load_reference(device, sharded=sharded)
            self._reweighting = Reweighting(policy, reference, group, self._device, len(spec.data.domains))

    def _place(self, model: PreTrainedModel, device: Device, *, sharded: bool) -> None:
        """Put a model on the device, or its shards on all processes' devices."""
        if sharded:
            shard(model, self._group, device, compile_blocks=self._runtime.compile)
        else:
            torch.nn.Module.to(model, device.name)

    def _load_reference(self, device: Device, *, sharded: bool) -> Callable[[Batch], Tensor]:
        """The frozen model of the reference run, as its token losses."""
        model = build_model(self._spec.model, self._spec.seed)
        model.requires_grad_(requires_grad=False).eval()
        self._place(model, device, sharded=sharded)
        load_final(Path(self._runtime.reference_dir or ""), model, self._group)
        forward: Any = torch.compile(model) if self._runtime.compile and not sharded else model

        def losses(batch: Batch) -> Tensor:
            with torch.no_grad():
                return token_losses(forward, batch, self._device)

        return losses

    def step(self, step: int, domain_ids: Ints, window_ids: Ints, numbers: Ints) -> tuple[Tensor, Ints]:
        """One optimiser step on a batch, which is the same on every process; each computes its share of it.

        Args:
            domain_ids: (B,) training domains.
            window_ids: (B,) windows of these.
            numbers: (B,) how many of its domain were drawn before each.

        Returns:
            (K,) summed training losses of the whole batch, nats, still on the device, and (K,) tokens that they are
            of: all, or those that were masked.
        """
        spec, device = self._spec, self._device
        rate = learning_rate(spec.optim, step, spec.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        sums = torch.zeros(len(spec.data.domains), device=device.name)
        share, weights = self._group.share(len(domain_ids))
        rows = self._runtime.micro_batch or len(share)
        passes = []
        for start in range(0, len(share), rows):
            part = share[start : start + rows]
            batch = self._batches("train", domain_ids[part], window_ids[part], numbers[part])
            passes.append(_Pass(part, weights[start : start + rows], batch))
        targets = self._targets(domain_ids, passes)
        # Gradients are averaged over processes: this makes that the mean over the batch, however it is shared out.
        targets_per_process = max(int(targets.sum()), 1) / self._group.size
        factors = self._factors_ahead(step, domain_ids, passes, targets) if len(passes) > 1 else None
        for one in passes:
            ids = device.put(domain_ids[one.rows])
            with self._gradients_meet(last=one is passes[-1]):
                by_token = token_losses(self._forward, one.batch, device)
                losses = by_token.sum(dim=1)
                if not one.weights.all():
                    losses = losses * device.put(one.weights)
                if self._reweighting and factors is None:
                    self._reweighting.add(one.batch, by_token, ids, device.put(one.weights))
                    factors = self._reweighting.factors(step, domain_ids, targets)
                weighted = losses if factors is None else losses * device.put(factors[one.rows].astype(np.float32))
                (weighted.sum() / targets_per_process).backward()
            sums.index_add_(0, ids, losses.detach())
        if spec.optim.grad_clip:
            torch.nn.utils.clip_grad_norm_(self._parameters, spec.optim.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return self._group.sum(sums), targets

    def _targets(self, domain_ids: Ints, passes: Sequence[_Pass]) -> Ints:
        """(K,) targets of the whole batch."""
        count = len(self._spec.data.domains)
        if not self._batches.targets_vary:
            return np.bincount(domain_ids, minlength=count) * self._spec.sequence_length
        own = np.zeros(count, dtype=np.int64)
        for one in passes:
            np.add.at(own, domain_ids[one.rows], one.batch.counts * one.weights)
        return self._group.tally(own)

    def _factors_ahead(self, step: int, domain_ids: Ints, passes: Sequence[_Pass], targets: Ints) -> Floats | None:
        """(B,) factors of the sequences' losses where a step has several passes; None without reweighting.

        They rest on the whole batch and gradients rest on them: a forward pass more, and none is stale.
        """
        if self._reweighting is None:
            return None
        put = self._device.put
        for one in passes:
            with torch.no_grad():
                losses = token_losses(self.model, one.batch, self._device)
            self._reweighting.add(one.batch, losses, put(domain_ids[one.rows]), put(one.weights))
        return self._reweighting.factors(step, domain_ids, targets)

    def _gradients_meet(self, *, last: bool) -> AbstractContextManager[None]:
        """Replicas exchange gradients once a step. Shards do in every pass: whole gradients might not fit."""
        return contextlib.nullcontext() if last or self._replicas is None else self._replicas.no_sync()

    def validate(self, tokens_per_domain: int) -> Floats:
        """(V,) validation losses of the spec's measured domains, nats/token."""
        windows = validation_windows(self._data, self._spec.measured, tokens_per_domain, self._spec.sequence_length)
        return validation_losses(
            self.model, self._batches, *windows, len(self._spec.measured), self._device, self._group
        )
