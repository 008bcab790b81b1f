"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from threadpoolctl import threadpool_limits

from tests.corpus import make_data

if TYPE_CHECKING:
    from pathlib import Path

# Tests fill every core as it is: with more threads, small matrices cost three times the CPU time. The variables are
# for libraries yet to be loaded and for processes that tests start, the limit for numpy, which plugins have loaded.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
threadpool_limits(1)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of three synthetic domains, about 20,000 training tokens each; read-only by convention."""
    return make_data(tmp_path_factory.mktemp("corpus") / "data")
