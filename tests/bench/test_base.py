"""Tables: what holds together, and what they tell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.bench.base import Fidelity, objective_weights
from mixopt.errors import ConfigError
from tests.bench.made import made_table

if TYPE_CHECKING:
    from pathlib import Path


def missing(row: int, fidelity: int, domain: int | slice) -> np.ndarray:
    losses = made_table().losses.copy()
    losses[fidelity, row, domain] = np.nan
    return losses


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"losses": np.ones((3, 11, 2))}, r"expected losses of shape \(3, 12, 2\)"),
        ({"mixtures": made_table().mixtures * 2}, "weights that are not shares of 1"),
        ({"losses": missing(4, 0, 1)}, "mixture 4 at small x 10k .*'y'"),
        ({"losses": np.where(np.arange(3)[:, None, None] == 2, np.nan, made_table().losses)}, "no run at the target"),
        ({"fidelities": tuple(reversed(made_table().fidelities))}, "costs that ascend"),
        ({"fidelities": (*made_table().fidelities[:2], Fidelity("t", 1, 1, 2.0))}, "costs that ascend"),
    ],
)
def test_tables_that_do_not_hold_together_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(made_table(), **changes)


def test_a_run_that_was_not_made_is_not_available() -> None:
    table = replace(made_table(), losses=missing(4, 2, slice(None)))
    assert 4 not in table.candidates
    assert len(table.candidates) == 11
    assert table.available[0, 4]


def test_a_longer_run_of_one_size_shows_the_shorter_ones_where_there_are_curves() -> None:
    assert [made_table(curves=True).points_of(fidelity) for fidelity in range(3)] == [[], [0], []]
    assert made_table().points_of(1) == []


def test_evaluation_domains_that_do_not_count_can_be_left_out() -> None:
    table = made_table().only(np.array([False, True]))
    assert table.eval_domains == ("y",)
    np.testing.assert_array_equal(table.losses, made_table().losses[..., 1:])


DOMAINS = ("pile_cc", "arxiv", "github", "stackexchange")


def test_mean_and_single_domains() -> None:
    np.testing.assert_array_equal(objective_weights("mean", DOMAINS), np.full(4, 0.25))
    np.testing.assert_array_equal(objective_weights("github", DOMAINS), [0, 0, 1, 0])


def test_weights_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("github: 0.75\npile_cc: 0.25\n")
    np.testing.assert_array_equal(objective_weights(f"weighted:{tmp_path / 'w.yaml'}", DOMAINS), [0.25, 0, 0.75, 0])


def test_unknown_names_get_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pile_cc.*found 'pilecc'"):
        objective_weights("pilecc", DOMAINS)
    (tmp_path / "w.yaml").write_text("books: 1.0\n")
    with pytest.raises(ConfigError, match="unknown domain 'books'"):
        objective_weights(f"weighted:{tmp_path / 'w.yaml'}", DOMAINS)
    with pytest.raises(ConfigError, match="cannot be read"):
        objective_weights("weighted:nothing.yaml", DOMAINS)
