"""Documents, one string at a time, from whatever holds text; always in the same order, in bounded memory.

*.txt                      one document a file
*.jsonl, .jsonl.gz, .zst   one JSON object a line, the text under a key
*.parquet                  one document a row
a folder                   all of those in it, sorted by path
a `datasets` folder        what `Dataset.save_to_disk` wrote
hf://NAME[:CONFIG][:SPLIT] a data set of the Hugging Face hub, streamed
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from mixopt.errors import DataError

SUFFIXES = (".txt", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
HUB_PREFIXES = ("hf://", "hf:")


def read_documents(location: str, text_key: str = "text") -> Iterator[str]:
    """The documents at `location`, those without any text left out.

    Args:
        location: a file, a folder, or `hf://NAME[:CONFIG][:SPLIT]` (split `train` if it names none).
        text_key: key or column of the text, where documents have several.

    Raises:
        DataError: nothing to read there, or something that is no document; names file and line.
    """
    if is_hub(location):
        yield from _read_hub(location, text_key)
    elif _is_datasets_folder(root := Path(location).expanduser()):
        yield from _read_datasets_folder(root, text_key)
    else:
        for path in _files(location):
            try:
                yield from _read_file(path, text_key)
            except OSError as error:
                raise DataError(f"{path}: cannot be read ({error})") from error


def inventory(location: str) -> list[list[Any]]:
    """What is at `location` without reading it: name, size and time of change of each file, as JSON values.

    Raises:
        DataError: nothing to read there.
    """
    if is_hub(location):
        return [[location]]
    root = Path(location).expanduser()
    files = sorted(root.rglob("*.arrow")) if _is_datasets_folder(root) else _files(location)
    entries = []
    for path in files:
        stat = path.stat()
        name = path.relative_to(root).as_posix() if path != root else path.name
        entries.append([name, stat.st_size, stat.st_mtime_ns])
    return entries


def is_hub(location: str) -> bool:
    """Whether `location` names a data set of the hub."""
    return location.startswith(HUB_PREFIXES)


def _files(location: str) -> list[Path]:
    root = Path(location).expanduser()
    if root.is_file():
        if not root.name.endswith(SUFFIXES):
            raise DataError(f"{root}: expected a file of {', '.join(SUFFIXES)}, found {root.suffix or 'no suffix'}")
        return [root]
    if not root.is_dir():
        hint = f" (a data set of the hub is written hf://{location})" if location.count("/") == 1 else ""
        raise DataError(f"{location}: no such file or folder{hint}")
    files = [
        path
        for path in root.rglob("*")
        if path.name.endswith(SUFFIXES)
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    if not files:
        raise DataError(f"{root}: expected files of {', '.join(SUFFIXES)} in this folder, found none")
    return sorted(files, key=lambda path: path.relative_to(root).as_posix())


def _read_file(path: Path, text_key: str) -> Iterator[str]:
    if path.suffix == ".txt":
        yield from _texts(path, [(1, _decode(path.read_bytes(), path, 1))])
    elif path.suffix == ".parquet":
        yield from _read_parquet(path, text_key)
    else:
        yield from _read_jsonl(path, text_key)


def _read_jsonl(path: Path, text_key: str) -> Iterator[str]:
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                text = _decode(line, path, number)
                if not text.strip():
                    continue
                try:
                    record = json.loads(text)
                except json.JSONDecodeError as error:
                    # The error's own line number counts within this line and would only mislead.
                    reason = f"{error.msg}, column {error.pos + 1}"
                    raise DataError(
                        f"{path}, line {number}: expected one JSON object a line, found bad JSON ({reason})"
                    ) from error
                yield from _texts(path, [(number, _field(record, text_key, f"{path}, line {number}"))])
    except EOFError as error:
        raise DataError(f"{path}: the compressed file ends early, after line {number}; fetch it again") from error
    except gzip.BadGzipFile as error:
        raise DataError(f"{path}: not a gzip file ({error})") from error
    except zlib.error as error:
        raise DataError(f"{path}: damaged after line {number} ({error}); fetch it again") from error


def _open(path: Path) -> BinaryIO:
    """A stream of bytes, decompressed."""
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path), 1 << 20)
    if path.suffix == ".zst":
        return io.BufferedReader(_ZstdReader(path), 1 << 20)
    return path.open("rb", buffering=1 << 20)


class _ZstdReader(io.RawIOBase):
    """Decompressed bytes of a .zst file of any number of frames; unlike zstandard's own it notices a cut-off."""

    def __init__(self, path: Path) -> None:
        import zstandard

        self._path = path
        self._error = zstandard.ZstdError
        self._file = path.open("rb")
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame: Any = None
        self._compressed = self._pending = b""

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        while not self._pending:
            self._compressed = self._compressed or self._file.read(1 << 16)
            if not self._compressed:
                if self._frame is not None:
                    raise EOFError
                return 0
            self._frame = self._frame or self._decompressor.decompressobj()
            try:
                self._pending = self._frame.decompress(self._compressed)
            except self._error as error:
                raise DataError(f"{self._path}: not a zstd file, or damaged ({error})") from error
            # Set once a frame has ended: what follows it belongs to the next.
            self._compressed = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        count = min(len(buffer), len(self._pending))
        buffer[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count


def _read_parquet(path: Path, text_key: str) -> Iterator[str]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            if text_key not in file.schema_arrow.names:
                raise _no_key(str(path), text_key, file.schema_arrow.names)
            row = 0
            for batch in file.iter_batches(batch_size=64, columns=[text_key]):
                values = batch.column(0).to_pylist()
                yield from _texts(path, enumerate(values, start=row + 1))
                row += len(values)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: not a Parquet file, or damaged ({error})") from error


def _is_datasets_folder(path: Path) -> bool:
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _read_datasets_folder(path: Path, text_key: str) -> Iterator[str]:
    import datasets

    try:
        loaded = datasets.load_from_disk(str(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a `datasets` folder that can be read ({error})") from error
    if isinstance(loaded, datasets.DatasetDict):
        if "train" not in loaded and len(loaded) != 1:
            names = ", ".join(map(str, loaded))
            raise DataError(f"{path}: expected a split `train`, found {names}; give one split's folder")
        loaded = loaded["train"] if "train" in loaded else next(iter(loaded.values()))
    rows: Any = loaded
    if text_key not in rows.column_names:
        raise _no_key(str(path), text_key, rows.column_names)
    numbered = enumerate(rows.select_columns([text_key]), start=1)
    yield from _texts(path, ((number, row[text_key]) for number, row in numbered))


def _read_hub(location: str, text_key: str) -> Iterator[str]:
    import datasets

    name, config, split = hub_parts(location)
    try:
        rows = datasets.load_dataset(name, config, split=split, streaming=True)
        for number, row in enumerate(rows, start=1):
            where = f"{location}, row {number}"
            yield from _texts(location, [(number, _field(row, text_key, where))])
    except DataError:
        raise
    # The hub's client raises many kinds: connection, HTTP status, unknown name, gated data, a loading script.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"{location}: cannot be read from the hub ({type(error).__name__}: {reason}); check the name and the "
            "connection, or download it and give the folder"
        ) from error


def hub_parts(location: str) -> tuple[str, str | None, str]:
    """Name, config and split of `hf://NAME[:CONFIG][:SPLIT]`; a single part after the name is the split.

    Raises:
        DataError: no such form.
    """
    prefix = next(prefix for prefix in HUB_PREFIXES if location.startswith(prefix))
    name, *rest = location.removeprefix(prefix).split(":")
    if not name or len(rest) > 2:
        raise DataError(f"{location}: expected hf://NAME, hf://NAME:SPLIT or hf://NAME:CONFIG:SPLIT")
    split = rest[-1] if rest and rest[-1] else "train"
    return name, rest[0] if len(rest) == 2 and rest[0] else None, split


def _decode(content: bytes, path: Path, line: int) -> str:
    try:
        return content.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line += content[: error.start].count(b"\n")
        raise DataError(f"{path}, line {line}: expected UTF-8, found {error.reason}; convert the file") from error


def _field(record: Any, text_key: str, where: str) -> Any:
    if not isinstance(record, dict):
        raise DataError(f"{where}: expected a JSON object with the key {text_key!r}, found {str(record)[:40]!r}")
    if text_key not in record:
        raise _no_key(where, text_key, record)
    return record[text_key]


def _no_key(where: str, text_key: str, found: Iterable[Any]) -> DataError:
    names = ", ".join(str(key) for key in found) or "none"
    return DataError(f"{where}: expected the key {text_key!r}, found {names}; choose one with --text-key")


def _texts(path: Path | str, numbered: Iterable[tuple[int, Any]]) -> Iterator[str]:
    """The values that are text; empty ones are left out."""
    for number, value in numbered:
        if not isinstance(value, str):
            raise DataError(f"{path}, line {number}: expected text, found {type(value).__name__} {str(value)[:40]!r}")
        if not value or value.isspace():
            continue
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{path}, line {number}: half of a surrogate pair, no valid text ({error.reason})"
            ) from error
        yield value
