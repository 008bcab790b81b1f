"""The first pass over a domain: how much there is, which documents to hold out, a sample for a tokenizer.

Documents are chosen by the hash of their text: the smallest hashes are held out, the largest make the sample. Both
are thus uniform samples that depend on the content alone (not on order, file names or a seed), found in one pass in
bounded memory; and a text that occurs twice is held out as a whole or not at all.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from blake3 import blake3

from mixopt.errors import DataError

# Beyond this many documents a larger validation set tells nothing that a proxy run could resolve.
MAX_VALIDATION_DOCUMENTS = 20_000
# One long document must not fill a tokenizer's sample.
_SAMPLE_CHARACTERS = 65_536
_HASH_BITS = 128


@dataclass(frozen=True)
class Scan:
    """What the first pass found in a domain."""

    documents: int  # documents, repeated ones included
    bytes: int  # UTF-8 bytes of them
    validation: tuple[str, ...]  # hashes of the documents to hold out, as `document_hash` gives them
    # (hash, text) of documents to train a tokenizer on, long ones cut; may overlap `validation`
    sample: tuple[tuple[str, str], ...]


def document_hash(content: bytes) -> str:
    """blake3 of a document's UTF-8 bytes, 32 hexadecimal digits."""
    return blake3(content).hexdigest(length=_HASH_BITS // 8)


def scan_domain(
    name: str,
    documents: Iterable[str],
    *,
    validation_share: float,
    validation_bytes: int,
    sample_bytes: int = 0,
    report: Callable[[int, int], None] = lambda _documents, _bytes: None,
) -> Scan:
    """Go through a domain's documents once.

    Args:
        validation_share: part of the domain's bytes to hold out, copies counted (whole documents: what fits, at
            least one).
        validation_bytes: the most bytes to hold out.
        sample_bytes: bytes of text for a tokenizer's sample; 0 for none.
        report: called now and then with the documents and bytes so far.

    Raises:
        DataError: fewer than two different documents.
    """
    held = _Smallest(validation_bytes, MAX_VALIDATION_DOCUMENTS)
    sample = _Smallest(sample_bytes, MAX_VALIDATION_DOCUMENTS)
    # A shortest document is held out if none fits the budget.
    shortest: tuple[int, str] | None = None
    first, distinct = "", False
    count = total = 0
    for text in documents:
        content = text.encode()
        key, size = document_hash(content), len(content)
        count, total = count + 1, total + size
        first = first or key
        distinct = distinct or key != first
        shortest = min(shortest or (size, key), (size, key))
        if size <= validation_bytes:
            held.offer(int(key, 16), size, "")
        if sample_bytes:
            text = text[:_SAMPLE_CHARACTERS]
            sample.offer(~int(key, 16) % 2**_HASH_BITS, len(text.encode()), text)
        if count % 256 == 0:
            report(count, total)
    if shortest is None or not distinct:
        raise DataError(
            f"domain {name!r}: expected at least two different documents (one is held out for validation), found "
            f"{'one' if count else 'none'}"
        )
    report(count, total)
    return Scan(
        documents=count,
        bytes=total,
        validation=_within(held, validation_share * total, validation_bytes) or (shortest[1],),
        sample=tuple((f"{2**_HASH_BITS - 1 - key:032x}", item.text) for key, item in sample.sorted()),
    )


def _within(held: _Smallest, share_bytes: float, most_bytes: int) -> tuple[str, ...]:
    """Hashes from the smallest on, passing over documents that no longer fit.

    A document that is held out takes its copies out of training as well, so they count for the share.
    """
    chosen: list[str] = []
    for key, item in held.sorted():
        if item.with_copies <= share_bytes and item.bytes <= most_bytes:
            chosen.append(f"{key:032x}")
            share_bytes -= item.with_copies
            most_bytes -= item.bytes
    return tuple(chosen)


@dataclass
class _Item:
    bytes: int
    with_copies: int
    text: str


class _Smallest:
    """The distinct items of smallest key, as few as hold `budget` bytes."""

    def __init__(self, budget: int, most: int) -> None:
        self._budget, self._most = budget, most
        self._bytes = 0
        self._heap: list[int] = []  # largest key first, so keys are negated
        self._items: dict[int, _Item] = {}

    def offer(self, key: int, size: int, text: str) -> None:
        if key in self._items:
            # Once refused or dropped, a key stays out (the largest kept one only falls), so no copy is missed.
            self._items[key].with_copies += size
            return
        if (self._bytes >= self._budget or len(self._heap) >= self._most) and key > -self._heap[0]:
            return
        heapq.heappush(self._heap, -key)
        self._items[key] = _Item(size, size, text)
        self._bytes += size
        while self._bytes - self._items[-self._heap[0]].bytes >= self._budget or len(self._heap) > self._most:
            self._bytes -= self._items.pop(-heapq.heappop(self._heap)).bytes

    def sorted(self) -> list[tuple[int, _Item]]:
        """Keys and items from the smallest key on."""
        return sorted(self._items.items(), key=lambda pair: pair[0])
