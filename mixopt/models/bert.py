"""BERT (Devlin et al. 2019): attention to both sides, learned positions, LayerNorm after each part, GELU."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mixopt.model_spec import Family, require

if TYPE_CHECKING:
    from mixopt.models.bert_model import BertForMaskedLM

# Share of the tokens that a masked model predicts: Devlin et al. 2019 (BERT), section 3.1, and every paper since.
MASKED_SHARE = 0.15


class Bert(Family):
    """A masked language model, without dropout, as in pretraining for an epoch or few."""

    predicts = "masked"
    # A norm after BERT's embeddings takes their scale out, and wider weights gain nothing. Measured on the demo
    # corpus with bert-nano and one seed: 4.862 nats/masked token from 0.02 and 4.854 from 0.07 after 1.6M tokens;
    # 5.39, 5.37 and, from 0.12, 5.64 after 400k.
    presets: ClassVar = {
        "bert-nano": {"context": 128, "width": 64, "layers": 2, "heads": 2},
        "bert-micro": {"context": 128, "width": 128, "layers": 4, "heads": 4},
        # Turc et al. 2019 ("Well-read students learn better"), table 1; the last is BERT-base (Devlin et al. 2019).
        "bert-mini": {"context": 512, "width": 256, "layers": 4, "heads": 4},
        "bert-small": {"context": 512, "width": 512, "layers": 4, "heads": 8},
        "bert-medium": {"context": 512, "width": 512, "layers": 8, "heads": 8},
        "bert-base": {"context": 512, "width": 768, "layers": 12, "heads": 12},
    }

    def check(self) -> None:
        """The output layer is the embedding.

        Raises:
            ConfigError: it is not.
        """
        super().check()
        require(self.spec.tied_embeddings, "model.tied_embeddings: bert's head is its embedding; leave it out")

    @property
    def parameters(self) -> int:
        """Trained parameters, tied ones once."""
        spec, d, f = self.spec, self.spec.width, self.spec.inner_width
        block = (4 * d * d + 4 * d) + (2 * d * f + f + d) + 4 * d
        embeddings = (spec.vocab_size + spec.context + 2) * d + 2 * d  # 2 segments, and a norm
        return embeddings + spec.layers * block + (d * d + d) + 2 * d + spec.vocab_size

    @property
    def head_products(self) -> float:
        """The head works on masked tokens only."""
        d = self.spec.width
        return MASKED_SHARE * (self.spec.vocab_size * d + d * d)

    def build(self, eot_id: int | None) -> BertForMaskedLM:
        """transformers' class, which can be asked about some positions only."""
        from transformers import BertConfig

        from mixopt.models.bert_model import BertForMaskedLM

        spec = self.spec
        config = BertConfig(
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
        return BertForMaskedLM._from_config(config, attn_implementation="sdpa")
