"""Masks of masked language models: which tokens are predicted, and what stands in their place.

BERT (Devlin et al. 2019), section 3.1 and appendix A.1: 15 % of a sequence's tokens are predicted; of these 80 %
become the mask token, 10 % a random token, and 10 % are left. Special tokens are neither masked nor drawn.
A mask is a function of a key: whoever knows the key of a sequence, on whatever process, in whatever batch and after
whatever interruption, draws the same.

Symbols: n sequences of L tokens, T the most tokens that are masked in one.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from mixopt.arrays import Bools, Ints
from mixopt.data.sampler import mix
from mixopt.models.bert import MASKED_SHARE

if TYPE_CHECKING:
    from mixopt.data.tokenizer import Vocabulary

# A target that is none, as torch's cross-entropy has it.
IGNORED = -100

# What becomes of a masked token, in shares: the mask token, a random one, else itself.
_MASK, _RANDOM = 0.8, 0.1

# Independent random numbers of one position.
_ORDER, _FATE, _TOKEN = range(3)


@dataclass(frozen=True, eq=False)
class Masked:
    """n masked sequences."""

    inputs: Ints  # (n, L) what the model sees
    positions: Ints  # (n, T) ascending positions of the masked tokens; where a sequence has fewer, 0 follows
    targets: Ints  # (n, T) the tokens that were there; `IGNORED` where a sequence has fewer


def stream_key(*identity: Hashable) -> np.uint64:
    """The key of a stream of sequences, by values with a faithful `repr`."""
    return np.frombuffer(blake3(repr(identity).encode()).digest(length=8), dtype="<u8")[0]


def sequence_keys(streams: NDArray[np.uint64], numbers: Ints) -> NDArray[np.uint64]:
    """(n,) keys of sequences, by their streams' keys and their numbers there, (n,) each."""
    return mix(numbers.astype(np.uint64), streams)


class Masking:
    """Masks sequences.

    Args:
        vocabulary: of the data.
        length: L.
        whole_word: mask all tokens of a word or none.

    Raises:
        DataError: `whole_word`, and the tokenizer does not tell where words begin.
    """

    def __init__(self, vocabulary: Vocabulary, length: int, *, whole_word: bool) -> None:
        self._vocabulary = vocabulary
        self.most = max(1, round(MASKED_SHARE * length))
        self._bounds = vocabulary.word_bounds() if whole_word else None

    def __call__(self, tokens: Ints, keys: NDArray[np.uint64]) -> Masked:
        """Mask sequences.

        Args:
            tokens: (n, L) token ids.
            keys: (n,) one for each sequence.
        """
        columns = np.arange(tokens.shape[1], dtype=np.uint64)[None, :] * np.uint64(3)

        def numbers(kind: int) -> NDArray[np.uint64]:
            return mix(columns + np.uint64(kind), keys[:, None])

        special = self._vocabulary.is_special[tokens]
        order = numbers(_ORDER).astype(np.int64)
        chosen = self._tokens(order, special) if self._bounds is None else self._words(tokens, order, special)
        inputs = self._replaced(tokens, chosen, numbers(_FATE), numbers(_TOKEN))
        # A stable sort of "not chosen" puts the chosen positions first, in their order.
        first = np.argsort(~chosen, axis=1, kind="stable")[:, : self.most]
        there = np.take_along_axis(chosen, first, axis=1)
        targets = np.take_along_axis(tokens, first, axis=1)
        return Masked(inputs, np.where(there, first, 0), np.where(there, targets, IGNORED))

    def _tokens(self, order: Ints, special: Bools) -> Bools:
        """(n, L) the ordinary tokens that come first in a random order."""
        order = np.where(special, np.iinfo(np.int64).max, order)
        first = np.argpartition(order, self.most - 1, axis=1)[:, : self.most]
        chosen = np.zeros_like(special)
        np.put_along_axis(chosen, first, values=True, axis=1)
        return chosen & ~special

    def _words(self, tokens: Ints, order: Ints, special: Bools) -> Bools:
        """(n, L) all tokens of words in a random order, as far as they fit; one that does not is passed over."""
        assert self._bounds is not None
        begins, ends = self._bounds
        starts = begins[tokens]
        starts[:, 1:] |= ends[tokens[:, :-1]]
        starts[:, 0] = True
        words = np.cumsum(starts, axis=1) - 1
        rows = np.arange(len(tokens))[:, None]
        sizes = np.zeros_like(words)
        np.add.at(sizes, (rows, words), 1)
        # A word's place is its first token's; special tokens are words of their own, and too long to fit.
        places = np.full_like(order, np.iinfo(np.int64).max)
        np.minimum.at(places, (rows, words), np.where(starts, order, np.iinfo(np.int64).max))
        np.add.at(sizes, (rows, words), np.where(special, self.most, 0))
        taken, filled = np.zeros_like(special), np.zeros(len(tokens), dtype=np.int64)
        for word in np.argsort(places, axis=1).T:
            size = sizes[rows[:, 0], word]
            fits = (size > 0) & (filled + size <= self.most)
            taken[rows[:, 0], word] = fits
            filled += np.where(fits, size, 0)
            if (filled == self.most).all():
                break
        return np.take_along_axis(taken, words, axis=1)

    def _replaced(self, tokens: Ints, chosen: Bools, fates: NDArray[np.uint64], draws: NDArray[np.uint64]) -> Ints:
        """(n, L) the tokens with mask tokens and random ones in place of the chosen."""
        ordinary = self._vocabulary.ordinary
        share = fates / 2.0**63
        masked = np.where(chosen & (share < _MASK), self._vocabulary.mask_id, tokens)
        random = ordinary[(draws % np.uint64(len(ordinary))).astype(np.int64)]
        return np.where(chosen & (share >= _MASK) & (share < _MASK + _RANDOM), random, masked)
