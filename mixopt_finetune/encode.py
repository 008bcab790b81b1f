"""Texts to tokens: pairs, windows over long contexts, and what stands for BERT's special tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.data.tokenizer import load_tokenizer
from mixopt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import tokenizers
    from numpy.typing import NDArray

# Below it a question and a window of its context do not fit.
_LEAST_CONTEXT = 32

# Texts encoded at a time: enough for all cores, few enough to forget the library's heavy results soon.
_AT_A_TIME = 1024


@dataclass(frozen=True, eq=False)
class Inputs:
    """n sequences of tokens.

    Attributes:
        tokens: (length,) ids of each.
        segments: (length,) 0 for the first text, 1 for the second, of each.
    """

    tokens: list[NDArray[np.int32]]
    segments: list[NDArray[np.int32]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) tokens of each."""
        return np.array([len(ids) for ids in self.tokens], dtype=np.int64)

    def add(self, encoding: tokenizers.Encoding) -> None:
        """Take in one sequence."""
        self.tokens.append(np.array(encoding.ids, dtype=np.int32))
        self.segments.append(np.array(encoding.type_ids, dtype=np.int32))


@dataclass(frozen=True, eq=False)
class Windows:
    """w windows over contexts, one or several to a question.

    Attributes:
        inputs: their tokens.
        question: (w,) which question each belongs to.
        bounds: (w, 2) first token of the context, and the one after its last.
        offsets: (length, 2) of each, where a token begins and ends in its context, in characters.
    """

    inputs: Inputs
    question: NDArray[np.int64]
    bounds: NDArray[np.int64]
    offsets: list[NDArray[np.int32]]


class Encoder:
    """A checkpoint's tokenizer, as fine-tuning uses it.

    A tokenizer that adds special tokens keeps its own form ([CLS] A [SEP] B [SEP]). One that adds none, such as a
    byte-level BPE, gets its end-of-text token in all these places: it stood between documents in pretraining, so it
    is what the model knows of beginnings and ends, and no token has to be learnt from few examples.

    Args:
        checkpoint: folder of the model and its tokenizer.
        rows: entries of the model's embedding.
        context: longest sequence of the model, in tokens.
        length: most tokens of an example.

    Raises:
        DataError: the tokenizer cannot be read, is another model's, or the context is too short.
    """

    def __init__(self, checkpoint: Path, rows: int, context: int, length: int) -> None:
        tokenizer = load_tokenizer(str(checkpoint))
        if tokenizer.vocab_size > rows:
            raise DataError(
                f"{checkpoint}: the tokenizer has {tokenizer.vocab_size} tokens and the model knows {rows}: it is "
                "another model's; give the checkpoint with the tokenizer that it was trained with"
            )
        if context < _LEAST_CONTEXT:
            raise DataError(
                f"{checkpoint}: fine-tuning needs a context of at least {_LEAST_CONTEXT} tokens, found {context}"
            )
        self._length = min(length, context)
        self._backend = tokenizer.backend
        self.padding = tokenizer.eot_id
        if self._backend.num_special_tokens_to_add(is_pair=True) == 0:
            self._backend.post_processor = _between_ends(self._backend, self.padding)

    def texts(self, texts: Sequence[tuple[str, ...]]) -> Inputs:
        """Sequences of one or two texts each; of two that are too long, the longer one loses its end."""
        self._backend.enable_truncation(self._length, strategy="longest_first")
        inputs = Inputs([], [])
        for encoding in self._encoded([text if len(text) == 2 else text[0] for text in texts]):
            inputs.add(encoding)
        return inputs

    def windows(self, texts: Sequence[tuple[str, ...]]) -> Windows:
        """Windows of questions and contexts.

        A window holds the question (its first tokens, half a length of them, if it is longer) and as much context
        as fits; neighbours share a third of the length, as 128 of 384 is usual.
        """
        self._backend.no_truncation()
        pairs = [(self._shortened(question), context) for question, context in texts]
        self._backend.enable_truncation(self._length, stride=self._length // 3, strategy="only_second")
        inputs, question, bounds, offsets = Inputs([], []), [], [], []
        for index, encoding in enumerate(self._encoded(pairs)):
            for window in (encoding, *encoding.overflowing):
                places = np.flatnonzero(np.array([part == 1 for part in window.sequence_ids]))
                if not len(places):
                    continue
                inputs.add(window)
                question.append(index)
                bounds.append((places[0], places[-1] + 1))
                offsets.append(np.array(window.offsets, dtype=np.int32))
        return Windows(inputs, np.array(question), np.array(bounds), offsets)

    def _shortened(self, question: str) -> str:
        offsets = self._backend.encode(question, add_special_tokens=False).offsets
        most = self._length // 2
        return question if len(offsets) <= most else question[: offsets[most - 1][1]]

    def _encoded(self, texts: Sequence[str | tuple[str, ...]]) -> Iterator[tokenizers.Encoding]:
        for start in range(0, len(texts), _AT_A_TIME):
            yield from self._backend.encode_batch(list(texts[start : start + _AT_A_TIME]))


def _between_ends(backend: tokenizers.Tokenizer, index: int) -> tokenizers.processors.TemplateProcessing:
    from tokenizers.processors import TemplateProcessing

    token = str(backend.id_to_token(index))
    single = f"{token}:0 $A:0 {token}:0"
    return TemplateProcessing(
        single=single.split(), pair=[*single.split(), "$B:1", f"{token}:1"], special_tokens=[(token, index)]
    )
