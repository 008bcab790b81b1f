"""Tasks from the Hugging Face hub, or from what `datasets` has kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixopt.errors import DataError
from mixopt.evaluate import harness_setup as setup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixopt_finetune.catalogue import Task


def hub_rows(task: Task) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
    """Of each of a task's splits, where each row stands and its values.

    Raises:
        DataError: the hub cannot be reached and `datasets` has not kept the task, or it has no such data.
    """
    import datasets

    name, config = task.hub
    lost = setup.unreachable()
    try:
        with setup.offline(lost is not None):
            found = datasets.load_dataset(name, config)
            splits = {split: found[split] for split in task.splits}
    # The hub's client raises many kinds: connection, HTTP status, unknown name, gated data.
    except Exception as error:
        reason = " ".join((lost or str(error)).split())[:200]
        raise DataError(
            f"{task.name}: {name} cannot be had from the hub ({reason}); check the connection, or give a folder "
            f"with {task.folder}/{task.splits[0]}.jsonl as --task-data"
        ) from error
    return {split: _numbered(rows, f"{name} {config} {split}") for split, rows in splits.items()}


def _numbered(rows: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, row in enumerate(rows, start=1):
        yield f"{where}, row {number}", row
