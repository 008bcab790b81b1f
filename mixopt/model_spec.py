"""ModelSpec: the dimensions of a model, its size and its cost; and what all parts of a spec share."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from mixopt.errors import ConfigError

# Share of the tokens that a masked model predicts: Devlin et al. 2019 (BERT), section 3.1, and every paper since.
MASKED_SHARE = 0.15

Objective = Literal["causal", "masked"]

LOSS_UNITS: dict[Objective, str] = {"causal": "nats/token", "masked": "nats/masked token"}

# Parts of a spec refuse fields that they do not know, and numbers that JSON cannot hold.
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


def require(condition: bool, message: str) -> None:
    """Raise a `ConfigError` with `message` unless `condition` holds."""
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelSpec:
    """Dimensions of a model.

    Attributes:
        family: `gpt2` (learned positions, LayerNorm, GELU), `llama` (rotary, RMSNorm, SwiGLU) or `bert` (attention
            to both sides, learned positions, LayerNorm after each part, GELU; a masked language model).
        vocab_size: entries of the embedding; at least the tokenizer's, and one more for the mask token of a masked
            model whose tokenizer has none.
        context: longest sequence, in tokens.
        width: size of the residual stream.
        layers: number of blocks.
        heads: attention heads; divides `width`.
        kv_heads: key and value heads (llama); None means `heads`.
        ffn_width: inner size of the feed-forward layers; None means 4·width (gpt2, bert) or 8/3·width
            rounded up to a multiple of 64 (llama).
        tied_embeddings: the output layer shares the input embedding.
        init_std: standard deviation of the initial weights. GPT-2's 0.02 suits its widths; a narrow model trains
            faster, and with less spread between seeds, from about 0.55 / √width.
    """

    family: Literal["gpt2", "llama", "bert"]
    vocab_size: int
    context: int
    width: int
    layers: int
    heads: int
    kv_heads: int | None = None
    ffn_width: int | None = None
    tied_embeddings: bool = True
    init_std: float = 0.02

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context", "width", "layers", "heads"):
            value = getattr(self, name)
            require(value >= 1, f"model.{name}: expected at least 1, found {value}")
        require(self.init_std > 0, f"model.init_std: expected a number above 0, found {self.init_std}")
        require(
            self.width % self.heads == 0,
            f"model: width must be a multiple of heads, found width {self.width} and heads {self.heads}",
        )
        if self.family != "llama":
            require(
                self.kv_heads in (None, self.heads),
                f"model.kv_heads: {self.family} has as many as heads; leave it out",
            )
            require(
                self.tied_embeddings or self.family == "gpt2",
                "model.tied_embeddings: bert's head is its embedding; leave it out",
            )
        else:
            require(
                self.heads % self.key_value_heads == 0,
                f"model: heads must be a multiple of kv_heads, found {self.heads} and {self.kv_heads}",
            )
            require(self.width // self.heads % 2 == 0, "model: rotary embeddings need an even width / heads")

    @property
    def objective(self) -> Objective:
        """What the family predicts: every next token (`causal`), or tokens that were masked (`masked`)."""
        return "masked" if self.family == "bert" else "causal"

    @property
    def key_value_heads(self) -> int:
        """Key and value heads, resolved."""
        return self.kv_heads or self.heads

    @property
    def inner_width(self) -> int:
        """Inner size of the feed-forward layers, resolved."""
        if self.ffn_width:
            return self.ffn_width
        return 4 * self.width if self.family != "llama" else -(-8 * self.width // (3 * 64)) * 64

    @property
    def parameters(self) -> int:
        """Trained parameters, tied ones once, as transformers' own class has them."""
        d, f = self.width, self.inner_width
        head = 0 if self.tied_embeddings else self.vocab_size * d
        if self.family == "gpt2":
            block = (4 * d * d + 4 * d) + (2 * d * f + f + d) + 4 * d
            return self.vocab_size * d + self.context * d + self.layers * block + 2 * d + head
        if self.family == "bert":
            block = (4 * d * d + 4 * d) + (2 * d * f + f + d) + 4 * d
            embeddings = (self.vocab_size + self.context + 2) * d + 2 * d  # 2 segments, and a norm
            return embeddings + self.layers * block + (d * d + d) + 2 * d + self.vocab_size
        kv = d // self.heads * self.key_value_heads
        block = 2 * d * d + 2 * d * kv + 3 * d * f + 2 * d
        return self.vocab_size * d + self.layers * block + d + head

    def flops_per_token(self, sequence_length: int) -> float:
        """Training FLOPs (forward and backward) for one token: 6 per weight of a matrix product, attention too.

        Source: PaLM (Chowdhery et al. 2022), appendix B; look-ups of embeddings and positions are free.
        The head of a masked model works on masked tokens only.
        """
        d, f = self.width, self.inner_width
        kv = d // self.heads * self.key_value_heads
        matrices = 2 * d * d + 2 * d * kv + (3 if self.family == "llama" else 2) * d * f
        head = MASKED_SHARE * (self.vocab_size * d + d * d) if self.family == "bert" else self.vocab_size * d
        return 6.0 * (self.layers * matrices + head) + 12.0 * self.layers * d * sequence_length
