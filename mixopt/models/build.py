"""Models from a ModelSpec: transformers' own classes, so every checkpoint loads with `from_pretrained`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from mixopt.model_spec import ModelSpec


def build_model(spec: ModelSpec, seed: int, eot_id: int | None = None) -> PreTrainedModel:
    """A freshly initialised model in float32 on the CPU, the same for the same seed wherever it will run.

    Args:
        seed: initialisation; torch's global generator is left as it was.
        eot_id: the tokenizer's end-of-text token, written to the config for generation and lm-eval.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return spec.architecture.build(eot_id)
