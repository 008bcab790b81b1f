"""From names to resolved tasks, on the driver: nothing is trained that cannot be read."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mixopt.errors import ConfigError, DataError
from mixopt.evaluation import EvalTask
from mixopt_finetune.catalogue import GROUPS, NAMES, TASKS
from mixopt_finetune.settings import FineTuning

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mixopt_finetune.catalogue import Task

# Files of one task up to this travel with it to any node; greater ones are read where they lie.
_LARGEST_SENT = 8 * 2**20


def tasks(
    names: Sequence[str],
    *,
    shots: int | None = None,
    limit: int | None = None,
    seeds: int = 1,
    data: Path | None = None,
) -> list[EvalTask]:
    """Resolve tasks, one `EvalTask` for each task and seed.

    Args:
        names: of `NAMES` and `GROUPS`.
        shots: None: there is no prompt that could hold solved examples.
        limit: most examples of each split; None for all.
        seeds: fine-tunings of each task: seeds 0 … seeds − 1.
        data: folder of local files (see `sources`), read and checked here; a task without files there comes from
            the hub, as all do for None.

    Raises:
        ConfigError: an unknown name, shots, or a limit or number of seeds below 1.
        DataError: the folder has none of the tasks, or files that do not hold what they should.
    """
    if shots is not None:
        raise ConfigError("--shots: fine-tuning has no solved examples in a prompt; leave it out for a masked model")
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: expected at least 1 example, found {limit}")
    if seeds < 1:
        raise ConfigError(f"seeds: expected at least 1, found {seeds}")
    chosen = [TASKS[name] for name in _expanded(names)]
    places = {task.name: _place(task, data) for task in chosen}
    if data is not None and not any(places.values()):
        raise DataError(f"{data}: expected files of the tasks, such as {chosen[0].folder}/train.jsonl, found none")
    resolved = []
    for task in chosen:
        place: dict[str, Any] = places[task.name] or {"settings": {"source": ":".join(task.hub)}}
        for seed in range(seeds):
            tuning = FineTuning(learning_rate=task.learning_rate, seed=seed, limit=limit)
            settings = {**asdict(tuning), **place.get("settings", {})}
            resolved.append(EvalTask(name=task.name, kind="finetune", **{**place, "settings": settings}))
    return resolved


def _expanded(names: Sequence[str]) -> list[str]:
    """Names of tasks, each once."""
    expanded: dict[str, None] = {}
    for name in names:
        if name not in TASKS and name not in GROUPS:
            known = (*GROUPS, *NAMES)
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
            hint = f"nearest: {', '.join(near)}" if near else f"there are {', '.join(known)}"
            raise ConfigError(f"tasks: unknown fine-tuning task {name!r}; {hint}")
        expanded.update(dict.fromkeys(GROUPS.get(name, (name,))))
    return list(expanded)


def _place(task: Task, data: Path | None) -> dict[str, Any] | None:
    """The fields of an `EvalTask` that say where its local files are; None where there are none."""
    if data is None:
        return None
    from mixopt_finetune.sources import digests, local_files, read_files

    files = local_files(data, task)
    if files is None:
        return None
    read_files(files, task, str(data / task.folder))
    if sum(map(len, files.values())) <= _LARGEST_SENT:
        return {"files": tuple(sorted(files.items()))}
    return {"settings": {"files": digests(files)}, "folder": str(data.resolve())}
