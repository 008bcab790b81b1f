"""Trained models in folders: what kind they are, whether their parts fit, what identifies them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from mixopt.data.manifest import TOKENIZER_FOLDER
from mixopt.errors import DataError
from mixopt.files import hash_file

if TYPE_CHECKING:
    from mixopt.model_spec import Prediction

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
# What transformers' classes of tokenizers read.
_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model",
)  # fmt: skip
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model")

# How the names of transformers' classes end.
_OBJECTIVES: dict[str, Prediction] = {"CausalLM": "causal", "LMHeadModel": "causal", "MaskedLM": "masked"}


def find(word: str) -> Path:
    """The folder of a checkpoint that is given as a path or as a name on the Hugging Face hub.

    Raises:
        DataError: there is no such folder, and the hub does not have the name or does not answer.
    """
    path = Path(word).expanduser()
    if path.is_dir():
        return path
    if path.exists() or word.startswith((".", "/", "~")) or word.count("/") != 1:
        raise DataError(
            f"{word}: expected a run's id, a folder that `from_pretrained` reads or a name on the hub (OWNER/NAME)"
        )
    from huggingface_hub import snapshot_download

    from mixopt.evaluate import harness_setup as setup

    reachable = setup.unreachable() is None
    patterns = ["config.json", "*.safetensors", "*.safetensors.index.json", *_TOKENIZER]
    with setup.offline(not reachable):
        try:
            return Path(snapshot_download(word, allow_patterns=patterns))
        except Exception as error:  # the hub's client has many kinds
            reason = " ".join(str(error).split())[:200] if reachable else "the Hugging Face hub does not answer"
            raise DataError(f"{word}: no folder here, and it cannot be had from the hub ({reason})") from error


def digest(folder: Path) -> str:
    """16 hexadecimal digits from the content of a checkpoint's config, weights and tokenizer."""
    hasher = blake3()
    for path in sorted(path for pattern in ("config.json", *_WEIGHTS, *_TOKENIZER) for path in folder.glob(pattern)):
        hasher.update(f"{path.name} {hash_file(path)}\n".encode())
    return hasher.hexdigest()[:16]


def check(folder: Path) -> Prediction:
    """What the model in `folder` predicts, once it is clear that it can be loaded and read text.

    Raises:
        DataError: a part is missing, it is another kind of model, or its tokenizer has ids that it does not know.
    """
    config = _read_json(folder / "config.json", folder)
    if not any(path for pattern in _WEIGHTS for path in folder.glob(pattern)):
        raise DataError(f"checkpoint {folder}: expected weights (model.safetensors), found none")
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise DataError(
            f"checkpoint {folder}: expected a tokenizer beside the weights ({', '.join(_VOCABULARIES)}), found "
            "none; copy the one that the model was trained with there"
        )
    _check_vocabulary(folder, config)
    named = config.get("architectures") or []
    for ending, objective in _OBJECTIVES.items():
        if any(str(name).endswith(ending) for name in named):
            return objective
    raise DataError(
        f"checkpoint {folder}: expected a causal or a masked language model, found {', '.join(named) or 'no'} "
        "architectures in config.json"
    )


def check_tokenizer(folder: Path, data: Path) -> None:
    """Make sure that a model's tokenizer is that of prepared data, whose documents it is going to be asked.

    Raises:
        DataError: it splits text another way.
    """
    own, other = _rules(folder / "tokenizer.json"), _rules(data / TOKENIZER_FOLDER / "tokenizer.json")
    if own is not None and own != other:
        raise DataError(
            f"checkpoint {folder}: its tokenizer is not the one of {data}; give the data that the model was "
            "trained on with --data, or leave out the tasks that are made of it"
        )


def _check_vocabulary(folder: Path, config: dict[str, Any]) -> None:
    rows, path = config.get("vocab_size"), folder / "tokenizer.json"
    if rows is None or not path.is_file():
        return  # a class of its own, which knows better
    vocabulary = _tokenizer(path).get_vocab(with_added_tokens=True)
    needed = max(vocabulary.values(), default=-1) + 1
    # More rows than tokens are padding, which makes products faster.
    if needed > rows:
        raise DataError(
            f"checkpoint {folder}: its tokenizer has ids up to {needed - 1} and its model only {rows} rows; it is "
            "another model's tokenizer: copy the right one there"
        )


def _rules(path: Path) -> dict[str, Any] | None:
    """What decides how a tokenizer splits text; None where there is no fast one."""
    if not path.is_file():
        return None
    content = json.loads(_tokenizer(path).to_str())
    return {name: content[name] for name in ("normalizer", "pre_tokenizer", "model")}


def _tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare ones
        raise DataError(f"{path}: the tokenizer cannot be read ({error})") from error


def _read_json(path: Path, folder: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(
            f"checkpoint {folder}: expected a folder that `from_pretrained` reads, found no {path.name} in it"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a model's config (a JSON object), found {type(content).__name__}")
    return content
