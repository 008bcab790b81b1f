"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from threadpoolctl import threadpool_limits

from tests.corpus import make_data
from tests.pair import Pair
from tests.trained import train_small

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mixopt.result import RunResult
    from mixopt.spec import RunSpec

# Tests fill every core as it is: with more threads, small matrices cost three times the CPU time. The variables are
# for libraries yet to be loaded and for processes that tests start, the limit for numpy, which plugins have loaded.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
threadpool_limits(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with slow tests come first, so that none is left for the end, when the other core has no more work.

    The first of them are those that share the two processes of `pair`, which each worker would start for itself.
    """
    turn: dict[Path, int] = {}
    for item in items:
        own = 0 if "pair" in getattr(item, "fixturenames", ()) else 1 if item.get_closest_marker("slow") else 2
        turn[item.path] = min(own, turn.get(item.path, own))
    items.sort(key=lambda item: turn[item.path])


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of three synthetic domains, about 20,000 training tokens each; read-only by convention."""
    return make_data(tmp_path_factory.mktemp("corpus") / "data")


@pytest.fixture(scope="session")
def kept_run(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunSpec, RunResult, Path]:
    """A short run on that data, its result, and the folder of its kept model; read-only by convention."""
    folder = tmp_path_factory.mktemp("checkpoints")
    spec, result = train_small(data_dir, folder)
    return spec, result, folder / spec.run_id / "final"


@pytest.fixture(scope="session")
def checkpoint(kept_run: tuple[RunSpec, RunResult, Path]) -> Path:
    """The folder of a small trained causal model."""
    return kept_run[2]


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two processes that train together."""
    made = Pair(tmp_path_factory.mktemp("pair"))
    yield made
    made.close()
