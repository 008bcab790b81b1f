"""The results table: every run of every method, in one SQLite file with its curves beside it.

`results/mixopt.db` holds specs and numbers, `results/curves/<run_id>.parquet` the curves. Only the driver writes. A
finished row is never replaced; an objective is never stored, only the losses that it is computed from.
"""

from mixopt.store.table import Store
from mixopt.store.table_files import export_runs, import_runs

__all__ = ["Store", "export_runs", "import_runs"]
