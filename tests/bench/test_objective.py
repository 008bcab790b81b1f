"""Objectives of a replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.bench.objective import objective_weights
from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

DOMAINS = ("pile_cc", "arxiv", "github", "stackexchange")


def test_mean_and_single_domains() -> None:
    np.testing.assert_array_equal(objective_weights("mean", DOMAINS), np.full(4, 0.25))
    np.testing.assert_array_equal(objective_weights("github", DOMAINS), [0, 0, 1, 0])


def test_weights_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("github: 0.75\npile_cc: 0.25\n")
    np.testing.assert_array_equal(objective_weights(f"weighted:{tmp_path / 'w.yaml'}", DOMAINS), [0.25, 0, 0.75, 0])


def test_unknown_names_get_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pile_cc.*found 'pilecc'"):
        objective_weights("pilecc", DOMAINS)
    (tmp_path / "w.yaml").write_text("books: 1.0\n")
    with pytest.raises(ConfigError, match="unknown domain 'books'"):
        objective_weights(f"weighted:{tmp_path / 'w.yaml'}", DOMAINS)
    with pytest.raises(ConfigError, match="cannot be read"):
        objective_weights("weighted:nothing.yaml", DOMAINS)
