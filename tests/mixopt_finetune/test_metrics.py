"""Metrics against their closed forms and known examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt_finetune.metrics import (
    class_metric,
    mean_of,
    mean_over_splits,
    normalised,
    similarity_metric,
    span_metrics,
    token_f1,
)


@given(cells=st.tuples(*[st.integers(0, 30)] * 4).filter(lambda cells: sum(cells) > 1))
@settings(max_examples=40, deadline=None)
def test_metrics_of_classes_follow_from_the_confusion_matrix(cells):
    tp, fp, fn, tn = cells
    labels = np.repeat([1, 0, 1, 0], cells)
    predicted = np.repeat([1, 1, 0, 0], cells)
    n = sum(cells)
    share = (tp + tn) / n
    accuracy = class_metric("acc", predicted, labels)
    assert accuracy.value == pytest.approx(share)
    assert accuracy.standard_error == pytest.approx(math.sqrt(share * (1 - share) / (n - 1)))
    assert accuracy.chance == pytest.approx(max(tp + fn, fp + tn) / n)
    assert class_metric("f1", predicted, labels).value == pytest.approx(2 * tp / (2 * tp + fp + fn) if tp else 0)
    root = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    matthews = class_metric("matthews", predicted, labels)
    assert matthews.value == pytest.approx((tp * tn - fp * fn) / root if root else 0, abs=1e-12)
    assert (matthews.chance, matthews.standard_error) == (0, None)


def test_f1_of_the_majority_is_what_saying_yes_to_all_scores():
    metric = class_metric("f1", np.array([1, 0, 0, 0]), np.array([1, 1, 1, 0]))
    assert metric.value == pytest.approx(0.5)
    assert metric.chance == pytest.approx(2 * 3 / (2 * 3 + 1))


def test_correlations_are_those_of_values_and_of_ranks():
    labels = np.array([0.0, 1.5, 2.0, 4.0, 5.0], dtype=np.float32)
    predicted = np.array([0.1, 0.3, 0.2, 0.9, 5.0])
    ranks = np.array([0, 2, 1, 3, 4])
    assert similarity_metric("pearson", predicted, labels).value == pytest.approx(np.corrcoef(predicted, labels)[0, 1])
    assert similarity_metric("spearman", predicted, labels).value == pytest.approx(
        1 - 6 * np.sum((ranks - np.arange(5)) ** 2) / (5 * 24)
    )
    assert similarity_metric("pearson", np.full(5, 2.0), labels).value == 0
    assert similarity_metric("spearman", predicted, np.full(5, 2.0)).value == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat's,\thats!", "cats hats"),
        ("an Apple-pie", "applepie"),
        ("a", ""),
        ("Theatre a la carte", "theatre la carte"),
        ("$1,000.50", "100050"),
        ("São  Paulo…", "são paulo…"),
    ],
)
def test_answers_are_compared_without_case_punctuation_articles_and_needless_blanks(text, expected):
    assert normalised(text) == expected


@pytest.mark.parametrize(
    ("predicted", "right", "expected"),
    [
        ("the cat sat", "cat sat down", 0.8),
        ("no no", "no", 2 / 3),
        ("Denver Broncos", "the Denver Broncos!", 1.0),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
    ],
)
def test_f1_of_words_that_two_answers_share(predicted, right, expected):
    assert token_f1(predicted, right) == pytest.approx(expected)


def test_the_best_of_several_right_answers_counts():
    f1, exact = span_metrics(
        ["Santa Clara", "gold", "in 1990"], [["Levi's Stadium", "Santa Clara, California"], ["gold", "Gold"], ["1990"]]
    )
    assert (f1.name, exact.name, f1.items) == ("f1", "exact", 3)
    assert f1.value == pytest.approx((0.8 + 1 + 2 / 3) / 3)
    assert exact.value == pytest.approx(1 / 3)
    assert exact.standard_error == pytest.approx(np.std([0, 1, 0], ddof=1) / math.sqrt(3))


def test_the_mean_of_two_metrics_has_no_standard_error_and_that_of_two_splits_has():
    labels = np.array([0, 1, 1, 0, 1, 2])
    first, second = class_metric("acc", labels, labels), class_metric("acc", np.zeros(6, dtype=int), labels)
    mean = mean_over_splits([first, second])
    assert (mean.name, mean.items, mean.value) == ("average", 12, pytest.approx((1 + 2 / 6) / 2))
    assert mean.standard_error == pytest.approx(second.standard_error / 2)
    both = mean_of([first, class_metric("matthews", labels, labels)])
    assert (both.value, both.items, both.standard_error, both.chance) == (1, 6, None, pytest.approx(0.25))
