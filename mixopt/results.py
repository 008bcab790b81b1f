"""The results table as a pandas frame, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def load(path: str | Path = "results") -> pd.DataFrame:
    """Every run of the results table, one row each, in the columns that `results/README.md` explains.

    Args:
        path: folder of the table.

    Raises:
        StoreError: there is no table, or it cannot be read.
    """
    with Store(path, read_only=True) as store:
        return store.frame()
