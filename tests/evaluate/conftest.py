"""Task files for the small trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.trained import write_tasks

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def task_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two task files, with their data beside them."""
    return write_tasks(tmp_path_factory.mktemp("tasks") / "made")
