"""A few words of each domain, safe to print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.data.manifest import TOKENIZER_FOLDER, Manifest
from mixopt.data.tokenizer import load_tokenizer
from mixopt.data.tokens import TokenData
from mixopt.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

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
