"""Where a task's examples come from: files in a folder, files that travelled with the task, or the hub.

FOLDER/glue/mrpc/train.jsonl, validation.jsonl      (`glue/mnli` has validation_matched and validation_mismatched)
FOLDER/squad/train.parquet, validation.parquet      (.jsonl, .json with an object a line, .parquet, .csv, .tsv)
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixopt.errors import DataError
from mixopt_finetune.catalogue import TASKS
from mixopt_finetune.examples import Examples, parse
from mixopt_finetune.hub import hub_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixopt.evaluation import EvalTask
    from mixopt_finetune.catalogue import Task

_SUFFIXES = (".jsonl", ".json", ".parquet", ".csv", ".tsv")


def local_files(folder: Path, task: Task) -> dict[str, bytes] | None:
    """A task's files in a folder of tasks, by name; None where the folder has none of them.

    Raises:
        DataError: some of the splits are there and one is not, one is there twice, or a file cannot be read.
    """
    found = {split: _candidates(folder / task.folder, split) for split in task.splits}
    if not any(found.values()):
        return None
    for split, paths in found.items():
        if len(paths) != 1:
            there = ", ".join(path.name for path in paths) or "no such file"
            raise DataError(
                f"{folder / task.folder}: {task.name} needs a file {split} ({', '.join(_SUFFIXES)}), found {there}"
            )
    try:
        return {paths[0].name: paths[0].read_bytes() for paths in found.values()}
    except OSError as error:
        raise DataError(f"{folder / task.folder}: cannot be read ({error})") from error


def read_files(files: dict[str, bytes], task: Task, where: str) -> dict[str, Examples]:
    """The examples of each split.

    Args:
        files: contents by name.
        task: what they should hold.
        where: their folder, for messages.

    Raises:
        DataError: they do not hold the task.
    """
    splits = {Path(name).stem: (name, content) for name, content in files.items()}
    return {split: parse(_rows(*splits[split], where), task, f"{where}/{splits[split][0]}") for split in task.splits}


def read(resolved: EvalTask) -> dict[str, Examples]:
    """The examples of a resolved task by split, wherever they are.

    Raises:
        DataError: they cannot be had, or are not what they were when the task was resolved.
    """
    task = TASKS[resolved.name]
    if resolved.folder is None:
        if resolved.files:
            return read_files(dict(resolved.files), task, task.folder)
        return {split: parse(rows, task, f"{task.name} {split}") for split, rows in hub_rows(task).items()}
    root = Path(resolved.folder)
    files = local_files(root, task)
    if files is None:
        raise DataError(
            f"{root / task.folder}: {task.name} needs its files here, and this node sees none; they are too large "
            "to be sent along: put them in a folder that all nodes see"
        )
    if digests(files) != resolved.settings["files"]:
        raise DataError(f"{root / task.folder}: the files have changed since the task was resolved; start again")
    return read_files(files, task, str(root / task.folder))


def digests(files: dict[str, bytes]) -> dict[str, str]:
    """sha256 of files by name."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}


def _candidates(folder: Path, split: str) -> list[Path]:
    return [path for suffix in _SUFFIXES if (path := folder / f"{split}{suffix}").is_file()]


def _rows(name: str, content: bytes, folder: str) -> Iterator[tuple[str, Any]]:
    """Where each row stands, and its values."""
    path, suffix = f"{folder}/{name}", Path(name).suffix
    if suffix == ".parquet":
        yield from _parquet(content, path)
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8, found {error.reason}; convert the file") from error
    if suffix in (".csv", ".tsv"):
        # Tab-separated files quote nothing, as GLUE's own; comma-separated ones do.
        options: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if suffix == ".tsv" else {}
        reader = csv.DictReader(io.StringIO(text, newline=""), **options)
        try:
            for row in reader:
                yield f"{path}, line {reader.line_num}", row
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: not a table that can be read ({error})") from error
        return
    # Text may hold other line ends (U+2028), which JSON does not escape: only a line feed ends a row.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield f"{path}, line {number}", json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}, line {number}: expected one JSON object a line, found bad JSON ({error.msg}, column "
                f"{error.pos + 1})"
            ) from error


def _parquet(content: bytes, path: str) -> Iterator[tuple[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(content))
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: not a Parquet file, or damaged ({error})") from error
    for number, row in enumerate(table.to_pylist(), start=1):
        yield f"{path}, row {number}", row
