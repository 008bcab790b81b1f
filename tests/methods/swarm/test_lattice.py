"""Lattices hold every mixture of a step, and as many as combinatorics says."""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from mixopt.methods.swarm.lattice import lattice, lattice_size, parts_of_count, parts_of_step
from mixopt.solve import Bounds


def free(domains: int) -> Bounds:
    return Bounds.free([str(number) for number in range(domains)])


@pytest.mark.parametrize(("parts", "domains"), [(1, 5), (10, 3), (4, 7), (7, 1)])
def test_a_free_lattice_has_the_closed_form_of_points(parts: int, domains: int):
    bounds = free(domains)
    points = lattice(parts, bounds)
    assert len(points) == lattice_size(parts, bounds) == comb(parts + domains - 1, domains - 1)
    np.testing.assert_allclose(points.sum(axis=1), 1)
    assert len({tuple(row) for row in (points * parts).round().astype(int).tolist()}) == len(points)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(0, 30), st.integers(30, 100)), min_size=2, max_size=4).filter(
        lambda some: sum(low for low, _ in some) <= 100 <= sum(high for _, high in some)
    ),
)
def test_bounds_keep_exactly_the_points_within(parts: int, per_cent: list[tuple[int, int]]):
    limits = [(low / 100, high / 100) for low, high in per_cent]
    floors, caps = (np.array(column) for column in zip(*limits, strict=True))
    bounds = Bounds(tuple(map(str, range(len(limits)))), floors, caps)
    every = itertools.product(range(parts + 1), repeat=len(limits))
    expected = [
        point
        for point in every
        if sum(point) == parts
        and all(low - 1e-9 <= k / parts <= high + 1e-9 for k, (low, high) in zip(point, limits, strict=True))
    ]
    assert lattice_size(parts, bounds) == len(expected)
    if expected:
        np.testing.assert_allclose(lattice(parts, bounds) * parts, expected)


def test_a_count_gives_the_finest_lattice_that_it_allows():
    bounds = Bounds.free("abc")
    assert parts_of_count(66, bounds) == 10
    assert parts_of_count(65, bounds) == 9


def test_a_size_that_nobody_could_list_is_counted():
    assert lattice_size(100, free(30)) == comb(129, 29)


@pytest.mark.parametrize("step", [0.3, 0.0, -0.1, 2.0])
def test_a_step_that_does_not_divide_1_is_refused(step: float):
    with pytest.raises(ConfigError, match=r"step: .*divides 1"):
        parts_of_step(step)


def test_steps_are_whole_parts():
    assert [parts_of_step(step) for step in (1.0, 0.5, 1 / 3, 0.1, 0.05)] == [1, 2, 3, 10, 20]


def test_lattices_without_or_with_too_many_points_are_refused():
    tight = Bounds(("a", "b"), np.array([0.45, 0.45]), np.array([0.55, 0.55]))
    with pytest.raises(ConfigError, match=r"step 0\.3333 .*floors and caps"):
        lattice(3, tight)
    with pytest.raises(ConfigError, match="1,961,256 mixtures of 15"):
        lattice(10, free(15))
    with pytest.raises(ConfigError, match="20 mixtures, found a count of 3"):
        parts_of_count(3, free(20))
