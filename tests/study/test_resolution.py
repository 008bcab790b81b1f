"""Runs too short for their design are refused before they are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mixopt.errors import ConfigError
from mixopt.study import Study

if TYPE_CHECKING:
    from pathlib import Path


def study_of(data_dir: Path, tokens: int, **method: object) -> Study:
    training = {"batch_tokens": 128, "sequence_length": 32}
    return Study(data_dir, model="gpt2-0.2m", tokens=tokens, training=training, method=method)


def test_too_few_sequences_for_the_shares(data_dir: Path) -> None:
    # Sixteen sequences over three domains are 5, 5 and 6: 12 % from a third.
    with pytest.raises(ConfigError, match="runs of 512 tokens are too short: 16 sequences of 32 tokens"):
        study_of(data_dir, 512, factors="3").searcher()


def test_enough_sequences_pass(data_dir: Path) -> None:
    assert study_of(data_dir, 6144).searcher().design.tokens == 6144


def test_every_scale_counts(data_dir: Path) -> None:
    study = study_of(data_dir, 6144, name="autoscale", scales="512,6144", factors="3", target_tokens="10k")
    with pytest.raises(ConfigError, match="runs of 512 tokens are too short"):
        study.searcher()
