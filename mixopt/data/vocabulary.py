"""What masked language modelling has to know of the tokenizer in a data folder, read without transformers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.data.manifest import TOKENIZER_FOLDER
from mixopt.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What a tokenizer without a mask token gets, beside its <|endoftext|>.
MASK_TOKEN = "<|mask|>"

# Space, line feed, tab and carriage return, as byte-level BPE writes them.
_BLANKS = ("Ġ", "Ċ", "ĉ", "č")


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Ordinary and special tokens.

    Attributes:
        mask_id: the tokenizer's mask token, or the first id that it leaves free.
        rows: ids that a model needs: the tokenizer's, and one for the mask token if it has none.
        ordinary: (n,) ids that text is made of, ascending: no special token, no mask token.
        is_special: (rows,) whether an id is not an ordinary one.
        folder: of the tokenizer.
    """

    mask_id: int
    rows: int
    ordinary: NDArray[np.int64]
    is_special: NDArray[np.bool_]
    folder: Path

    @classmethod
    def of_data(cls, data: str | Path, vocab_size: int) -> Vocabulary:
        """The vocabulary of a data folder.

        Args:
            data: the data folder.
            vocab_size: every token id is below it (`Manifest.vocab_size`).

        Raises:
            DataError: the folder's tokenizer cannot be read.
        """
        folder = Path(data) / TOKENIZER_FOLDER
        content, config = _read(folder / "tokenizer.json"), _read(folder / "tokenizer_config.json")
        try:
            ids = _ids(content)
            special = {token["id"] for token in content["added_tokens"] if token["special"]}
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{folder / 'tokenizer.json'}: no tokenizer ({error}); prepare the data again"
            ) from error
        name = config.get("mask_token") or MASK_TOKEN
        mask_id = ids.get(name["content"] if isinstance(name, dict) else name, vocab_size)
        rows = max(vocab_size, mask_id + 1)
        special.add(mask_id)
        ordinary = np.array(sorted(set(ids.values()) - special), dtype=np.int64)
        is_special = np.ones(rows, dtype=bool)
        is_special[ordinary] = False
        return cls(mask_id, rows, ordinary, is_special, folder)

    def word_bounds(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Where words begin: (rows,) whether a token begins one, and (rows,) whether the token after it does.

        In byte-level BPE a word begins with a token that begins with a blank, and after one that ends in one; in
        WordPiece, with every token that does not continue one.

        Raises:
            DataError: another kind of tokenizer.
        """
        content = _read(self.folder / "tokenizer.json")
        kind = content["model"]["type"]
        begins, ends = self.is_special.copy(), self.is_special.copy()
        if kind == "WordPiece":
            prefix = content["model"]["continuing_subword_prefix"]
            for token, index in _ids(content).items():
                begins[index] |= not token.startswith(prefix)
        elif kind == "BPE" and _is_byte_level(content.get("pre_tokenizer")):
            for token, index in _ids(content).items():
                begins[index] |= token.startswith(_BLANKS)
                ends[index] |= token.endswith(_BLANKS)
        else:
            raise DataError(
                f"training.whole_word: expected a byte-level BPE or WordPiece tokenizer, whose tokens tell where "
                f"words begin, found {kind} in {self.folder}; leave it false"
            )
        return begins, ends


def _ids(content: dict[str, Any]) -> dict[str, int]:
    vocabulary = content["model"]["vocab"]
    ids = dict(vocabulary) if isinstance(vocabulary, dict) else {row[0]: i for i, row in enumerate(vocabulary)}
    return ids | {token["content"]: token["id"] for token in content["added_tokens"]}


def _is_byte_level(pre_tokenizer: dict[str, Any] | None) -> bool:
    if pre_tokenizer is None:
        return False
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    return any(part["type"] == "ByteLevel" for part in parts)


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); prepare the data again") from error
