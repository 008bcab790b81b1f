"""Tasks from the Hugging Face hub, or from what `datasets` has kept of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from mixopt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixopt.evaluate.finetune.catalogue import Task

# Seconds to wait for the hub's first answer.
_PATIENCE = 5.0


def hub_rows(task: Task) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
    """Of each of a task's splits, where each row stands and its values.

    Raises:
        DataError: the hub cannot be reached and `datasets` has not kept the task, or it has no such data.
    """
    import datasets

    name, config = task.hub
    unreachable = _unreachable(name)
    try:
        with _offline() if unreachable else contextlib.nullcontext():
            found = datasets.load_dataset(name, config)
            splits = {split: found[split] for split in task.splits}
    # The hub's client raises many kinds: connection, HTTP status, unknown name, gated data.
    except Exception as error:
        reason = " ".join((unreachable or str(error)).split())[:200]
        raise DataError(
            f"{task.name}: {name} cannot be had from the hub ({reason}); check the connection, or give a folder "
            f"with {task.folder}/{task.splits[0]}.jsonl as --task-data"
        ) from error
    return {split: _numbered(rows, f"{name} {config} {split}") for split, rows in splits.items()}


def _numbered(rows: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, row in enumerate(rows, start=1):
        yield f"{where}, row {number}", row


def _unreachable(name: str) -> str | None:
    """Why the hub does not answer; None if it does, whatever it says: loading will tell."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().dataset_info(name, timeout=_PATIENCE)
    except HfHubHTTPError:
        return None
    # The client's own kinds: which library it speaks HTTP with depends on its version.
    except Exception as error:
        return str(error) or type(error).__name__
    return None


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Without the hub `datasets` tries six times, 23 s, before it looks at what it has kept: this looks at once."""
    from datasets import config

    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before
