"""Mixture: its rules, its exact split, its files."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture, total_variation

amounts = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30)


def make(values: list[float]) -> Mixture:
    return Mixture.normalised({f"d{i}": value for i, value in enumerate(values)})


@given(amounts, st.integers(0, 10**12))
def test_counts_sum_to_n_and_are_within_one_of_the_ideal(values, n):
    mixture = make(values)
    counts = mixture.counts(n)
    assert counts.sum() == n
    assert (np.abs(counts - n * mixture.array) < 1 + 1e-3).all()


def test_counts_give_the_remainder_to_the_largest_fractions():
    mixture = Mixture(("a", "b", "c", "d"), (0.30, 0.29, 0.29, 0.12))
    assert mixture.counts(10).tolist() == [3, 3, 3, 1]


@given(amounts)
def test_dict_round_trip_is_exact(values):
    mixture = make(values)
    assert Mixture.from_dict(mixture.to_dict()) == mixture


@given(amounts, amounts)
def test_distance_is_a_metric_between_zero_and_one(left, right):
    size = min(len(left), len(right))
    a, b = make(left[:size]), make(right[:size])
    assert a.distance(a) == 0
    assert a.distance(b) == pytest.approx(b.distance(a))
    assert 0 <= a.distance(b) <= 1 + 1e-12


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"a": 0.5, "b": 0.4}, "sum to 1"),
        ({"a": 1.5, "b": -0.5}, "'b' must be .*at least 0"),
        ({"a": math.nan, "b": 1.0}, "'a' must be a number"),
        ({"a": math.inf}, "'a' must be a number"),
        ({}, "one weight for each domain"),
    ],
)
def test_rules(weights, says):
    with pytest.raises(ConfigError, match=says):
        Mixture.from_dict(weights)


def test_a_domain_may_be_named_once_only():
    with pytest.raises(ConfigError, match="more than once"):
        Mixture(("a", "a"), (0.5, 0.5))


def test_nothing_is_normalised_silently():
    with pytest.raises(ConfigError, match="divide"):
        Mixture.from_dict({"a": 1.0, "b": 1.0})


def test_ordered_adds_absent_domains_and_refuses_unknown_ones():
    mixture = Mixture.from_dict({"b": 0.25, "a": 0.75})
    assert mixture.ordered(("a", "b", "c")).weights == (0.75, 0.25, 0.0)
    with pytest.raises(ConfigError, match=r"'b'; .*a, c"):
        mixture.ordered(("a", "c"))


@pytest.mark.parametrize("text", ["a: 0.25\nb: 0.75\n", '{"a": 0.25, "b": 0.75}', "weights:\n  a: 0.25\n  b: 0.75\n"])
def test_file_forms(tmp_path, text):
    path = tmp_path / "mixture.yaml"
    path.write_text(text)
    assert Mixture.from_file(path).to_dict() == {"a": 0.25, "b": 0.75}


@pytest.mark.parametrize("text", ["- a\n- b\n", "", "a: much\n", "a: [1\n", "a: 0.5\n"])
def test_a_bad_file_is_named_in_one_line(tmp_path, text):
    path = tmp_path / "mixture.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Mixture.from_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        Mixture.from_file(tmp_path / "none.yaml")


def test_amounts_of_an_array_are_shares_in_the_order_of_the_domains():
    mixture = Mixture.of_array(("b", "a"), np.array([1.0, 3.0]))
    assert mixture.to_dict() == {"b": 0.25, "a": 0.75}


def test_distances_of_many_mixtures_are_those_of_each():
    weights = np.array([[0.5, 0.5], [1.0, 0.0]])
    np.testing.assert_allclose(total_variation(weights, np.array([0.0, 1.0])), [0.5, 1.0])
