"""The natural mixture without tokenising everything, from the documents and bytes of each domain and a sample.

ADO (Jiang et al. 2024) takes the mean tokens of 1,000 documents a domain times its number of documents. Since
counting documents goes through the text anyway, we count bytes too and multiply them by the sample's tokens a byte
(the ratio estimator: Cochran, "Sampling Techniques", 1977, chapter 6). Lengths of documents spread over decades,
tokens per byte hardly: of 656 pages of manual, 100 gave 0.66 of the tokens by the mean, 0.997 by the ratio.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixopt.data.manifest import TOKENIZER_FOLDER, Manifest
from mixopt.data.readers import read_documents
from mixopt.data.scan import document_hash
from mixopt.data.tokenizer import TextTokenizer, bpe_vocabulary, load_tokenizer
from mixopt.data.tokens import TokenData
from mixopt.data.write import split_long
from mixopt.errors import ConfigError, DataError
from mixopt.mixture import Mixture

_TOKENS = 40


def sample_texts(folder: Path, manifest: Manifest, characters: int = 40) -> list[str]:
    """The start of a training document from the middle of each domain, in one line of printable characters.

    Raises:
        DataError: the folder's tokenizer is missing, or is not the one that made its tokens.
    """
    path = folder / TOKENIZER_FOLDER / "tokenizer.json"
    if not path.is_file():
        raise DataError(f"{path}: the tokenizer is missing; put it back or prepare the data again")
    tokenizer = load_tokenizer(str(path), label=manifest.tokenizer)
    if tokenizer.hash != manifest.tokenizer_hash:
        raise DataError(
            f"{path}: expected the tokenizer that made the tokens ({manifest.tokenizer}, hash "
            f"{manifest.tokenizer_hash[:12]}), found another ({tokenizer.hash[:12]}); put it back or prepare the "
            "data again"
        )
    samples = []
    for tokens in TokenData.open(folder, verify=False).train:
        middle = len(tokens) // 2
        window = tokens[middle : middle + 100_000]
        ends = (window == manifest.eot_id).nonzero()[0]
        # The document after the next end-of-text; the first one where the middle is in the last.
        start = middle + int(ends[0]) + 1 if len(ends) and middle + int(ends[0]) + 1 < len(tokens) else 0
        ids = tokens[start : start + _TOKENS].tolist()
        if manifest.eot_id in ids:
            ids = ids[: ids.index(manifest.eot_id)]
        words = " ".join(tokenizer.decode(ids).split())
        samples.append("".join(c if c.isprintable() else "�" for c in words)[:characters])
    return samples


@dataclass(frozen=True)
class DomainEstimate:
    """An estimate of one domain's size."""

    name: str  # the domain
    documents: int  # documents in it, counted
    bytes: int  # UTF-8 bytes of them, counted
    sampled: int  # documents that were tokenised
    tokens: float  # estimated tokens of the domain, end-of-text included
    standard_error: float  # of `tokens`; 0 where every document was tokenised, NaN for one of several


def estimate(
    domains: Mapping[str, str | Path], tokenizer: str, *, documents: int = 1000, text_key: str = "text"
) -> list[DomainEstimate]:
    """Estimate the tokens of each domain from `documents` of its documents.

    Documents are drawn uniformly by the hash of their text and place, so the same call gives the same numbers. All
    of the text is read (to count documents), twice; only the drawn documents are tokenised (and held in memory).

    Args:
        tokenizer: path or name of a tokenizer.
        text_key: key of the text in a JSON object, column in a table.

    Raises:
        DataError: text or tokenizer cannot be used.
        ConfigError: the tokenizer is one to be trained.
    """
    if bpe_vocabulary(tokenizer):
        raise ConfigError(f"tokenizer {tokenizer!r}: an estimate needs a tokenizer that exists; give a path or a name")
    text_tokenizer = load_tokenizer(tokenizer)
    return [
        _estimate_domain(name, str(location), text_tokenizer, documents, text_key) for name, location in domains.items()
    ]


def natural_mixture(estimates: list[DomainEstimate]) -> Mixture:
    """Shares of the estimated tokens."""
    return Mixture.normalised({part.name: part.tokens for part in estimates})


def _estimate_domain(name: str, location: str, tokenizer: TextTokenizer, most: int, text_key: str) -> DomainEstimate:
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
    sample = [text for place, text in enumerate(read_documents(location, text_key)) if place in places]
    sizes = np.array([len(text.encode()) for text in sample], dtype=np.float64)
    tokens = np.array([sum(map(len, tokenizer.encode(split_long(text)))) for text in sample], dtype=np.float64)
    per_byte = tokens.sum() / sizes.sum()
    # Without replacement: the finite population correction takes the error to 0 when all are drawn.
    sampled = len(sample)
    spread = np.sqrt(((tokens - per_byte * sizes) ** 2).sum() / (sampled - 1)) if sampled > 1 else math.nan
    error = count * spread * math.sqrt((1 - sampled / count) / sampled) if sampled < count else 0.0
    # Each document ends with one token that takes no bytes.
    return DomainEstimate(name, count, size, sampled, float(per_byte * size) + count, float(error))
