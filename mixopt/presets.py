"""Models by name. Every field can be overridden; the vocabulary comes from the data."""

from __future__ import annotations

import difflib
from dataclasses import fields
from typing import Any

from mixopt.errors import ConfigError
from mixopt.model_spec import ModelSpec

# Names give the size with the vocabulary that the preset is meant for: 1,024 below 10M parameters, else GPT-2's.
# Small ones start from wider weights than GPT-2's 0.02 (0.55 / √width, which is 0.02 at 768): measured at width 64,
# 400k tokens: perplexity 64 in place of 88 after 500k, and a seed spread of 3 % in place of 20 %.
PRESETS: dict[str, dict[str, Any]] = {
    "gpt2-0.2m": {"family": "gpt2", "context": 128, "width": 64, "layers": 2, "heads": 2, "init_std": 0.07},
    "gpt2-0.4m": {"family": "gpt2", "context": 128, "width": 96, "layers": 3, "heads": 3, "init_std": 0.056},
    "gpt2-1m": {"family": "gpt2", "context": 128, "width": 128, "layers": 4, "heads": 4, "init_std": 0.05},
    "gpt2-5m": {"family": "gpt2", "context": 256, "width": 256, "layers": 6, "heads": 4, "init_std": 0.035},
    "gpt2-30m": {"family": "gpt2", "context": 512, "width": 384, "layers": 6, "heads": 6, "init_std": 0.028},
    "gpt2-124m": {"family": "gpt2", "context": 1024, "width": 768, "layers": 12, "heads": 12},
    "gpt2-355m": {"family": "gpt2", "context": 1024, "width": 1024, "layers": 24, "heads": 16},
    # AutoScale (Kang et al. 2024), section 4.1: GPT-2 Large, 36 layers, 1280 wide, 20 heads.
    "gpt2-774m": {"family": "gpt2", "context": 1024, "width": 1280, "layers": 36, "heads": 20},
    "llama-0.4m": {
        "family": "llama", "context": 128, "width": 96, "layers": 3, "heads": 3, "ffn_width": 256,
        "init_std": 0.056,
    },
    "llama-1m": {
        "family": "llama", "context": 128, "width": 128, "layers": 4, "heads": 4, "ffn_width": 320,
        "init_std": 0.05,
    },
    # ADO (Jiang et al. 2024), section 4: 124M and 1.3B, SwiGLU, RMSNorm, rotary, tied embeddings, context 1024.
    "llama-124m": {
        "family": "llama", "context": 1024, "width": 768, "layers": 12, "heads": 12, "ffn_width": 2048,
    },
    "llama-1.3b": {
        "family": "llama", "context": 1024, "width": 2048, "layers": 24, "heads": 16, "ffn_width": 5504,
    },
    # A norm after BERT's embeddings takes their scale out, and wider weights gain nothing. Measured on the demo
    # corpus with bert-nano and one seed: 4.862 nats/masked token from 0.02 and 4.854 from 0.07 after 1.6M tokens;
    # 5.39, 5.37 and, from 0.12, 5.64 after 400k.
    "bert-nano": {"family": "bert", "context": 128, "width": 64, "layers": 2, "heads": 2},
    "bert-micro": {"family": "bert", "context": 128, "width": 128, "layers": 4, "heads": 4},
    # Turc et al. 2019 ("Well-read students learn better"), table 1; the last is BERT-base (Devlin et al. 2019).
    "bert-mini": {"family": "bert", "context": 512, "width": 256, "layers": 4, "heads": 4},
    "bert-small": {"family": "bert", "context": 512, "width": 512, "layers": 4, "heads": 8},
    "bert-medium": {"family": "bert", "context": 512, "width": 512, "layers": 8, "heads": 8},
    "bert-base": {"family": "bert", "context": 512, "width": 768, "layers": 12, "heads": 12},
}  # fmt: skip

_OVERRIDES = tuple(field.name for field in fields(ModelSpec) if field.name != "family")


def model_spec(name: str, vocab_size: int, **overrides: Any) -> ModelSpec:
    """The dimensions of the preset `name` with `vocab_size` entries and any field overridden.

    Raises:
        ConfigError: an unknown preset or field; the message gives the nearest right ones.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=3, cutoff=0.4)
        hint = f"nearest: {', '.join(near)}" if near else f"there are {', '.join(PRESETS)}"
        raise ConfigError(f"model: unknown preset {name!r}; {hint}")
    for key in overrides:
        if key not in _OVERRIDES:
            raise ConfigError(f"model: unknown field {key!r}; the fields are {', '.join(_OVERRIDES)}")
    return ModelSpec(**{**PRESETS[name], "vocab_size": vocab_size, **overrides})
