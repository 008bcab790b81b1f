"""GPT-2 (Radford et al. 2019): learned positions, pre-LayerNorm, GELU."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import GPT2Config

    from mixopt.model_spec import ModelSpec


def gpt2_config(spec: ModelSpec, eot_id: int | None) -> GPT2Config:
    """transformers' config for `spec`; no dropout, as in pretraining for an epoch or few."""
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=spec.vocab_size,
        n_positions=spec.context,
        n_embd=spec.width,
        n_layer=spec.layers,
        n_head=spec.heads,
        n_inner=spec.inner_width,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=spec.init_std,
        tie_word_embeddings=spec.tied_embeddings,
        bos_token_id=eot_id,
        eos_token_id=eot_id,
        # The same function as `gelu_new`, in one fused operation.
        activation_function="gelu_pytorch_tanh",
        use_cache=False,
    )
