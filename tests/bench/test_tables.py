"""The tables that ship with mixopt."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
from scipy.stats import spearmanr

from mixopt.bench.tables import TABLES, find_table, with_costs
from mixopt.errors import ConfigError


def test_regmix_60m_has_two_sizes_of_256_mixtures() -> None:
    table = find_table("regmix-60m")
    assert table.losses.shape == (2, 256, 13)
    assert table.mixtures.shape == (256, 17)
    assert table.available.all()
    assert table.fidelities[0].cost == pytest.approx(1 / 60)
    first = dict(zip(table.eval_domains, table.losses[:, 0].T, strict=True))
    np.testing.assert_allclose(first["pile_cc"], [5.318245887756348, 4.253109455108643], rtol=1e-8)
    weights = dict(zip(table.domains, table.mixtures[0], strict=True))
    assert weights["pubmed_central"] == pytest.approx(0.464 / 0.999)


def test_regmix_1b_has_cheap_runs_of_other_mixtures() -> None:
    table = find_table("regmix-1b")
    np.testing.assert_array_equal(table.available.sum(axis=1), [768, 256, 64])
    assert not (table.available[:-1] & table.available[-1]).any()
    assert table.fidelities[0].cost == pytest.approx(1 / 25_000)
    assert table.losses[-1, table.available[-1], table.eval_domains.index("pile_cc")][0] == pytest.approx(2.932116032)


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_shares_and_notes_name_no_file(name: str) -> None:
    table = find_table(name)
    np.testing.assert_allclose(table.mixtures.sum(axis=1), 1, atol=1e-9)
    assert table.source
    assert not any(".csv" in note for note in table.notes)


@pytest.mark.parametrize(("name", "sign"), [("agreeing", 1), ("misleading", -1)])
def test_made_tables_go_together_as_they_say(name: str, sign: int) -> None:
    table = find_table(name)
    cheap, target = table.losses.mean(axis=2)
    assert sign * float(spearmanr(cheap, target).statistic) > 0.95
    assert cheap.min() > target.max()  # a small model is worse throughout, as it should be


def test_the_licence_travels_with_the_numbers() -> None:
    assert "Copyright (c) 2024 Sea AI Lab" in files("mixopt.bench").joinpath("data", "regmix.LICENSE").read_text()


def test_an_unknown_table_gets_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"table: .*regmix-60m.*found 'regmix60m'"):
        find_table("regmix60m")


def test_costs_can_be_replaced() -> None:
    table = with_costs(find_table("regmix-60m"), "0.145, 1")
    assert [fidelity.cost for fidelity in table.fidelities] == [0.145, 1]


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ("0.1", r"costs: expected 2 numbers \(1M x 1B, 60M x 1B\)"),
        ("a,1", "costs: expected 2 numbers"),
        ("1,0.1", "costs that ascend"),
        ("0.1,2", "costs that ascend"),
    ],
)
def test_costs_that_are_none(costs: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_costs(find_table("regmix-60m"), costs)
