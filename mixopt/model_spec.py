"""ModelSpec: the dimensions of a model, its size and cost by its family; and what all parts of a spec share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from mixopt.errors import ConfigError
from mixopt.plugins import Registry

Prediction = Literal["causal", "masked"]

LOSS_UNITS: dict[Prediction, str] = {"causal": "nats/token", "masked": "nats/masked token"}

# Parts of a spec refuse fields that they do not know, and numbers that JSON cannot hold.
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


def require(condition: bool, message: str) -> None:
    """Raise a `ConfigError` with `message` unless `condition` holds."""
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelSpec:
    """Dimensions of a model.

    Raises:
        ConfigError: there is no such family, or it cannot have these dimensions.
    """

    family: str  # what kind of model (`FAMILIES`), or a `module:Class` of your own
    # entries of the embedding; at least the tokenizer's, and one more for the mask token of a masked model whose
    # tokenizer has none
    vocab_size: int
    context: int  # longest sequence, in tokens
    width: int  # size of the residual stream
    layers: int  # number of blocks
    heads: int  # attention heads; divides `width`
    kv_heads: int | None = None  # key and value heads, where a family tells them apart; None means `heads`
    ffn_width: int | None = None  # inner size of the feed-forward layers; None means what is usual in the family
    tied_embeddings: bool = True  # the output layer shares the input embedding
    # standard deviation of the initial weights. GPT-2's 0.02 suits its widths; a narrow model trains faster, and with
    # less spread between seeds, from about 0.55 / √width.
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
        self.architecture.check()

    @property
    def architecture(self) -> Family:
        """The family with these dimensions."""
        return FAMILIES.get(self.family)(self)

    @property
    def predicts(self) -> Prediction:
        """What the family predicts: every next token (`causal`), or tokens that were masked (`masked`)."""
        return self.architecture.predicts

    @property
    def key_value_heads(self) -> int:
        """Key and value heads, resolved."""
        return self.kv_heads or self.heads

    @property
    def inner_width(self) -> int:
        """Inner size of the feed-forward layers, resolved."""
        return self.ffn_width or self.architecture.usual_inner_width

    @property
    def parameters(self) -> int:
        """Trained parameters, tied ones once, as transformers' own class has them."""
        return self.architecture.parameters

    def flops_per_token(self, sequence_length: int) -> float:
        """Training FLOPs (forward and backward) for one token: 6 per weight of a matrix product, attention too.

        Source: PaLM (Chowdhery et al. 2022), appendix B; look-ups of embeddings and positions are free.
        """
        model = self.architecture
        products = 6.0 * (self.layers * model.block_products + model.head_products)
        return products + 12.0 * self.layers * self.width * sequence_length


class Family(ABC):
    """A kind of model with the dimensions of a spec: its arithmetic, and how it is built.

    A new one is a file and a line in `FAMILIES`. Only `build` may import torch; the rest is asked wherever a run is
    planned.

    Args:
        spec: the dimensions.
    """

    predicts: ClassVar[Prediction] = "causal"  # every next token (`causal`), or tokens that were masked (`masked`)
    # fields of `ModelSpec` by the name of a preset, without family and vocabulary
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def check(self) -> None:
        """Refuse dimensions that the family cannot have, those of any model apart.

        Raises:
            ConfigError: one that it cannot have.
        """
        spec = self.spec
        require(
            spec.kv_heads in (None, spec.heads), f"model.kv_heads: {spec.family} has as many as heads; leave it out"
        )

    @property
    def usual_inner_width(self) -> int:
        """Inner size of the feed-forward layers where the spec leaves it open."""
        return 4 * self.spec.width

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Trained parameters, tied ones once."""

    @property
    def block_products(self) -> int:
        """Weights of a block in matrix products: attention's four matrices, and two of the feed-forward layers."""
        spec = self.spec
        return 4 * spec.width**2 + 2 * spec.width * spec.inner_width

    @property
    def head_products(self) -> float:
        """The same of the output layer, on average over tokens."""
        return self.spec.vocab_size * self.spec.width

    @abstractmethod
    def build(self, eot_id: int | None) -> Any:
        """A model of transformers in float32, freshly initialised by torch's global generator.

        Where masked tokens are predicted, its `forward` takes `positions` (see `mixopt.models.bert_model`).

        Args:
            eot_id: the tokenizer's end-of-text token, for the config; None where it has none.
        """


FAMILIES: Registry[type[Family]] = Registry(
    "model.family",
    "mixopt.models",
    {"gpt2": "mixopt.models.gpt2:Gpt2", "llama": "mixopt.models.llama:Llama", "bert": "mixopt.models.bert:Bert"},
    Family,
)
