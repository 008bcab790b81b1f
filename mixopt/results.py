"""The results table as a pandas frame, and saved comparisons, for notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mixopt.comparison import Comparison
from mixopt.errors import StoreError
from mixopt.store import Store

if TYPE_CHECKING:
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


def load_comparison(path: str | Path) -> Comparison:
    """A comparison that `mixopt compare` saved.

    Args:
        path: `comparison.json`, or the folder that it is in (`results/comparisons/<id>`).

    Raises:
        StoreError: there is no such file, or no comparison in it.
    """
    file = Path(path) / "comparison.json" if Path(path).is_dir() else Path(path)
    try:
        return Comparison.from_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise StoreError(f"comparison {file}: cannot be read ({reason}); `mixopt compare` writes one") from error
