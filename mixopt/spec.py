"""RunSpec: everything that changes the numbers of one training run, and nothing else.

Its hash is the run's identity, so a finished run is found again by whoever asks for the same numbers. Device,
worker count, precision of the device and paths are not here: see `mixopt.train.device`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import field
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from mixopt.errors import ConfigError, first_problem
from mixopt.mixture import Mixture
from mixopt.model_spec import STRICT, ModelSpec, Prediction, require
from mixopt.policy import POLICIES, Course, weighs_losses

# Raised when a change of the code changes the numbers of a run; old rows then stay, but are not reused.
NUMERICS = 1

# Fields that came after `NUMERICS` was set, with their defaults in JSON: at these they stay out of the hash, so
# that the ids of older runs hold. The section is empty for the spec's own fields.
_ADDED: tuple[tuple[str, str, Any], ...] = (
    ("evaluation", "only", []),
    ("policy", "reference", None),
    ("", "whole_word", False),
)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataSpec:
    """The prepared data of a run, by content."""

    fingerprint: str  # hash of the tokens and the tokenizer (`mixopt.data.manifest`)
    domains: tuple[str, ...]  # K training domains, in the order of every (K,) array
    # for each domain the most distinct training tokens that the run may see (it repeats them beyond that); None for all
    # that there are
    unique_tokens: tuple[int | None, ...] | None = None

    def __post_init__(self) -> None:
        require(len(self.domains) > 0, "data: expected at least one domain, found none")
        require(len(set(self.domains)) == len(self.domains), "data: domain names must be distinct")
        if self.unique_tokens is not None:
            require(
                len(self.unique_tokens) == len(self.domains), "data.unique_tokens: expected one entry for each domain"
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PolicySpec:
    """How the mixture of each step is chosen."""

    # a policy of `mixopt.policy` (`static`: the prior throughout), or a `module:Class` of your own
    name: str = "static"
    weights: tuple[float, ...]  # (K,) prior weights, in the order of `DataSpec.domains`
    options: dict[str, float | int | bool | str] = field(default_factory=dict)  # the policy's own settings
    # id of the run whose trained model a policy holds losses against that weighs these; None for the others
    reference: str | None = None

    def __post_init__(self) -> None:
        # Somebody's own policy is asked when it is made: rows of its runs are read without it.
        if self.name in POLICIES.builtin:
            needed = weighs_losses(self.name)
            require(
                needed == (self.reference is not None),
                f"policy {self.name}: expected {'the id of a' if needed else 'no'} reference run, found "
                f"{self.reference}; `mixopt doremi` trains reference and proxy",
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OptimSpec:
    """AdamW, its schedule and its batch."""

    lr: float = 1e-3  # peak learning rate
    # from the peak to `final_lr` over the run's own tokens, `linear` or `cosine`
    schedule: Literal["linear", "cosine"] = "cosine"
    warmup: float = 0.1  # share of the run's tokens in which the rate rises linearly from 0
    final_lr: float = 0.1  # last rate as a share of the peak
    beta1: float = 0.9  # decay of the first moment
    beta2: float = 0.95  # decay of the second moment
    epsilon: float = 1e-8  # AdamW's epsilon
    weight_decay: float = 0.1  # decoupled decay, of matrices only (no biases, norms or vectors)
    grad_clip: float = 1.0  # greatest norm of the gradient; 0 for no clipping
    batch_tokens: int = 524288  # tokens of one optimiser step; a multiple of the sequence length

    def __post_init__(self) -> None:
        require(self.lr > 0, f"training.lr: expected a rate above 0, found {self.lr}")
        for name in ("warmup", "final_lr"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"training.{name}: expected a share from 0 to 1, found {value}")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            require(0 <= value < 1, f"training.{name}: expected a number from 0 to below 1, found {value}")
        for name in ("weight_decay", "grad_clip"):
            value = getattr(self, name)
            require(value >= 0, f"training.{name}: expected at least 0, found {value}")
        require(self.epsilon > 0, f"training.epsilon: expected a number above 0, found {self.epsilon}")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EvalSpec:
    """What is measured on the validation documents."""

    # validation tokens of each domain behind a final loss (whole sequences; all there are if fewer)
    tokens_per_domain: int = 16384
    points: int = 5  # evaluations in the run, the last one included, evenly spaced in steps
    point_tokens_per_domain: int = 2048  # the same as `tokens_per_domain` for the points before the last
    only: tuple[str, ...] = ()  # domains of the data that are measured and not trained on

    def __post_init__(self) -> None:
        for name in ("tokens_per_domain", "points", "point_tokens_per_domain"):
            value = getattr(self, name)
            require(value >= 1, f"evaluation.{name}: expected at least 1, found {value}")
        require(len(set(self.only)) == len(self.only), "evaluation.only: domain names must be distinct")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RunSpec:
    """One training run, fully resolved: JSON round-trip exact, valid once built."""

    model: ModelSpec  # the model's dimensions
    data: DataSpec  # the prepared data
    policy: PolicySpec  # the mixture policy
    optim: OptimSpec  # optimiser, schedule, batch
    evaluation: EvalSpec  # what is measured
    tokens: int  # training tokens, a multiple of `optim.batch_tokens` (see `whole_batches`)
    sequence_length: int  # tokens of one training sequence
    seed: int = 0  # initialisation and data order
    objective: Prediction = "causal"  # `causal` or `masked` language modelling, as the model's family has it
    whole_word: bool = False  # a masked model's masks take in all tokens of a word or none

    def __post_init__(self) -> None:
        require(
            1 < self.sequence_length <= self.model.context,
            f"sequence_length: expected 2 to {self.model.context} (the model's context), found {self.sequence_length}",
        )
        require(
            self.optim.batch_tokens > 0 and self.optim.batch_tokens % self.sequence_length == 0,
            f"training.batch_tokens: expected a multiple of the sequence length {self.sequence_length}, "
            f"found {self.optim.batch_tokens}",
        )
        require(
            self.tokens > 0 and self.tokens % self.optim.batch_tokens == 0,
            f"tokens: expected a multiple of batch_tokens {self.optim.batch_tokens}, found {self.tokens}",
        )
        require(
            len(self.policy.weights) == len(self.data.domains),
            f"policy.weights: expected {len(self.data.domains)} (one for each domain), found "
            f"{len(self.policy.weights)}",
        )
        both = [name for name in self.evaluation.only if name in self.data.domains]
        require(not both, f"evaluation.only: {', '.join(both)} cannot be trained on and only be measured")
        require(
            self.objective == self.model.predicts,
            f"objective: a {self.model.family} model is a {self.model.predicts} one, found {self.objective!r}",
        )
        require(
            self.objective == "masked" or not self.whole_word,
            f"training.whole_word: only masked models (bert-…) have masks, found a {self.model.family} model",
        )
        require(0 <= self.seed < 2**31, f"seed: expected 0 to {2**31 - 1}, found {self.seed}")
        _ = self.mixture  # validates the weights

    @property
    def mixture(self) -> Mixture:
        """The policy's prior weights as a mixture."""
        return Mixture(self.data.domains, self.policy.weights)

    @property
    def measured(self) -> tuple[str, ...]:
        """V domains whose losses are measured: the training domains, then those that are only measured."""
        return self.data.domains + self.evaluation.only

    @property
    def batch_sequences(self) -> int:
        """Sequences in one optimiser step."""
        return self.optim.batch_tokens // self.sequence_length

    @property
    def steps(self) -> int:
        """Optimiser steps of the run."""
        return self.tokens // self.optim.batch_tokens

    @property
    def course(self) -> Course:
        """What a policy may have to know of the run."""
        return Course(
            steps=self.steps,
            tokens=self.tokens,
            batch_tokens=self.optim.batch_tokens,
            sequence_length=self.sequence_length,
            lr_schedule=self.optim.schedule,
            lr_warmup=self.optim.warmup,
            lr_final=self.optim.final_lr,
        )

    @property
    def flops(self) -> float:
        """Training FLOPs of the run."""
        return self.tokens * self.flops_per_token

    @property
    def flops_per_token(self) -> float:
        """Training FLOPs of a token, by `ModelSpec.flops_per_token`; a reference's forward pass is a third more."""
        forward = 1 / 3 if self.policy.reference else 0
        return self.model.flops_per_token(self.sequence_length) * (1 + forward)

    @property
    def run_id(self) -> str:
        """The run's identity: 16 hexadecimal digits from the hash of everything above."""
        spec = self.to_dict()
        for section, name, default in _ADDED:
            part = spec[section] if section else spec
            if part[name] == default:
                del part[name]
        content = json.dumps(
            {"numerics": NUMERICS, "spec": spec}, sort_keys=True, separators=(",", ":"), allow_nan=False
        )
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain JSON values."""
        return _ADAPTER.dump_python(self, mode="json")

    def to_json(self) -> str:
        """The spec as one JSON object."""
        return json.dumps(self.to_dict(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        """The inverse of `to_json`, exact.

        Raises:
            ConfigError: the text is no valid spec.
        """
        try:
            return _ADAPTER.validate_json(text)
        except ValidationError as error:
            raise ConfigError(f"run spec: {first_problem(error)}") from error


_ADAPTER: TypeAdapter[RunSpec] = TypeAdapter(RunSpec)


def whole_batches(tokens: int, batch_tokens: int) -> int:
    """The multiple of `batch_tokens` nearest to `tokens`, at least one batch."""
    return max(1, round(tokens / batch_tokens)) * batch_tokens
