"""The natural mixture without tokenising everything: mean tokens of some documents × number of documents.

ADO (Jiang et al. 2024) takes 1,000 documents a domain for the natural mixture of the Pile.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.data.readers import read_documents
from mixopt.data.scan import document_hash
from mixopt.data.tokenizer import bpe_vocabulary, load_tokenizer
from mixopt.data.write import split_long
from mixopt.errors import ConfigError, DataError
from mixopt.mixture import Mixture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mixopt.data.tokenizer import TextTokenizer


@dataclass(frozen=True)
class DomainEstimate:
    """An estimate of one domain's size.

    Attributes:
        name: the domain.
        documents: documents in it, counted.
        bytes: UTF-8 bytes of them, counted.
        sampled: documents that were tokenised.
        tokens_per_document: mean of these, the end-of-text token included.
        standard_error: of `tokens_per_document`; 0 where every document was tokenised, NaN for one of several.
    """

    name: str
    documents: int
    bytes: int
    sampled: int
    tokens_per_document: float
    standard_error: float

    @property
    def tokens(self) -> float:
        """Estimated tokens of the domain."""
        return self.documents * self.tokens_per_document


def estimate(
    domains: Mapping[str, str | Path], tokenizer: str, *, documents: int = 1000, text_key: str = "text"
) -> list[DomainEstimate]:
    """Estimate the tokens of each domain from `documents` of its documents.

    Documents are drawn uniformly by the hash of their text and place, so the same call gives the same numbers. All
    of the text is read (to count documents), twice; only the drawn documents are tokenised.

    Args:
        domains: where each domain's text is, by name.
        tokenizer: path or name of a tokenizer.
        documents: documents to tokenise in each domain.
        text_key: key of the text in a JSON object, column in a table.

    Raises:
        DataError: text or tokenizer cannot be used.
        ConfigError: the tokenizer is one to be trained.
    """
    if bpe_vocabulary(tokenizer):
        raise ConfigError(
            f"tokenizer {tokenizer!r}: an estimate needs a tokenizer that exists; give a path or a name"
        )
    text_tokenizer = load_tokenizer(tokenizer)
    return [
        _estimate_domain(name, str(location), text_tokenizer, documents, text_key)
        for name, location in domains.items()
    ]


def natural_mixture(estimates: list[DomainEstimate]) -> Mixture:
    """Shares of the estimated tokens."""
    return Mixture.normalised({part.name: part.tokens for part in estimates})


def _estimate_domain(
    name: str, location: str, tokenizer: TextTokenizer, most: int, text_key: str
) -> DomainEstimate:
    count = size = 0
    drawn: list[tuple[int, int]] = []  # a heap of (-hash, place): the `most` smallest hashes
    for place, text in enumerate(read_documents(location, text_key)):
        content = text.encode()
        count, size = count + 1, size + len(content)
        entry = (-int(document_hash(b"%d:" % place + content), 16), place)
        if len(drawn) < most:
            heapq.heappush(drawn, entry)
        else:
            heapq.heappushpop(drawn, entry)
    if not count:
        raise DataError(f"domain {name!r}: expected documents at {location}, found none")
    places = {place for _, place in drawn}
    lengths = np.array(
        [
            1 + sum(len(ids) for ids in tokenizer.encode(split_long(text)))
            for place, text in enumerate(read_documents(location, text_key))
            if place in places
        ],
        dtype=np.float64,
    )
    sampled = len(lengths)
    # Without replacement: the finite population correction takes the error to 0 when all are drawn.
    deviation = lengths.std(ddof=1) if sampled > 1 else math.nan
    error = 0.0 if sampled == count else deviation * math.sqrt((1 - sampled / count) / sampled)
    return DomainEstimate(name, count, size, sampled, float(lengths.mean()), float(error))
