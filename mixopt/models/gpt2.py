"""GPT-2 (Radford et al. 2019): learned positions, pre-LayerNorm, GELU."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mixopt.model_spec import Family

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Gpt2(Family):
    """No dropout, as in pretraining for an epoch or few."""

    # Names give the size with the vocabulary that a preset is meant for: 1,024 below 10M parameters, else GPT-2's.
    # Small ones start from wider weights than GPT-2's 0.02 (0.55 / √width, which is 0.02 at 768). Measured at width
    # 64, 400k tokens: perplexity 64 in place of 88 after 500k, and a seed spread of 3 % in place of 20 %.
    presets: ClassVar = {
        "gpt2-0.2m": {"context": 128, "width": 64, "layers": 2, "heads": 2, "init_std": 0.07},
        "gpt2-0.4m": {"context": 128, "width": 96, "layers": 3, "heads": 3, "init_std": 0.056},
        "gpt2-1m": {"context": 128, "width": 128, "layers": 4, "heads": 4, "init_std": 0.05},
        "gpt2-5m": {"context": 256, "width": 256, "layers": 6, "heads": 4, "init_std": 0.035},
        "gpt2-30m": {"context": 512, "width": 384, "layers": 6, "heads": 6, "init_std": 0.028},
        "gpt2-124m": {"context": 1024, "width": 768, "layers": 12, "heads": 12},
        "gpt2-355m": {"context": 1024, "width": 1024, "layers": 24, "heads": 16},
        # AutoScale (Kang et al. 2024), section 4.1: GPT-2 Large, 36 layers, 1280 wide, 20 heads.
        "gpt2-774m": {"context": 1024, "width": 1280, "layers": 36, "heads": 20},
    }

    @property
    def parameters(self) -> int:
        """Trained parameters, tied ones once."""
        spec, d, f = self.spec, self.spec.width, self.spec.inner_width
        head = 0 if spec.tied_embeddings else spec.vocab_size * d
        block = (4 * d * d + 4 * d) + (2 * d * f + f + d) + 4 * d
        return spec.vocab_size * d + spec.context * d + spec.layers * block + 2 * d + head

    def build(self, eot_id: int | None) -> PreTrainedModel:
        """transformers' class."""
        from transformers import AutoModelForCausalLM, GPT2Config

        spec = self.spec
        config = GPT2Config(
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
        return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
