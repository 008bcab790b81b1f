"""Files that are whole or absent, their hashes, and small ones that people write."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from blake3 import blake3

from mixopt.errors import ConfigError, DataError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, whose place it takes at the end; after an error `path` is as it was."""
    # The process id keeps workers apart that write the same file.
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_atomic(path: Path, text: str) -> None:
    """Replace `path` by `text`: a reader, or a kill at any moment, sees the old file or the new one."""
    with replacing(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_mapping(path: str | Path, what: str, expected: str) -> dict[str, Any]:
    """The `key: value` lines of a YAML or JSON file.

    Args:
        path: the file.
        what: what it is, for messages: `mixture file PATH`.

    Raises:
        ConfigError: it cannot be read, is not YAML, or holds something else.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{what}: not YAML or JSON ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"{what}: expected {expected}, found {content!r:.60}")
    return {str(key): value for key, value in content.items()}


def hash_file(path: Path) -> str:
    """blake3 of a file's bytes, 64 hexadecimal digits."""
    hasher = blake3()
    # Read, not mapped: the pages of a mapped file would count as this process's memory.
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            hasher.update(block)
    return hasher.hexdigest()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write under `folder` into one line that says what to do.

    Raises:
        DataError: the disk is full, or the folder is not writable.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"{folder}: the disk is full; what is written so far is kept: make room and run the same command"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            raise DataError(f"{folder}: not writable ({error.strerror}); choose another folder") from error
        raise
