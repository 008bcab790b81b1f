"""Llama (Touvron et al. 2023): rotary positions, RMSNorm, SwiGLU, no biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mixopt.model_spec import Family, require

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Llama(Family):
    """Key and value heads may be fewer than heads."""

    # Small ones start from wider weights, as GPT-2's do.
    presets: ClassVar = {
        "llama-0.4m": {"context": 128, "width": 96, "layers": 3, "heads": 3, "ffn_width": 256, "init_std": 0.056},
        "llama-1m": {"context": 128, "width": 128, "layers": 4, "heads": 4, "ffn_width": 320, "init_std": 0.05},
        # ADO (Jiang et al. 2024), section 4: 124M and 1.3B, SwiGLU, RMSNorm, rotary, tied embeddings, context 1024.
        "llama-124m": {"context": 1024, "width": 768, "layers": 12, "heads": 12, "ffn_width": 2048},
        "llama-1.3b": {"context": 1024, "width": 2048, "layers": 24, "heads": 16, "ffn_width": 5504},
    }

    def check(self) -> None:
        """Heads share key and value heads evenly, and rotary positions turn pairs.

        Raises:
            ConfigError: they do not.
        """
        spec = self.spec
        require(
            spec.heads % spec.key_value_heads == 0,
            f"model: heads must be a multiple of kv_heads, found {spec.heads} and {spec.kv_heads}",
        )
        require(spec.width // spec.heads % 2 == 0, "model: rotary embeddings need an even width / heads")

    @property
    def usual_inner_width(self) -> int:
        """8/3·width, rounded up to a multiple of 64: three matrices are as many weights as two of 4·width."""
        return -(-8 * self.spec.width // (3 * 64)) * 64

    @property
    def parameters(self) -> int:
        """Trained parameters, tied ones once."""
        spec, d = self.spec, self.spec.width
        head = 0 if spec.tied_embeddings else spec.vocab_size * d
        return spec.vocab_size * d + spec.layers * (self.block_products + 2 * d) + d + head

    @property
    def block_products(self) -> int:
        """Two matrices of attention are narrower with fewer key and value heads; SwiGLU has three."""
        spec, d = self.spec, self.spec.width
        return 2 * d * d + 2 * d * (d // spec.heads * spec.key_value_heads) + 3 * d * spec.inner_width

    def build(self, eot_id: int | None) -> PreTrainedModel:
        """transformers' class."""
        from transformers import AutoModelForCausalLM, LlamaConfig

        spec = self.spec
        config = LlamaConfig(
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
        return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
