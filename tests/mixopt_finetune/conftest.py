"""A masked checkpoint, and small tasks of both kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mixopt_finetune.tiny import number_row, order_row, save_bert, write_task

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def bert(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked model's checkpoint; read-only by convention."""
    return save_bert(tmp_path_factory.mktemp("bert"), data_dir)


@pytest.fixture(scope="session")
def task_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`glue_rte` and `squad`, small; read-only by convention."""
    folder = tmp_path_factory.mktemp("tasks")
    write_task(folder / "glue" / "rte", order_row, train=320, validation=64)
    write_task(folder / "squad", number_row, train=256, validation=48)
    return folder
