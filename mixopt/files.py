"""Files that are whole or absent, and their hashes."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from blake3 import blake3

from mixopt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
