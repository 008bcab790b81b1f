"""Fixtures that several test modules share."""

from __future__ import annotations

import itertools
import operator
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

from tests.corpus import make_data
from tests.pair import Pair
from tests.trained import train_small

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixopt.result import RunResult
    from mixopt.spec import RunSpec

# Tests fill every core as it is: with more threads, small matrices cost three times the CPU time. The variables are
# for libraries yet to be loaded and for processes that tests start, the limit for numpy, which plugins have loaded.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
threadpool_limits(1)


settings.register_profile("quick", settings.get_profile("ci"), max_examples=10)

HERE = Path(__file__).parent
# What needs torch, by folder and by fixture: training, and what is asked of trained models.
TRAINING_FOLDERS = {
    HERE / name for name in ("e2e", "evaluate", "execute", "mixopt_finetune", "models", "online", "train")
}
TRAINING_FIXTURES = {"kept_run", "mixopt", "pair", "scored"}
NOT_QUICK = ("train", "slow", "ray", "gpu", "browser")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--quick` is what `make quick` runs."""
    parser.addoption(
        "--quick", action="store_true", help="leave out what trains, starts Ray, opens a browser or is slow"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Fewer examples of each property, where speed was asked for."""
    if config.getoption("--quick"):
        settings.load_profile("quick")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import, in a quick run, modules that import torch."""
    return True if config.getoption("--quick") and collection_path in TRAINING_FOLDERS else None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what trains by where it stands and what it uses."""
    if not TRAINING_FOLDERS.isdisjoint(item.path.parents) or TRAINING_FIXTURES & set(getattr(item, "fixturenames", ())):
        item.add_marker("train")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A quick run keeps what is quick. In any run modules with slow tests come first.

    So none is left for the end, when the other core has no more work. The first of them are those that share the
    two processes of `pair`, which each worker would start for itself.
    """
    if config.getoption("--quick"):
        long = [any(map(item.get_closest_marker, NOT_QUICK)) for item in items]
        config.hook.pytest_deselected(items=list(itertools.compress(items, long)))
        items[:] = itertools.compress(items, map(operator.not_, long))
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
