"""Tokenizers: any fast Hugging Face one, or a byte-level BPE trained on the domains themselves."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from blake3 import blake3

from mixopt.data.vocabulary import MASK_TOKEN
from mixopt.errors import DataError
from mixopt.files import hash_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import tokenizers
    from numpy.typing import NDArray

END_OF_TEXT = "<|endoftext|>"
BPE_PREFIX = "bpe:"
# 256 bytes and the end-of-text token.
SMALLEST_BPE = 257


@dataclass(frozen=True)
class TextTokenizer:
    """A tokenizer as data preparation needs it.

    Attributes:
        backend: the tokenizer, without padding, truncation or reading of special tokens in the text.
        fast: the same as transformers' own class, for `save_pretrained`.
        label: the name that it was asked for by.
        eot_id: the end-of-text token.
        vocab_size: every token id is below it.
    """

    backend: tokenizers.Tokenizer
    fast: Any
    label: str
    eot_id: int
    vocab_size: int

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
        raise DataError(
            f"tokenizer {label}: expected a fast tokenizer (one with a tokenizer.json), found a slow one"
        )
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
