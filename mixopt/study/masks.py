"""What a masked model asks of a study's data: a mask token, and word starts where whole words are masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.data.vocabulary import Vocabulary
from mixopt.errors import ConfigError
from mixopt.study.expected import is_prepared

if TYPE_CHECKING:
    from mixopt.data.manifest import Manifest
    from mixopt.model_spec import ModelSpec
    from mixopt.study.config import StudyConfig


def vocabulary_rows(config: StudyConfig, manifest: Manifest, model: ModelSpec) -> int:
    """Rows of the embedding: what the config asks for, else what the tokenizer needs, its mask token included.

    Args:
        config: of the study.
        manifest: of its data.
        model: its dimensions but for the vocabulary.

    Raises:
        ConfigError: the config asks for less than the tokenizer needs.
    """
    least, what = manifest.vocab_size, ""
    if model.predicts == "masked" and is_prepared(config.data.dir):
        least, what = Vocabulary.of_data(config.data.dir, manifest).rows, " and its mask token"
    asked = config.model.vocab_size
    if asked is not None and asked < least:
        raise ConfigError(
            f"model.vocab_size: {asked} is below the {least} of the tokenizer that the data was prepared with"
            f"{what}; leave it out"
        )
    return asked or least


def masks_whole_words(config: StudyConfig, manifest: Manifest, model: ModelSpec) -> bool:
    """`training.whole_word`, once it is known to work.

    Raises:
        ConfigError: the model has no masks.
        DataError: the tokenizer does not tell where words begin.
    """
    asked, data = config.training.whole_word, config.data.dir
    if asked and model.predicts != "masked":
        raise ConfigError(
            f"training.whole_word: only masked models (bert-…) have masks, found {config.model.preset}"
        )
    if asked and is_prepared(data):
        Vocabulary.of_data(data, manifest).word_bounds()
    return asked
