"""Objectives against hand values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.objective import parse_objective

if TYPE_CHECKING:
    from pathlib import Path

LOSSES = np.log([[2.0, 8.0], [4.0, 4.0]])
DOMAINS = ("a", "b")


@pytest.mark.parametrize(
    ("name", "values"), [("mean_ppl", [5.0, 4.0]), ("mean_loss", np.log([4.0, 4.0])), ("worst", np.log([8.0, 4.0]))]
)
def test_values(name, values):
    objective = parse_objective(name)
    assert objective.name == name
    np.testing.assert_allclose(objective.value(LOSSES, DOMAINS, DOMAINS), values)


def test_a_law_that_is_absurd_far_from_its_runs_has_finite_perplexities():
    values = parse_objective("mean_ppl").value(np.array([[2000.0, 1.0], [5.0, 1.0]]), DOMAINS, DOMAINS)
    assert np.isfinite(values**2).all()
    assert values[0] > values[1]


def test_weighted_loss_takes_its_weights_by_name(tmp_path: Path):
    path = tmp_path / "goal.json"
    path.write_text(json.dumps({"b": 0.25, "a": 0.75}))
    objective = parse_objective(f"weighted:{path}")
    assert objective.name == "weighted:goal.json"
    np.testing.assert_allclose(objective.value(LOSSES, DOMAINS, DOMAINS), np.log([2**0.75 * 8**0.25, 4.0]))


def test_weights_of_a_domain_that_was_not_measured_are_refused(tmp_path: Path):
    path = tmp_path / "goal.yaml"
    path.write_text("c: 1.0\n")
    with pytest.raises(ConfigError, match=r"weighted:goal\.yaml: .*'c'"):
        parse_objective(f"weighted:{path}").value(LOSSES, DOMAINS, DOMAINS)


@pytest.mark.parametrize("text", ["ppl", "", "weighted", "weighted:"])
def test_unknown_names_are_refused(text):
    with pytest.raises(ConfigError, match=r"mean_ppl, .*weighted:FILE"):
        parse_objective(text)


def test_leading_axes_are_kept():
    losses = np.random.default_rng(0).uniform(1, 3, (3, 5, 2))
    for name in ("mean_ppl", "mean_loss", "worst"):
        assert parse_objective(name).value(losses, DOMAINS, DOMAINS).shape == (3, 5)


def test_domains_that_are_only_measured_count_where_they_are_named(tmp_path):
    losses = np.log([[2.0, 4.0, 1000.0]])
    measured, trained = ("a", "b", "extra"), ("a", "b")
    values = [parse_objective(name).value(losses, measured, trained) for name in ("mean_ppl", "mean_loss", "worst")]
    np.testing.assert_allclose(values, [[3.0], [np.log(8) / 2], [np.log(4)]])
    (tmp_path / "w.yaml").write_text("{a: 0.5, extra: 0.5}")
    weighted = parse_objective(f"weighted:{tmp_path / 'w.yaml'}")
    np.testing.assert_allclose(weighted.value(losses, measured, trained), [np.log(2000) / 2])


def test_validation_sets_with_names_of_their_own_all_count():
    losses = np.log([[2.0, 4.0]])
    value = parse_objective("mean_ppl").value(losses, ("heldout", "wiki"), ("a", "b"))
    np.testing.assert_allclose(value, [3.0])
