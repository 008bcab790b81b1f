"""BERT (Devlin et al. 2019): attention to both sides, learned positions, LayerNorm after each part, GELU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import transformers
from transformers.modeling_outputs import MaskedLMOutput

if TYPE_CHECKING:
    from torch import Tensor

    from mixopt.model_spec import ModelSpec


def bert_config(spec: ModelSpec, eot_id: int | None) -> transformers.BertConfig:
    """transformers' config for `spec`; no dropout, as in pretraining for an epoch or few."""
    return transformers.BertConfig(
        vocab_size=spec.vocab_size,
        max_position_embeddings=spec.context,
        hidden_size=spec.width,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        intermediate_size=spec.inner_width,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=spec.init_std,
        tie_word_embeddings=spec.tied_embeddings,
        eos_token_id=eot_id,
        # The default takes token 0 for padding and never trains it; no training sequence is padded.
        pad_token_id=None,
        use_cache=False,
    )


class BertForMaskedLM(transformers.BertForMaskedLM):
    """transformers' class, whose head can be asked about some positions only: a step needs few of the logits."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, input_ids: Tensor | None = None, *, positions: Tensor | None = None, **options: Any
    ) -> Any:
        """The logits of every position, as transformers has it, or of some.

        Args:
            input_ids: (B, L) token ids.
            positions: (B, T) positions to predict; all if None.
            options: transformers' other arguments, without `positions` only.

        Returns:
            An output with logits (B, T, V), or (B, L, V).
        """
        if positions is None:
            return super().forward(input_ids, **options)
        hidden = self.bert(input_ids, return_dict=True).last_hidden_state
        chosen = hidden.gather(1, positions[..., None].expand(-1, -1, hidden.shape[-1]))
        return MaskedLMOutput(logits=self.cls(chosen))
