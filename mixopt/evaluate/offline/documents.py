"""Passages of a domain's held-out documents, in words, each with the tokens that it takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixopt.arrays import Ints
from mixopt.data.manifest import TOKENIZER_FOLDER
from mixopt.data.tokenizer import TextTokenizer, load_tokenizer
from mixopt.data.tokens import TokenData
from mixopt.errors import DataError

if TYPE_CHECKING:
    import random


# Tokens of a prompt with its answer: the length of the demo's training sequences, the shortest in use. Positions
# beyond those that a model was trained on mean nothing to it.
MAX_TOKENS = 64
# A passage is cut from so many tokens, as words at its borders are lost.
_WINDOW = 96
_CHUNK = 256
# Between a word and the single space before the next one, where every pre-tokenizer divides.
_BORDER = re.compile(r"(?<=\S)(?= \S)")


@dataclass(frozen=True)
class Passage:
    """Consecutive words of one held-out document."""

    document: int  # which one
    words: tuple[str, ...]  # the words; each but the first begins with its space
    tokens: tuple[tuple[int, ...], ...]  # token ids of each word

    def text(self, start: int, end: int | None) -> str:
        """Words `start` to `end` (not included; None for the last), as they stand in the document."""
        return "".join(self.words[start:end])


class HeldOut:
    """The validation documents of a data folder.

    Args:
        folder: what `mixopt data prepare` made.

    Raises:
        DataError: no prepared data there, or its tokenizer is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._data = TokenData.open(folder)
        self.manifest = self._data.manifest
        path = self.folder / TOKENIZER_FOLDER / "tokenizer.json"
        if not path.is_file():
            raise DataError(f"{path}: the tokenizer is missing; put it back or prepare the data again")
        self.tokenizer: TextTokenizer = load_tokenizer(str(path), label=self.manifest.tokenizer)
        self._encoded: dict[str, tuple[int, ...]] = {}

    def token_counts(self, domain: str) -> Ints:
        """How often each token occurs in a domain's held-out documents, shape (V,)."""
        return np.bincount(self._tokens(domain), minlength=self.manifest.vocab_size)

    def passages(self, domain: str, rng: random.Random) -> Iterator[list[Passage]]:
        """Passages that do not overlap, in lists: first one of each document, then a second, and so on."""
        tokens = self._tokens(domain)
        windows = _windows(tokens, self.manifest.eot_id, rng)
        for first in range(0, len(windows), _CHUNK):
            yield self._read(tokens, windows[first : first + _CHUNK])

    def fitting(self, prompts: Sequence[tuple[str, str]]) -> list[bool]:
        """For each context and answer, whether they are tokenised apart as together, and within `MAX_TOKENS`."""
        if not prompts:
            return []
        ids = self.tokenizer.encode([text for context, answer in prompts for text in (context, context + answer)])
        return [
            0 < len(context) < len(whole) <= MAX_TOKENS and np.array_equal(whole[: len(context)], context)
            for context, whole in zip(ids[::2], ids[1::2], strict=True)
        ]

    def _read(self, tokens: NDArray[np.unsignedinteger], windows: Sequence[_Window]) -> list[Passage]:
        texts = self.tokenizer.backend.decode_batch([tokens[w.start : w.end].tolist() for w in windows])
        passages = []
        for window, text in zip(windows, texts, strict=True):
            words = _BORDER.split(text)
            # A window cuts the words at its borders in two, and perhaps a character.
            words = words[0 if window.opens else 1 : None if window.closes else -1]
            if words:
                passages.append((window.document, (words[0].lstrip(), *words[1:])))
        new = {word: None for _, words in passages for word in words if word not in self._encoded}
        if new:
            ids = self.tokenizer.encode(list(new))
            self._encoded |= {word: tuple(word_ids.tolist()) for word, word_ids in zip(new, ids, strict=True)}
        return [Passage(document, words, tuple(self._encoded[word] for word in words)) for document, words in passages]

    def _tokens(self, domain: str) -> NDArray[np.unsignedinteger]:
        (index,) = self._data.indices([domain])
        return self._data.validation[index]


class _Window(NamedTuple):
    """A place in a token file, and whether the document begins and ends there."""

    document: int
    start: int
    end: int
    opens: bool
    closes: bool


def _windows(tokens: NDArray[np.unsignedinteger], eot_id: int, rng: random.Random) -> list[_Window]:
    """All places that do not overlap: one of each document, then a second of each that has one, and so on."""
    ends = np.flatnonzero(tokens == eot_id).tolist()
    starts = [0, *(end + 1 for end in ends)][: len(ends)]
    by_document = []
    for document, (start, end) in enumerate(zip(starts, ends, strict=True)):
        # Where a document is cut is random, so that its beginning is not always in a passage.
        first = start if end - start <= _WINDOW else start + rng.randrange((end - start) % _WINDOW + 1)
        places = [
            _Window(document, at, min(at + _WINDOW, end), at == start, at + _WINDOW >= end)
            for at in range(first, max(first + 1, end - _WINDOW + 1), _WINDOW)
        ]
        rng.shuffle(places)
        by_document.append(places)
    rng.shuffle(by_document)
    most = max(map(len, by_document), default=0)
    return [places[turn] for turn in range(most) for places in by_document if turn < len(places)]
