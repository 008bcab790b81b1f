"""The second pass over a domain: documents to token files, in a way that a kill at any moment cannot harm.

Tokens are appended to two files; now and then the files are flushed to the disk and then a `Position` is saved. A
new start cuts the files back to the saved position, passes over the documents before it and goes on, so that the
files end with the same bytes as without the interruption.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mixopt.data.scan import document_hash
from mixopt.errors import DataError

if TYPE_CHECKING:
    from mixopt.data.tokenizer import TextTokenizer

COMMIT_SECONDS = 2.0
_BATCH_CHARACTERS = 1_000_000
_PIECE_CHARACTERS = 500_000
# Between two words: no pre-tokenizer joins what a single space divides from the word before it.
_BORDER = re.compile(r"(?<=\S)(?= \S)|(?<=\S\n)(?=\S)")


@dataclass
class Written:
    """What is in one split's file."""

    tokens: int = 0
    documents: int = 0
    bytes: int = 0


@dataclass
class Position:
    """How far a domain is written."""

    documents: int = 0  # documents of the source that were dealt with
    duplicates: int = 0  # of these, how many were left out as copies of validation documents
    train: Written = field(default_factory=Written)  # what is in the training file
    validation: Written = field(default_factory=Written)  # what is in the validation file

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Position:
        """The inverse of `asdict`."""
        splits = {name: Written(**content[name]) for name in ("train", "validation")}
        return cls(**{**content, **splits})


def write_domain(
    documents: Iterable[str],
    tokenizer: TextTokenizer,
    *,
    own: Collection[str],
    held_out: Collection[str],
    train_file: Path,
    validation_file: Path,
    position: Position,
    commit: Callable[[Position], None],
    report: Callable[[int, int], None],
) -> Position:
    """Append a domain's documents, from `position` on, to its two token files.

    Args:
        tokenizer: makes the tokens.
        held_out: hashes of every domain's validation documents; copies do not go into the training file.
        train_file: tokens of the training documents.
        validation_file: tokens of the validation documents.
        position: what an earlier call committed last; the zero position if none did.
        commit: saves a position; everything before it is on the disk by then.
        report: called now and then with the documents and bytes so far.

    Returns:
        The final position, committed.

    Raises:
        DataError: a token id does not fit.
    """
    dtype = np.dtype(tokenizer.dtype).newbyteorder("<")
    if any(
        (path.stat().st_size if path.exists() else 0) < part.tokens * dtype.itemsize
        for path, part in ((train_file, position.train), (validation_file, position.validation))
    ):
        position = Position()  # the files lost what was committed: write them anew
    with (
        _append(train_file, position.train.tokens * dtype.itemsize) as train,
        _append(validation_file, position.validation.tokens * dtype.itemsize) as validation,
    ):
        outputs = {"train": (train, position.train), "validation": (validation, position.validation)}

        def save() -> None:
            for file, _ in outputs.values():
                file.flush()
                os.fsync(file.fileno())
            commit(position)

        saved = time.monotonic()
        for batch in _batches(documents, own, held_out, position):
            texts = [text for split, text, _ in batch if split]
            for (split, _, size), ids in zip(
                (entry for entry in batch if entry[0]), _encode(tokenizer, texts), strict=True
            ):
                file, written = outputs[split]
                file.write(ids.astype(dtype).tobytes())
                written.tokens += len(ids)
                written.documents += 1
                written.bytes += size
            position.documents += len(batch)
            position.duplicates += sum(not split for split, _, _ in batch)
            report(position.documents, position.train.bytes + position.validation.bytes)
            if time.monotonic() - saved >= COMMIT_SECONDS:
                save()
                saved = time.monotonic()
        save()
    return position


def _append(path: Path, size: int) -> BinaryIO:
    """The file, cut to `size` bytes, open at its end."""
    file = path.open("r+b" if path.exists() else "w+b")
    file.truncate(size)
    file.seek(size)
    return file


def _batches(
    documents: Iterable[str], own: Collection[str], held_out: Collection[str], position: Position
) -> Iterator[list[tuple[str, str, int]]]:
    """Batches of (split, text, bytes) after `position`; the split is empty for a document to leave out."""
    start = position.documents
    seen: set[str] = set()
    batch: list[tuple[str, str, int]] = []
    characters = 0
    for number, text in enumerate(documents):
        content = text.encode()
        key = document_hash(content)
        split = "train"
        if key in held_out:
            split = "validation" if key in own and key not in seen else ""
            seen.add(key)
        if number < start:
            continue
        batch.append((split, text if split else "", len(content)))
        characters += len(text)
        if characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _encode(tokenizer: TextTokenizer, texts: list[str]) -> Iterator[np.ndarray]:
    """Token ids of each text and the end-of-text token, checked."""
    pieces = [split_long(text) for text in texts]
    encoded = iter(tokenizer.encode([piece for parts in pieces for piece in parts]))
    end = np.array([tokenizer.eot_id], dtype=np.uint32)
    for parts in pieces:
        ids = np.concatenate([*(next(encoded) for _ in parts), end])
        if ids.max() >= tokenizer.vocab_size:
            raise DataError(
                f"tokenizer {tokenizer.label}: expected token ids below its vocabulary of {tokenizer.vocab_size}, "
                f"found {ids.max()}"
            )
        yield ids


def split_long(text: str, most: int = _PIECE_CHARACTERS) -> list[str]:
    """A text in pieces of about `most` characters, cut between words: memory of the tokenizer is per piece."""
    pieces, start = [], 0
    while len(text) - start > most:
        border = _BORDER.search(text, start + most, start + 2 * most)
        # Text without spaces (a sequence of bases, say) must be cut somewhere.
        end = border.start() if border else min(len(text), start + 2 * most)
        pieces.append(text[start:end])
        start = end
    return [*pieces, text[start:]] if start < len(text) or not pieces else pieces
