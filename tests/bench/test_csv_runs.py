"""Tables from CSV files of runs, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.bench.csv_runs import priced, read_labelled, table_of
from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.bench.base import Table

HEADER = "run,params,tokens,seed,w.a,w.b,loss.x,loss.y"
ROWS = (
    "s1,1M,1B,0,0.25,0.75,3.0,4.0",
    "s2,1M,1B,0,0.5,0.5,3.1,3.9",
    "s3,1M,1B,0,1,0,3.2,4.1",
    "l1,10M,2B,0,0.25,0.75,2.0,3.0",
    "l2,10M,2B,0,0.5,0.5,2.1,2.9",
)


def read(folder: Path, *rows: str, header: str = HEADER, curves: bool = False) -> Table:
    path = folder / "runs.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return table_of(read_labelled(path), "mine", curves=curves)


def test_runs_of_one_mixture_are_joined_across_scales(tmp_path: Path) -> None:
    table = read(tmp_path, *ROWS)
    assert [fidelity.name for fidelity in table.fidelities] == ["1M x 1B", "10M x 2B"]
    assert [fidelity.cost for fidelity in table.fidelities] == [pytest.approx(0.05), 1]
    np.testing.assert_allclose(table.mixtures, [[0.25, 0.75], [0.5, 0.5], [1, 0]])
    np.testing.assert_array_equal(table.available, [[True, True, True], [True, True, False]])
    np.testing.assert_array_equal(table.losses[1, :2], [[2.0, 3.0], [2.1, 2.9]])


def test_weights_that_were_rounded_to_sequences_still_join(tmp_path: Path) -> None:
    table = read(tmp_path, *ROWS[:4], "l2,10M,2B,0,0.5012,0.4988,2.1,2.9")
    assert len(table.mixtures) == 3


def test_the_order_of_rows_does_not_matter_to_the_runs(tmp_path: Path) -> None:
    table, other = read(tmp_path, *ROWS), read(tmp_path, *reversed(ROWS))
    order = [int(np.flatnonzero((other.mixtures == own).all(axis=1))[0]) for own in table.mixtures]
    np.testing.assert_array_equal(table.losses, other.losses[:, order])


def test_of_repeats_the_lowest_seed_counts_and_a_note_says_so(tmp_path: Path) -> None:
    table = read(tmp_path, *ROWS, "r1,10M,2B,7,0.25,0.75,9,9", "r2,1M,1B,-1,0.5,0.5,1,1")
    np.testing.assert_array_equal(table.losses[1, 0], [2.0, 3.0])
    np.testing.assert_array_equal(table.losses[0, 1], [1, 1])
    assert table.notes == ("2 repeats with other seeds are left out",)


def test_without_sizes_the_tokens_are_the_fidelity(tmp_path: Path) -> None:
    rows = [f"{run},{tokens},{rest}" for run, _, tokens, rest in (row.split(",", 3) for row in ROWS)]
    table = read(tmp_path, *rows, header=HEADER.replace("params,", ""), curves=True)
    assert [(fidelity.name, fidelity.cost) for fidelity in table.fidelities] == [("1B", 0.5), ("2B", 1.0)]
    assert table.curves


def test_a_column_of_mixtures_tells_near_ones_apart(tmp_path: Path) -> None:
    rows = [*ROWS, "s4,1M,1B,0,0.2501,0.7499,3.3,4.3"]
    labels = ["p", "q", "r", "p", "q", "s"]
    table = read(tmp_path, *(f"{row},{label}" for row, label in zip(rows, labels, strict=True)),
                 header=HEADER + ",mixture")  # fmt: skip
    assert len(table.mixtures) == 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("d,10M,2B,0,0.25,0.75,2,3",), "'l1' and 'd'.*10M x 2B"),
        (("d,0,2B,0,0.3,0.7,2,3",), "run 'd' .*`params`"),
        (("d,10M,2B,0,0.3,0.7,,3",), r"line 7 \(run 'd'\): column 'loss.x': .*found nothing"),
        (("d,10M,2B,0,0.3,0.7,nan,3",), r"line 7 \(run 'd'\): column 'loss.x': .*found 'nan'"),
        (("s1,10M,2B,0,0.3,0.7,2,3",), "run 's1' .*line 2"),
        (("d,10M,2B,0,0.3,0.8,2,3",), "sum to 1"),
    ],
)
def test_rows_that_are_refused(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, *ROWS, *rows)


@pytest.mark.parametrize(("label", "message"), [("p", "'s1' and 'l2' .*'p'.* 0.25"), ("", "run 'l2' .*`mixture`")])
def test_rows_that_do_not_join(tmp_path: Path, label: str, message: str) -> None:
    labelled = [f"{row},{name}" for row, name in zip(ROWS, ["p", "q", "r", "p", label], strict=True)]
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, *labelled, header=HEADER + ",mixture")


def test_costs_are_flops_in_target_runs() -> None:
    scales = priced([(10, 300), (100, 20), (10, 100)])
    assert [fidelity.cost for fidelity in scales] == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1]
    assert [fidelity.parameters for fidelity in scales] == [10, 100, 10]
