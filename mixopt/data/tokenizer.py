"""Tokenizers: any fast Hugging Face one, or a byte-level BPE trained on the domains themselves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from mixopt.arrays import Bools, Ints
from mixopt.data.manifest import TOKENIZER_FOLDER, Manifest
from mixopt.errors import DataError
from mixopt.files import hash_file

if TYPE_CHECKING:
    import tokenizers


END_OF_TEXT = "<|endoftext|>"
BPE_PREFIX = "bpe:"
# 256 bytes and the end-of-text token.
SMALLEST_BPE = 257


@dataclass(frozen=True)
class TextTokenizer:
    """A tokenizer as data preparation needs it."""

    backend: tokenizers.Tokenizer  # the tokenizer, without padding, truncation or reading of special tokens in the text
    fast: Any  # the same as transformers' own class, for `save_pretrained`
    label: str  # the name that it was asked for by
    eot_id: int  # the end-of-text token
    vocab_size: int  # every token id is below it

    @property
    def hash(self) -> str:
        """blake3 of the tokenizer's own JSON."""
        return blake3(self.backend.to_str().encode()).hexdigest()

    @property
    def dtype(self) -> str:
        """Smallest type of a token id: `uint16` or `uint32`."""
        return token_dtype(self.vocab_size, self.label)

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """Token ids of each text (no special tokens), by all cores at once."""
        encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids."""
        return self.backend.decode(list(ids))

    def save(self, folder: Path) -> None:
        """Write what `from_pretrained` reads."""
        self.fast.save_pretrained(folder)


def token_dtype(vocab_size: int, label: str) -> str:
    """Smallest type that holds every id of a vocabulary.

    Raises:
        DataError: more ids than uint32 holds.
    """
    if vocab_size <= 2**16:
        return "uint16"
    if vocab_size <= 2**32:
        return "uint32"
    raise DataError(f"tokenizer {label}: expected a vocabulary of at most 2^32 (uint32), found {vocab_size}")


def bpe_vocabulary(name: str) -> int | None:
    """The vocabulary size in `bpe:VOCAB`; None for any other tokenizer name.

    Raises:
        DataError: `bpe:` without a usable size.
    """
    if not name.startswith(BPE_PREFIX):
        return None
    size = name.removeprefix(BPE_PREFIX)
    if not size.isdecimal() or int(size) < SMALLEST_BPE:
        raise DataError(f"tokenizer {name!r}: expected bpe:VOCAB with a vocabulary of at least {SMALLEST_BPE}")
    return int(size)


def identity(name: str) -> str:
    """What a tokenizer's name stands for now: the name, and the content where it is a file or a folder."""
    path = Path(name)
    if bpe_vocabulary(name) is None and path.exists():
        files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
        return blake3("".join(hash_file(file) for file in files).encode()).hexdigest()
    return name


def load_tokenizer(name: str, label: str | None = None) -> TextTokenizer:
    """A tokenizer by the path of a tokenizer.json, of a folder, or by its name on the hub.

    Args:
        name: path or name.
        label: what to call it; by default `name`.

    Raises:
        DataError: nothing usable there, no end-of-text token, or too large a vocabulary.
    """
    path = Path(name)
    label = label or name
    try:
        if path.is_file():
            fast = _fast_from_file(path)
        else:
            from transformers import AutoTokenizer

            if not path.is_dir() and name.startswith((".", "/", "~")):
                raise DataError(f"tokenizer {name!r}: no such file or folder")
            fast = AutoTokenizer.from_pretrained(name)
    except DataError:
        raise
    # transformers, tokenizers and the hub's client raise many kinds, a bare Exception among them.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"tokenizer {name!r}: expected a tokenizer.json, a folder with one, a name on the hub or bpe:VOCAB; "
            f"loading it failed ({reason})"
        ) from error
    return _wrap(fast, label)


def train_bpe(texts: Iterable[str], vocab: int) -> TextTokenizer:
    """A byte-level BPE (GPT-2's form: Radford et al. 2019, section 2.2) of `vocab` tokens, end-of-text included.

    The vocabulary is smaller where the texts do not hold enough distinct pairs.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    _quiet()
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return _wrap(_fast(backend, eos_token=END_OF_TEXT), f"{BPE_PREFIX}{vocab}")


def give_mask_token(folder: Path) -> None:
    """Let the tokenizer in `folder` name the mask token that a model was trained with, if it has none itself."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.mask_token is None:
        tokenizer.add_special_tokens({"mask_token": MASK_TOKEN})
        tokenizer.save_pretrained(folder)


def _fast_from_file(path: Path) -> Any:
    """transformers' class for one tokenizer.json; special tokens as the config beside it says, if there is one."""
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(path))
    config_path = path.with_name("tokenizer_config.json")
    config = json.loads(config_path.read_text(encoding="utf-8")) if config_path.is_file() else {}
    named: dict[str, str] = {}
    for role in ("eos_token", "sep_token", "mask_token"):
        token = config.get(role)
        token = token.get("content") if isinstance(token, dict) else token
        if token and (role == "eos_token" or backend.token_to_id(token) is not None):
            named[role] = token
    return _fast(backend, **named)


def _fast(backend: tokenizers.Tokenizer, **named: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=backend, **named)


def _wrap(fast: Any, label: str) -> TextTokenizer:
    from tokenizers import Tokenizer

    _quiet()
    if getattr(fast, "backend_tokenizer", None) is None:
        raise DataError(f"tokenizer {label}: expected a fast tokenizer (one with a tokenizer.json), found a slow one")
    backend = Tokenizer.from_str(fast.backend_tokenizer.to_str())
    backend.no_padding()
    backend.no_truncation()
    # A document that contains "<|endoftext|>" as text must not end there.
    backend.encode_special_tokens = True
    vocabulary = backend.get_vocab(with_added_tokens=True)
    # BERT's tokenizers end a text with [SEP].
    eot = fast.eos_token or (END_OF_TEXT if END_OF_TEXT in vocabulary else fast.sep_token)
    if eot not in vocabulary:
        raise DataError(
            f"tokenizer {label}: expected an end-of-text token (eos_token, {END_OF_TEXT} or sep_token), found "
            "none; set eos_token in its tokenizer_config.json"
        )
    vocab_size = max(vocabulary.values()) + 1
    token_dtype(vocab_size, label)
    return TextTokenizer(backend, fast, label, vocabulary[eot], vocab_size)


def _quiet() -> None:
    # Without it the library warns, and stops using its threads, after the first fork of the process.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


# What a tokenizer without a mask token gets, beside its <|endoftext|>.
MASK_TOKEN = "<|mask|>"

# Space, line feed, tab and carriage return, as byte-level BPE writes them.
_BLANKS = ("Ġ", "Ċ", "ĉ", "č")


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Ordinary and special tokens."""

    mask_id: int  # the tokenizer's mask token, or the first id that it leaves free
    rows: int  # ids that a model needs: the tokenizer's, and one for the mask token if it has none
    ordinary: Ints  # (n,) ids that text is made of, ascending: no special token, no mask token
    is_special: Bools  # (rows,) whether an id is not an ordinary one
    content: dict[str, Any]  # the tokenizer's own JSON

    @classmethod
    def of_data(cls, data: str | Path, manifest: Manifest) -> Vocabulary:
        """The vocabulary of a data folder.

        Args:
            data: the data folder.

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
