"""A prepared data folder as datasets, one for each domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from mixopt.data.tokens import TokenData

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class TokenWindows(Dataset):
    """The training windows of one domain of a data folder.

    Item i is `{"input_ids", "labels"}`, both the same `length + 1` token ids: labels are shifted by the model (as
    Hugging Face's do) or by the loop, which leaves `length` predictions. No token is a target twice.

    Args:
        folder: what `mixopt data prepare` made.
        domain: its name.
        length: predictions of a window.
        verify: compare the files with the manifest's hashes.

    Raises:
        DataError: no prepared data, no such domain, or less than one window of it.
    """

    def __init__(self, folder: str | Path, domain: str, length: int, verify: bool = True) -> None:
        self.folder, self.domain, self.length = folder, domain, length
        self._open(verify)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rows = self._data.batch("train", self._index, np.array([index]), self.length)
        tokens = torch.from_numpy(rows[0])
        return {"input_ids": tokens, "labels": tokens.clone()}

    def __getstate__(self) -> dict[str, Any]:
        # A worker that is not forked maps the files itself; a pickled map would be a copy of all tokens.
        return {"folder": self.folder, "domain": self.domain, "length": self.length}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open(verify=False)

    def _open(self, verify: bool) -> None:
        self._data = TokenData.open(self.folder, verify)
        self._index = self._data.indices([self.domain])
        (self._count,) = self._data.train_sequences(self.length, [self.domain])


def token_windows(folder: str | Path, length: int, domains: Sequence[str] | None = None) -> dict[str, TokenWindows]:
    """The windows of each of `domains`, or of all, in the manifest's order; for `OnlineMixture`.

    Raises:
        DataError: as `TokenWindows`.
    """
    data = TokenData.open(folder)
    names = data.manifest.domain_names if domains is None else domains
    data.indices(names)
    return {name: TokenWindows(folder, name, length, verify=False) for name in names}
