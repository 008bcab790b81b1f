"""What a model takes of sequences and what it has to predict: every next token, or those that were masked.

Symbols: V measured domains, K of them trained on; b sequences of L tokens; T targets of each at most (L of a causal
model, about 0.15·L of a masked one).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.nn import functional

from mixopt.arrays import Ints
from mixopt.data.tokenizer import Vocabulary
from mixopt.errors import DataError
from mixopt.train.masking import IGNORED, Masking, sequence_keys, stream_key

if TYPE_CHECKING:
    from torch import Tensor

    from mixopt.data.tokens import SplitName, TokenData
    from mixopt.spec import RunSpec
    from mixopt.train.device import Device


@dataclass(frozen=True, eq=False)
class Batch:
    """b sequences on their device."""

    inputs: dict[str, Any]  # the model's arguments
    targets: Tensor  # (b, T) token ids to predict; `IGNORED` where there is none
    counts: Ints  # (b,) targets of each sequence, on the host


class Batches:
    """Makes the batches of a run.

    The mask of a training sequence follows from the seed, its domain and the number of the draw: runs of other
    mixtures share it, as they share the order of the text, and another epoch has another. That of a validation
    sequence follows from its place in its domain alone: every run is measured on the same predictions.

    Args:
        spec: the run.
        data: its tokens.
        device: where batches go.

    Raises:
        DataError: the data does not have the spec's domains, or its tokenizer does not do for masks.
    """

    def __init__(self, spec: RunSpec, data: TokenData, device: Device) -> None:
        self._data, self._device, self.length = data, device, spec.sequence_length
        self._in_data = data.indices(spec.measured)
        self._masking: Masking | None = None
        if spec.objective == "masked":
            vocabulary = Vocabulary.of_data(data.folder, data.manifest)
            if spec.model.vocab_size < vocabulary.rows:
                raise DataError(
                    f"model.vocab_size: expected at least {vocabulary.rows} (the tokenizer's tokens and the mask "
                    f"token), found {spec.model.vocab_size}; leave it out"
                )
            self._masking = Masking(vocabulary, self.length, whole_word=spec.whole_word)
        self._streams = {
            "train": np.array([stream_key("mask", spec.seed, name) for name in spec.measured]),
            "validation": np.array([stream_key("mask", "validation", name) for name in spec.measured]),
        }

    @property
    def targets_vary(self) -> bool:
        """Whether a sequence may have more targets than another."""
        return self._masking is not None

    def __call__(self, split: SplitName, domains: Ints, windows: Ints, numbers: Ints | None = None) -> Batch:
        """The batch of some windows.

        Args:
            domains: (b,) measured domains, those trained on first.
            windows: (b,) windows of these.
            numbers: (b,) how many of its domain were drawn before each; by default the windows themselves.
        """
        tokens = self._data.batch(split, self._in_data[domains], windows, self.length)
        put = self._device.put
        if self._masking is None:
            both = put(tokens)
            counts = np.full(len(tokens), self.length)
            return Batch({"input_ids": both[:, :-1], "use_cache": False}, both[:, 1:], counts)
        keys = sequence_keys(self._streams[split][domains], windows if numbers is None else numbers)
        masked = self._masking(tokens[:, :-1], keys)
        counts = (masked.targets != IGNORED).sum(axis=1)
        inputs = {"input_ids": put(masked.inputs), "positions": put(masked.positions)}
        return Batch(inputs, put(masked.targets), counts)


def token_losses(model: Callable[..., Any], batch: Batch, device: Device) -> Tensor:
    """Cross-entropy of every target, nats.

    Returns:
        (b, T) float32; 0 where there is no target.
    """
    with device.autocast():
        logits = model(**batch.inputs).logits
    losses = functional.cross_entropy(
        logits.flatten(0, 1).float(), batch.targets.flatten(), reduction="none", ignore_index=IGNORED
    )
    return losses.view(batch.targets.shape)


def draw_numbers(domains: Ints, drawn: Ints) -> Ints:
    """(B,) how many sequences of its domain were drawn before each of a batch.

    Args:
        domains: (B,) domains of the batch, in the order drawn.
        drawn: (K,) sequences drawn of each domain before the batch.
    """
    numbers = np.empty_like(domains)
    for domain, before in enumerate(drawn):
        where = np.flatnonzero(domains == domain)
        numbers[where] = before + np.arange(len(where))
    return numbers
