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
    from mixopt.arrays import Bools, Ints
    from mixopt.data.manifest import Manifest

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
        content: the tokenizer's own JSON.
    """

    mask_id: int
    rows: int
    ordinary: Ints
    is_special: Bools
    content: dict[str, Any]

    @classmethod
    def of_data(cls, data: str | Path, manifest: Manifest) -> Vocabulary:
        """The vocabulary of a data folder.

        Args:
            data: the data folder.
            manifest: what it holds.

        Raises:
            DataError: the folder's tokenizer cannot be read.
        """
        from tokenizers import Tokenizer

        folder = Path(data) / TOKENIZER_FOLDER
        try:
            backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
            config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        except Exception as error:  # tokenizers raises bare ones
            raise DataError(f"{folder}: the tokenizer cannot be read ({error}); prepare the data again") from error
        ids = set(backend.get_vocab(with_added_tokens=True).values())
        special = {index for index, token in backend.get_added_tokens_decoder().items() if token.special}
        special.add(manifest.eot_id)
        name = config.get("mask_token") or MASK_TOKEN
        name = name["content"] if isinstance(name, dict) else name
        # The id that the library gives it, and will give it in the tokenizer of a model that is kept.
        backend.add_special_tokens([name])
        mask_id = backend.get_vocab(with_added_tokens=True)[name]
        rows = max(manifest.vocab_size, mask_id + 1)
        ordinary = np.array(sorted(ids - special - {mask_id}), dtype=np.int64)
        is_special = np.ones(rows, dtype=bool)
        is_special[ordinary] = False
        return cls(mask_id, rows, ordinary, is_special, json.loads(backend.to_str()))

    def word_bounds(self) -> tuple[Bools, Bools]:
        """Where words begin: (rows,) whether a token begins one, and (rows,) whether the token after it does.

        In byte-level BPE a word begins with a token that begins with a blank, and after one that ends in one; in
        WordPiece, with every token that does not continue one.

        Raises:
            DataError: another kind of tokenizer.
        """
        model, kind = self.content["model"], self.content["model"]["type"]
        begins, ends = self.is_special.copy(), self.is_special.copy()
        if kind == "WordPiece":
            for token, index in model["vocab"].items():
                begins[index] |= not token.startswith(model["continuing_subword_prefix"])
        elif kind == "BPE" and _is_byte_level(self.content["pre_tokenizer"]):
            for token, index in model["vocab"].items():
                begins[index] |= token.startswith(_BLANKS)
                ends[index] |= token.endswith(_BLANKS)
        else:
            raise DataError(
                f"training.whole_word: expected a byte-level BPE or WordPiece tokenizer, whose tokens tell where "
                f"words begin, found {kind}; leave it false"
            )
        return begins, ends


def _is_byte_level(pre_tokenizer: dict[str, Any] | None) -> bool:
    if pre_tokenizer is None:
        return False
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    return any(part["type"] == "ByteLevel" for part in parts)
