"""Models from a ModelSpec: transformers' own classes, so every checkpoint loads with `from_pretrained`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mixopt.models.gpt2 import gpt2_config
from mixopt.models.llama import llama_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedConfig, PreTrainedModel

    from mixopt.model_spec import ModelSpec


def _bert_config(spec: ModelSpec, eot_id: int | None) -> PreTrainedConfig:
    from mixopt.models.bert import bert_config

    return bert_config(spec, eot_id)


# A family is a file with a config function, and a line here.
FAMILIES: dict[str, Callable[[ModelSpec, int | None], PreTrainedConfig]] = {
    "gpt2": gpt2_config,
    "llama": llama_config,
    "bert": _bert_config,
}


def build_model(spec: ModelSpec, seed: int, eot_id: int | None = None) -> PreTrainedModel:
    """A freshly initialised model in float32 on the CPU, the same for the same seed wherever it will run.

    Args:
        spec: dimensions.
        seed: initialisation; torch's global generator is left as it was.
        eot_id: the tokenizer's end-of-text token, written to the config for generation and lm-eval.
    """
    config = FAMILIES[spec.family](spec, eot_id)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if spec.objective == "masked":
            from mixopt.models.bert import BertForMaskedLM

            return BertForMaskedLM._from_config(config, attn_implementation="sdpa")
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
