"""A user's own lm-eval task files: read, checked, and packed so that a worker needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml

from mixopt.errors import ConfigError, DataError

SUFFIXES = (".yaml", ".yml")

# The loaders of `datasets` that read local files.
_LOCAL = ("json", "csv", "parquet", "text", "arrow")

# How JSON lines may be packed; `datasets` tells by the ending.
_JSON_LINES = (".jsonl", ".json")


@dataclass(frozen=True)
class TaskFile:
    """One task of one's own."""

    name: str  # what its file calls it
    shots: int | None  # solved examples in the prompt that the file asks for; None where it leaves that open
    # its YAML first, then what that includes, imports and reads, under the names by which `mixopt.evaluate.harness`
    # finds them
    files: tuple[tuple[str, bytes], ...]


class _Function(str):
    """A `!function module.name` in a task file."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """YAML with lm-eval's `!function`, which is not called here."""


_Loader.add_constructor("!function", lambda _, node: _Function(node.value))


def read_tasks(path: Path) -> list[TaskFile]:
    """The task of a YAML file, or every task of a folder.

    Raises:
        ConfigError: there is none, or a file lacks what lm-eval needs.
        DataError: a local data file is not there, is empty or lacks a field that the prompts use.
    """
    if path.is_file():
        return [_read_task(path)]
    if not path.is_dir():
        raise ConfigError(f"--tasks {path}: no such file or folder of lm-eval tasks (.yaml)")
    found = [file for file in sorted(path.rglob("*")) if file.suffix in SUFFIXES]
    # Groups only name what is in other files, and files without a name are for others to include.
    tasks = [file for file in found if isinstance((config := _load(file)).get("task"), str) and "group" not in config]
    if not tasks:
        raise ConfigError(f"--tasks {path}: expected lm-eval task files (.yaml with a `task:` name), found none")
    return [_read_task(file) for file in tasks]


def data_name(path: str) -> str:
    """Under which name a data file is packed; the harness looks for it there."""
    return PurePath(path).name


def data_paths(config: dict[str, Any]) -> dict[str, list[str]]:
    """The local data files that a task's config names, by split; none where it reads something else."""
    if config.get("dataset_path") not in _LOCAL:
        return {}
    given = (config.get("dataset_kwargs") or {}).get("data_files") or {}
    by_split = given if isinstance(given, dict) else {"train": given}
    listed = {
        split: [paths] if isinstance(paths, str) else [str(one) for one in paths] for split, paths in by_split.items()
    }
    return {split: paths for split, paths in listed.items() if not any("://" in path for path in paths)}


def _read_task(path: Path) -> TaskFile:
    config = _load(path)
    _check_config(path, config)
    for split, files in data_paths(config).items():
        rows = _check_rows(path, config, split, [_find(path, file) for file in files])
        if split == _scored(config) and not rows:
            raise DataError(f"{path}: the split {split!r} has no items ({', '.join(files)} is empty)")
    shots = config.get("num_fewshot")
    return TaskFile(config["task"], shots, tuple(_pack(path, config)))


