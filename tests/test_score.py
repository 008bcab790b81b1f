from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mixopt.score import Score, error_of_mean, labels

ONE = Score(task="t", metric="acc", value=0.6, standard_error=0.05, items=100, identity="0" * 16)


def test_an_error_is_lower_where_the_model_is_better():
    assert ONE.error == pytest.approx(0.4)
    assert replace(ONE, value=12.0, higher_is_better=False).error == 12.0


def test_a_single_score_has_its_error_over_items_and_several_seeds_theirs():
    assert error_of_mean([ONE]) == 0.05
    assert error_of_mean([replace(ONE, standard_error=None)]) is None
    seeds = [replace(ONE, value=value, seed=seed) for seed, value in enumerate((0.5, 0.6, 0.7))]
    assert error_of_mean(seeds) == pytest.approx(0.1 / math.sqrt(3))


def test_shots_are_named_where_a_task_is_asked_with_several():
    assert labels([("a", 0), ("a", 10), ("b", 5)]) == {("a", 0): "a@0", ("a", 10): "a@10", ("b", 5): "b"}
