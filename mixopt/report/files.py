"""Files of an answer, each complete or absent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.errors import ConfigError
from mixopt.files import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write `contents` (by file name) into `folder`, which is made on demand; the files written.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            with replacing(folder / name) as unfinished:
                unfinished.write_bytes(content)
    except OSError as error:
        raise ConfigError(
            f"output folder {folder}: cannot be written ({error}); choose another with --out"
        ) from error
    return [folder / name for name in contents]