def _load(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A task file with what it includes."""
    if path in seen:
        raise ConfigError(f"{path}: it includes itself")
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path}: cannot be read as an lm-eval task ({reason})") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: expected an lm-eval task (keys and values), found {type(config).__name__}")
    merged: dict[str, Any] = {}
    for other in _includes(config):
        merged |= _load(path.parent / other, (*seen, path))
    return {**merged, **config}


def _includes(config: dict[str, Any]) -> list[str]:
    given = config.get("include") or []
    return [given] if isinstance(given, str) else [str(one) for one in given]


def _scored(config: dict[str, Any]) -> str | None:
    """The split that is scored, as lm-eval chooses it."""
    return config.get("test_split") or config.get("validation_split")


def _check_config(path: Path, config: dict[str, Any]) -> None:
    """Raise ConfigError where lm-eval would fail later, in its own words."""
    needed = ["task", "output_type", "doc_to_text", "doc_to_target"]
    if config.get("custom_dataset") is None:
        needed.append("dataset_path")
    if config.get("output_type") == "multiple_choice":
        needed.append("doc_to_choice")
    missing = [name for name in needed if config.get(name) is None]
    if missing:
        raise ConfigError(f"{path}: the task has no {', '.join(missing)}; lm-eval needs {', '.join(needed)}")
    if not isinstance(config["task"], str):
        raise ConfigError(f"{path}: expected the name of one task, found a list; name the files of its tasks instead")
    if _scored(config) is None:
        raise ConfigError(f"{path}: the task has neither test_split nor validation_split, so nothing is scored")
    splits = data_paths(config)
    if splits and _scored(config) not in splits:
        raise ConfigError(
            f"{path}: it scores the split {_scored(config)!r}, and its data_files have {', '.join(splits)}"
        )


def _find(path: Path, file: str) -> Path:
    """A data file, beside the task file or where the command runs.

    Raises:
        DataError: it is in neither place.
    """
    for place in (path.parent / file, Path(file)):
        if place.is_file():
            return place
    raise DataError(f"{path}: its data file {file} is not there (looked beside it and in {Path.cwd()})")


def _fields(config: dict[str, Any]) -> set[str]:
    """Fields of an item that the prompts use; empty where a function may make them."""
    from jinja2 import Environment, TemplateSyntaxError, meta

    if config.get("process_docs") is not None:
        return set()
    environment, names = Environment(), set()
    for key in ("doc_to_text", "doc_to_target", "doc_to_choice"):
        given = config.get(key)
        if not isinstance(given, str) or isinstance(given, _Function):
            continue
        if "{{" not in given and "{%" not in given:
            # The name of a field; as the text it may also stand for itself.
            names |= {given} if given.isidentifier() and key != "doc_to_text" else set()
            continue
        try:
            names |= meta.find_undeclared_variables(environment.parse(given))
        except TemplateSyntaxError as error:
            raise ConfigError(f"the task's {key} is no template ({error})") from error
    return names


def _check_rows(path: Path, config: dict[str, Any], split: str, files: list[Path]) -> int:
    """The number of items in JSON lines, each of which has what the prompts use; other formats count by size."""
    try:
        wanted = _fields(config)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    count = 0
    for file in files:
        if file.suffix not in _JSON_LINES:
            count += bool(file.stat().st_size)
            continue
        for number, row in _rows(file):
            count += 1
            missing = sorted(wanted - row.keys())
            if missing:
                raise DataError(
                    f"{file}, line {number} ({split}): the item has no {', '.join(missing)}, which {path.name} "
                    f"uses; it has {', '.join(map(str, row)) or 'nothing'}"
                )
    return count


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Items of a file of JSON lines, with their line numbers; a file that is one JSON list as well."""
    try:
        text = file.read_text(encoding="utf-8")
        if text.lstrip().startswith("["):
            rows: Iterable[tuple[int, Any]] = enumerate(json.loads(text), 1)
        else:
            lines = enumerate(text.split("\n"), 1)
            rows = [(number, json.loads(line)) for number, line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as JSON lines ({error})") from error
    for number, row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{file}, line {number}: expected an item (a JSON object), found {type(row).__name__}")
        yield number, row


def _pack(path: Path, config: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The YAML, what it includes, the modules of its functions beside it, and its data."""
    packed: dict[str, bytes] = {}

    def add(name: str, file: Path) -> None:
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
            raise ConfigError(
                f"{path}: {name} lies outside the task's folder; move it there, as workers get that folder"
            )
        content = file.read_bytes()
        if packed.get(name, content) != content:
            raise ConfigError(f"{path}: two of its files are called {name}; give them different names")
        packed[name] = content

    add(path.name, path)
    waiting = [path.name]
    while waiting:
        name = waiting.pop()
        own = yaml.load((path.parent / name).read_text(encoding="utf-8"), Loader=_Loader)
        for other in _includes(own):
            relative = str(PurePath(name).parent / other)
            add(relative, path.parent / relative)
            waiting.append(relative)
        for function in _functions(own):
            module = PurePath(name).parent / (function.rpartition(".")[0].replace(".", "/") + ".py")
            if (path.parent / module).is_file():  # else it is one that Python finds by itself
                add(str(module), path.parent / module)
    for files in data_paths(config).values():
        for file in files:
            add(data_name(file), _find(path, file))
    yield from packed.items()


def _functions(value: object) -> Iterator[_Function]:
    if isinstance(value, _Function):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _functions(part)
    elif isinstance(value, list):
        for part in value:
            yield from _functions(part)
