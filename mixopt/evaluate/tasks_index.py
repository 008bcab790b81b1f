"""What tasks the installed lm-eval has, without indexing its 14,000 files each time.

lm-eval reads every task file of its package to find one (7 s of CPU). Its answer is kept in the user's cache
folder, for the version and the place that it came from; reading it takes 0.1 s and needs no import of lm-eval.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from mixopt.errors import ConfigError
from mixopt.files import write_atomic

# Raised when the cache file holds other fields.
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A name that lm-eval knows."""

    # `task`; `group`, several tasks with a score of their own; `tag`, several tasks under one name
    kind: Literal["task", "group", "tag"]
    path: str | None = None  # its file below lm-eval's folder of tasks; None for a tag
    version: str | None = None  # the task's version, which its authors raise when its scores change
    shots: int | None = None  # solved examples in the prompt that the file asks for; None where it leaves that open
    members: tuple[str, ...] = ()  # names of the tasks of a group or a tag
    aggregates: bool = False  # a group whose tasks have a common score


def tasks_folder() -> Path:
    """Where the installed lm-eval keeps its tasks.

    Raises:
        ConfigError: lm-eval is not installed.
    """
    found = importlib.util.find_spec("lm_eval")
    if found is None or not found.submodule_search_locations:
        raise ConfigError("lm-eval: not installed; `pip install 'lm-eval[hf]'` brings its tasks")
    return Path(next(iter(found.submodule_search_locations))) / "tasks"


@cache
def lm_eval_tasks() -> dict[str, Entry]:
    """Every task, group and tag of the installed lm-eval, by name."""
    from platformdirs import user_cache_path

    folder, release = tasks_folder(), version("lm_eval")
    path = user_cache_path("mixopt", appauthor=False) / f"lm-eval-{release}.json"
    origin = {"format": _FORMAT, "version": release, "folder": str(folder)}
    content = _read(path)
    if content is None or content.get("origin") != origin:
        content = {"origin": origin, "tasks": {name: asdict(entry) for name, entry in _build(folder).items()}}
        _write(path, content)
    return {name: Entry(**{**fields, "members": tuple(fields["members"])}) for name, fields in content["tasks"].items()}


def folders_of(name: str) -> list[Path]:
    """The folders that hold a task's file, or those of all tasks of a group; none lies inside another."""
    known, root = lm_eval_tasks(), tasks_folder()
    folders, seen, waiting = set(), {name}, [name]
    while waiting:
        entry = known[waiting.pop()]
        if entry.path:
            folders.add((root / entry.path).parent)
        new = [member for member in entry.members if member in known and member not in seen]
        seen.update(new)
        waiting += new
    return sorted(one for one in folders if not any(other in one.parents for other in folders))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # not there, or cut short: it is made again


def _write(path: Path, content: dict[str, Any]) -> None:
    """Keep the index; a cache that cannot be written costs seconds the next time, and nothing else."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(content))


def _build(folder: Path) -> dict[str, Entry]:
    """The index as lm-eval itself makes it."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of its own duplicates
    try:
        from lm_eval.tasks._index import Kind, TaskIndex

        index = TaskIndex.build([folder])
    finally:
        logger.setLevel(level)
    kinds: dict[Kind, Literal["task", "group", "tag"]] = {
        Kind.TASK: "task", Kind.PY_TASK: "task", Kind.GROUP: "group", Kind.TAG: "tag",
    }  # fmt: skip
    found = {}
    for name, entry in index.items():
        config, kind = entry.cfg or {}, kinds[entry.kind]
        metadata = config.get("metadata")
        release = metadata.get("version") if isinstance(metadata, dict) else None
        members = {"task": (), "tag": tuple(sorted(entry.tags)), "group": _members(config.get("task"))}
        found[name] = Entry(
            kind=kind,
            path=str(entry.yaml_path.relative_to(folder)) if entry.yaml_path else None,
            version=None if release is None else str(release),
            shots=config.get("num_fewshot"),
            members=members[kind],
            aggregates=bool(config.get("aggregate_metric_list")),
        )
    return found


def _members(listed: object) -> tuple[str, ...]:
    """Names of a group's `task:` list, in which a group may be written out in place."""
    names: list[str] = []
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, str):
            names.append(item)
        elif isinstance(item, dict) and isinstance(item.get("task"), str):
            names.append(item["task"])
        elif isinstance(item, dict):
            if isinstance(item.get("group"), str):
                names.append(item["group"])
            names += _members(item.get("task"))
    return tuple(names)
