"""A study at another model size."""

from __future__ import annotations

from mixopt.study.config_sections import ModelSection
from mixopt.study.study import Study


def sized(study: Study, preset: str | None) -> Study:
    """The same study with another preset as its model; what the config leaves open then suits that size.

    Args:
        study: the study.
        preset: None for its own. Fields that the config changes are those of its own preset, and do not carry over.
    """
    own = study.config.model
    if preset is None or preset == own.preset:
        return study
    section = ModelSection(preset=preset, vocab_size=own.vocab_size)
    return Study.of(study.config.model_copy(update={"model": section}))
