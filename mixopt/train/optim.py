"""AdamW and its learning-rate schedule over the run's own tokens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn

    from mixopt.spec import OptimSpec


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
