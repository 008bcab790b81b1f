"""Fixtures that several test modules share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.corpus import make_data

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of three synthetic domains, about 20,000 training tokens each; read-only by convention."""
    return make_data(tmp_path_factory.mktemp("corpus") / "data")
