"""Llama (Touvron et al. 2023): rotary positions, RMSNorm, SwiGLU, no biases."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import LlamaConfig

    from mixopt.model_spec import ModelSpec


def llama_config(spec: ModelSpec, eot_id: int | None) -> LlamaConfig:
    """transformers' config for `spec`."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=spec.vocab_size,
        max_position_embeddings=spec.context,
        hidden_size=spec.width,
        intermediate_size=spec.inner_width,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.key_value_heads,
        initializer_range=spec.init_std,
        tie_word_embeddings=spec.tied_embeddings,
        attention_dropout=0.0,
        bos_token_id=eot_id,
        eos_token_id=eot_id,
        use_cache=False,
    )
