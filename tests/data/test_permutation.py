import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mixopt.data.permutation import Permutation


@given(size=st.integers(1, 3000), key=st.integers())
@example(size=1, key=0)
@example(size=2, key=0)
def test_bijection_for_any_size(size, key):
    images = Permutation(size, (key,))(np.arange(size))
    assert sorted(images.tolist()) == list(range(size))


@given(size=st.integers(10**9, 2**48), key=st.integers())
def test_large_sizes_stay_in_range_and_distinct(size, key):
    positions = np.linspace(0, size - 1, 500).astype(np.int64)
    images = Permutation(size, (key,))(positions)
    assert images.min() >= 0
    assert images.max() < size
    assert len(set(images.tolist())) == len(set(positions.tolist()))


@pytest.mark.slow
def test_every_order_of_five_is_equally_likely():
    keys = 12_000
    orders = Counter(tuple(Permutation(5, (key, "order"))(np.arange(5)).tolist()) for key in range(keys))
    expected = keys / math.factorial(5)
    chi_square = sum((count - expected) ** 2 / expected for count in orders.values())
    assert len(orders) == 120
    assert chi_square < 180  # 119 degrees of freedom: the 99.98th percentile


def test_positions_and_images_are_uncorrelated():
    positions = np.arange(10_000)
    correlations = [np.corrcoef(positions, Permutation(10_000, (key,))(positions))[0, 1] for key in range(50)]
    assert np.abs(correlations).max() < 0.05  # five standard deviations


def test_another_key_gives_another_order():
    first, second = (Permutation(1000, ("web", epoch))(np.arange(1000)) for epoch in (0, 1))
    assert (first == second).sum() < 10


def test_order_never_changes_between_versions():
    """Stored runs depend on these numbers: a change means a new `NUMERICS` in mixopt.spec."""
    assert Permutation(1000, (7, "web", 0))(np.arange(8)).tolist() == [255, 657, 762, 59, 297, 505, 185, 495]
