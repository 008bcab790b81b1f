"""Tables that can be replayed by name: published runs that ship with mixopt, and made ones."""

from __future__ import annotations

import difflib
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np

from mixopt.bench.csv_runs import LabelledRuns, read_labelled, table_of
from mixopt.bench.synthetic import agreeing, drawn, misleading
from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixopt.bench.base import Table

_REGMIX = "RegMix (Liu et al. 2024, arXiv 2407.01492), github.com/sail-sg/regmix at b004d3a, MIT licence"


@cache
def _regmix() -> LabelledRuns:
    """All of RegMix's published runs on 17 domains of the Pile: 768 of 1M parameters, 256 of 60M, 64 of 1B.

    `regmix.csv` joins the published weights and losses by index; the losses are rounded to nine significant digits
    (they were float32). Mixtures are `train-N` and `test-N` (1M and 60M) or `large-N` (1B).
    """
    with as_file(files("mixopt.bench").joinpath("data", "regmix.csv")) as path:
        return replace(
            read_labelled(path), notes=("published weights are rounded; each row is divided by its sum",)
        )


def _of(runs: LabelledRuns, kinds: tuple[str, ...], name: str) -> Table:
    labels = runs.labels if runs.labels is not None else np.zeros(0, dtype=str)
    chosen = runs.select(np.array([label.startswith(kinds) for label in labels.tolist()]))
    return table_of(chosen, name, source=_REGMIX)


def regmix_60m() -> Table:
    """256 mixtures, each at 1M and at 60M parameters, both for 1B tokens."""
    return _of(_regmix(), ("test-",), "regmix-60m")


def regmix_1b() -> Table:
    """64 mixtures at 1B parameters for 25B tokens; 768 others at 1M for 1B tokens, 256 of them at 60M too."""
    return _of(_regmix(), ("train-", "test-", "large-"), "regmix-1b")


# A table is a line here.
TABLES: dict[str, Callable[[], Table]] = {
    "regmix-60m": regmix_60m,
    "regmix-1b": regmix_1b,
    "agreeing": agreeing,
    "misleading": misleading,
    "drawn": drawn,
}


def find_table(name: str) -> Table:
    """The table called `name`.

    Raises:
        ConfigError: there is none; the message gives the nearest name.
    """
    if name not in TABLES:
        near = difflib.get_close_matches(name, TABLES, n=1, cutoff=0.4)
        raise ConfigError(f"table: expected {', '.join(near or TABLES)}, or --csv FILE, found {name!r}")
    return TABLES[name]()


def with_costs(table: Table, text: str) -> Table:
    """The table with other costs, such as measured ones.

    Args:
        table: the table.
        text: a cost for each fidelity in the table's order, in target runs: `0.145,1`.

    Raises:
        ConfigError: not as many numbers, or numbers that do not ascend to 1.
    """
    names = ", ".join(fidelity.name for fidelity in table.fidelities)
    try:
        costs = [float(cost) for cost in text.split(",")]
    except ValueError:
        costs = []
    if len(costs) != len(table.fidelities):
        raise ConfigError(f"costs: expected {len(table.fidelities)} numbers ({names}), found {text!r}")
    fidelities = tuple(replace(f, cost=cost) for f, cost in zip(table.fidelities, costs, strict=True))
    return replace(table, fidelities=fidelities)
