"""What a folder of prepared data holds: domains, splits, tokenizer and a fingerprint of the content.

A folder is self-contained and may be moved or copied:

    manifest.json            this module
    tokenizer/               the tokenizer, as `from_pretrained` reads it
    tokens/*.bin             token ids by domain and split, little-endian, end-of-text after each document
"""

from __future__ import annotations

import json
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from blake3 import blake3
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from mixopt.errors import DataError, first_problem
from mixopt.files import write_atomic
from mixopt.mixture import Mixture

FORMAT = 1
FILE_NAME = "manifest.json"
TOKENIZER_FOLDER = "tokenizer"

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Split:
    """One token file."""

    file: str  # path inside the data folder
    tokens: int  # token ids in the file, the end-of-text ones included
    documents: int  # documents in the file
    bytes: int  # UTF-8 bytes of the documents' text (what bits per byte divide by)
    hash: str  # blake3 of the file


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DomainEntry:
    """One domain."""

    name: str  # the domain's name
    train: Split  # documents to train on
    validation: Split  # documents held out
    duplicates_removed: int  # documents left out because a validation document of any domain has the same text
    source: str  # where the text came from, as it was given


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Manifest:
    """The content of a data folder."""

    dtype: Literal["uint16", "uint32"]  # type of a token id in the files
    vocab_size: int  # every token id is below it
    eot_id: int  # the end-of-text token
    tokenizer: str  # the tokenizer as it was asked for
    tokenizer_hash: str  # blake3 of the tokenizer itself
    domains: tuple[DomainEntry, ...]  # K domains, in the order of every (K,) array
    versions: dict[str, str] = field(default_factory=dict)  # versions of the libraries that made the tokens
    format: int = FORMAT  # version of this file's layout

    def __post_init__(self) -> None:
        names = self.domain_names
        if not names or len(set(names)) != len(names):
            raise DataError(f"manifest: expected one or more distinct domains, found {', '.join(names) or 'none'}")
        largest = 2 ** (16 if self.dtype == "uint16" else 32)
        if not 0 <= self.eot_id < self.vocab_size <= largest:
            raise DataError(
                "manifest: expected an end-of-text token below the vocabulary, and a vocabulary of at most "
                f"{largest} ({self.dtype}), found {self.eot_id} and {self.vocab_size}; prepare the data again"
            )

    @property
    def domain_names(self) -> tuple[str, ...]:
        """The K domain names, in order."""
        return tuple(domain.name for domain in self.domains)

    @property
    def tokens(self) -> dict[str, int]:
        """Training tokens by domain."""
        return {domain.name: domain.train.tokens for domain in self.domains}

    @property
    def natural(self) -> Mixture:
        """The natural mixture: each domain's share of the training tokens."""
        return Mixture.normalised(self.tokens)

    @property
    def fingerprint(self) -> str:
        """Hash of the content, 32 hexadecimal digits: domains in order, tokens, tokenizer; no paths or times."""
        content = {
            "dtype": self.dtype,
            "tokenizer": self.tokenizer_hash,
            "domains": [[d.name, d.train.hash, d.validation.hash] for d in self.domains],
        }
        return blake3(json.dumps(content, sort_keys=True).encode()).hexdigest(length=16)

    @classmethod
    def load(cls, folder: str | Path) -> Manifest:
        """The manifest of a data folder.

        Raises:
            DataError: no such folder, or its manifest cannot be used.
        """
        path = Path(folder) / FILE_NAME
        try:
            text = path.read_text(encoding="utf-8")
            content = json.loads(text)
        except FileNotFoundError as error:
            raise DataError(
                f"{folder}: no prepared data here ({FILE_NAME} is missing); make it with `mixopt data prepare`"
            ) from error
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({error}); prepare the data again") from error
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise DataError(f"{path}: expected a manifest of format {FORMAT}, found {found!r}; prepare the data again")
        try:
            return _ADAPTER.validate_json(text)
        except ValidationError as error:
            raise DataError(f"{path}: {first_problem(error)}; prepare the data again") from error

    def save(self, folder: str | Path) -> None:
        """Write the manifest into a data folder, atomically."""
        write_atomic(Path(folder) / FILE_NAME, json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n")

    def to_dict(self) -> dict[str, Any]:
        """The manifest as plain JSON values."""
        return _ADAPTER.dump_python(self, mode="json")


_ADAPTER: TypeAdapter[Manifest] = TypeAdapter(Manifest)
