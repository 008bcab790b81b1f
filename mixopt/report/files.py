"""Files of an answer, each complete or absent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write `contents` (by file name) into `folder`, which is made on demand; the files written.

    Each is written beside its place and moved there.

    Raises:
        ConfigError: the folder cannot be written.
    """
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            partial = folder / f".{name}.{os.getpid()}.part"
            try:
                partial.write_bytes(content)
                partial.replace(folder / name)
            finally:
                partial.unlink(missing_ok=True)
            written.append(folder / name)
    except OSError as error:
        raise ConfigError(
            f"output folder {folder}: cannot be written ({error}); choose another with --out"
        ) from error
    return written
