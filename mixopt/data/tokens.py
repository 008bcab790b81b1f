"""TokenData: the memory-mapped tokens of a data folder, cut into training sequences.

Window i of a split covers tokens [i·L, i·L + L]: L inputs and the target of the last one. Neighbours
share one token, so a split of T tokens has (T − 1) // L windows, and no token is a target twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixopt.arrays import Ints
from mixopt.data.manifest import Manifest, Split
from mixopt.errors import DataError
from mixopt.files import hash_file, write_atomic

SplitName = Literal["train", "validation"]
VERIFIED_FILE = ".verified.json"


class TokenData:
    """The tokens of K domains.

    Attributes:
        folder: the data folder.
        manifest: what it holds.
        train: K arrays of token ids, 1-D, memory-mapped, read-only.
        validation: the same for the validation documents.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        train: Sequence[NDArray[np.unsignedinteger]],
        validation: Sequence[NDArray[np.unsignedinteger]],
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.train = tuple(train)
        self.validation = tuple(validation)
        self._windows: dict[tuple[str, int], list[NDArray[np.unsignedinteger]]] = {}

    @classmethod
    def open(cls, folder: str | Path, verify: bool = True) -> TokenData:
        """Map the tokens of a data folder.

        Args:
            folder: what `mixopt data prepare` made.
            verify: hash the files and compare with the manifest, unless size and time say that they were hashed
                before; sizes are checked in any case.

        Raises:
            DataError: no prepared data, or a token file was removed, truncated or edited.
        """
        folder = Path(folder)
        manifest = Manifest.load(folder)
        itemsize = np.dtype(manifest.dtype).itemsize
        splits = [split for domain in manifest.domains for split in (domain.train, domain.validation)]
        for split in splits:
            _check_size(folder, split, itemsize)
        if verify:
            _verify(folder, splits)
        dtype = np.dtype(manifest.dtype).newbyteorder("<")
        return cls(
            folder,
            manifest,
            [_map(folder / domain.train.file, dtype) for domain in manifest.domains],
            [_map(folder / domain.validation.file, dtype) for domain in manifest.domains],
        )

    def indices(self, domains: Sequence[str]) -> Ints:
        """Where each of `domains` stands in the manifest, and so in `train`, `validation` and `batch`.

        Raises:
            DataError: the data has no such domain.
        """
        names = self.manifest.domain_names
        for name in domains:
            if name not in names:
                raise DataError(f"{self.folder}: no domain {name!r}; the data has {', '.join(names)}")
        return np.array([names.index(name) for name in domains], dtype=np.int64)

    def train_sequences(self, length: int, domains: Sequence[str] | None = None) -> tuple[int, ...]:
        """Training windows of `length` tokens in each of `domains`, or in all K.

        Raises:
            DataError: a domain has less than one.
        """
        return self._sequences("train", length, domains)

    def validation_sequences(self, length: int, domains: Sequence[str] | None = None) -> tuple[int, ...]:
        """Validation windows of `length` tokens in each of `domains`, or in all K.

        Raises:
            DataError: a domain has less than one.
        """
        return self._sequences("validation", length, domains)

    def batch(self, split: SplitName, domain_ids: Ints, window_ids: Ints, length: int) -> Ints:
        """Token ids of n windows, shape (n, length + 1): inputs are `[:, :-1]`, targets `[:, 1:]`.

        Args:
            domain_ids: (n,) index of each window's domain in the manifest.
            window_ids: (n,) index of each window in its domain, below the domain's number of windows.
            length: tokens of a training sequence.
        """
        windows = self._window_views(split, length)
        batch = np.empty((len(domain_ids), length + 1), dtype=np.int64)
        # Row by row: half a microsecond each, less than sorting the rows by domain for every batch.
        rows = zip(domain_ids.tolist(), window_ids.tolist(), strict=True)
        for row, (domain, window) in enumerate(rows):
            batch[row] = windows[domain][window]
        return batch

    def _window_views(self, split: SplitName, length: int) -> list[NDArray[np.unsignedinteger]]:
        """For each domain a view (windows, length + 1) on its tokens; rows overlap by one token."""
        key = (split, length)
        if key not in self._windows:
            views = []
            for tokens in getattr(self, split):
                count = max(0, (len(tokens) - 1) // length)
                step = tokens.itemsize
                views.append(
                    np.lib.stride_tricks.as_strided(
                        tokens, shape=(count, length + 1), strides=(length * step, step), writeable=False
                    )
                )
            self._windows[key] = views
        return self._windows[key]

    def _sequences(self, split: SplitName, length: int, domains: Sequence[str] | None) -> tuple[int, ...]:
        counts = []
        for index in self.indices(self.manifest.domain_names if domains is None else domains):
            domain, tokens = self.manifest.domains[index], getattr(self, split)[index]
            count = (len(tokens) - 1) // length
            if count < 1:
                raise DataError(
                    f"domain {domain.name!r} in {self.folder}: expected at least one {split} sequence "
                    f"({length + 1} tokens), found {len(tokens)} tokens; give it more text or shorten the sequences"
                )
            counts.append(count)
        return tuple(counts)


def _map(path: Path, dtype: np.dtype) -> NDArray[np.unsignedinteger]:
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype=dtype)
    # A plain view: slicing a np.memmap costs several times as much as slicing an array.
    return np.memmap(path, dtype=dtype, mode="r").view(np.ndarray)


def _check_size(folder: Path, split: Split, itemsize: int) -> None:
    path = folder / split.file
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: the token file is missing; prepare the data again") from error
    if size != split.tokens * itemsize:
        raise DataError(
            f"{path}: expected {split.tokens * itemsize} bytes ({split.tokens} tokens), found {size}: the file was "
            "truncated or edited; prepare the data again"
        )


def _verify(folder: Path, splits: Sequence[Split]) -> None:
    """Compare each file's hash with the manifest's; hashes are remembered by size and time of change."""
    cache_path = folder / VERIFIED_FILE
    try:
        known = json.loads(cache_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    seen: dict[str, list[int | str]] = {}
    for split in splits:
        path = folder / split.file
        stat = path.stat()
        entry: list[int | str] = [stat.st_size, stat.st_mtime_ns, split.hash]
        if known.get(split.file) != entry and hash_file(path) != split.hash:
            raise DataError(
                f"{path}: the content does not match the manifest's hash: the file was edited or is damaged; "
                "prepare the data again"
            )
        seen[split.file] = entry
    if seen != known:
        try:
            write_atomic(cache_path, json.dumps(seen))
        except OSError:
            return  # read-only data: hashed again the next time
