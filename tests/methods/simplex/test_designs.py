"""Designs: mixtures within bounds, as many as asked for, the same for the same seed."""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from mixopt.methods.simplex.designs import (
    SAME,
    DesignSettings,
    lattice,
    lattice_size,
    make_design,
    parts_of_count,
    parts_of_step,
)
from mixopt.mixture import Mixture
from mixopt.solve import Bounds

DOMAINS = tuple(f"d{number}" for number in range(8))
NATURAL = Mixture.normalised({name: 2.0**-number for number, name in enumerate(DOMAINS)})
GROUPS = {"web": DOMAINS[:3], "books": DOMAINS[3:5]}
FREE = Bounds.free(DOMAINS)
KINDS = {
    "dirichlet": DesignSettings(runs=40),
    "two-level": DesignSettings(kind="two-level", runs=40, groups=GROUPS),
    "sobol": DesignSettings(kind="sobol", runs=40),
    "lattice": DesignSettings(kind="lattice", runs=40),
}


def weights(design: tuple[Mixture, ...]) -> np.ndarray:
    return np.array([mixture.weights for mixture in design])


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_settings_give_the_same_mixtures_and_another_seed_others(kind: str):
    settings = KINDS[kind]
    assert make_design(settings, NATURAL, FREE) == make_design(settings, NATURAL, FREE)
    if kind != "lattice":
        assert make_design(replace(settings, seed=1), NATURAL, FREE) != make_design(settings, NATURAL, FREE)


@pytest.mark.parametrize("kind", ["dirichlet", "two-level", "sobol"])
def test_more_runs_keep_those_that_there_are(kind: str):
    more = make_design(replace(KINDS[kind], runs=90), NATURAL, FREE, [NATURAL])
    assert make_design(KINDS[kind], NATURAL, FREE, [NATURAL]) == more[:40]


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=15)
@given(st.floats(1.3, 6), st.floats(0, 0.03), st.integers(1, 40))
def test_designs_hold_to_bounds_and_counts(kind: str, epochs: float, floor: float, runs: int):
    caps = np.clip(NATURAL.array * epochs, floor, 1)
    bounds = Bounds(DOMAINS, np.minimum(np.full(8, floor), caps), caps)
    if kind == "lattice":
        bounds = Bounds(DOMAINS, np.zeros(8), np.ones(8))
        runs = max(runs, 8)
    design = make_design(replace(KINDS[kind], runs=runs), NATURAL, bounds)
    drawn = weights(design)
    assert len(design) == runs if kind != "lattice" else 8 <= len(design) <= runs
    np.testing.assert_allclose(drawn.sum(axis=1), 1, atol=1e-9)
    assert (drawn >= bounds.floors - 1e-9).all()
    assert (drawn <= bounds.caps + 1e-9).all()
    apart = 0.5 * np.abs(drawn[:, None] - drawn[None]).sum(axis=2)
    assert (apart[~np.eye(len(drawn), dtype=bool)] > SAME).all()


def test_strengths_and_temperature_shape_the_swarm():
    def around(**changes: object) -> np.ndarray:
        return weights(make_design(replace(DesignSettings(runs=300), **changes), NATURAL, FREE))

    strong, weak = around(strengths=(50.0, 50.0)), around(strengths=(0.3, 0.3))
    assert (strong.max(axis=1) < 0.9).all()
    assert np.median(weak.max(axis=1)) > 0.8
    np.testing.assert_allclose(around(strengths=(5.0, 5.0), temperature=1.0).mean(axis=0), NATURAL.array, atol=0.04)
    np.testing.assert_allclose(around(strengths=(5.0, 5.0), temperature=0.0).mean(axis=0), 1 / 8, atol=0.04)


def test_two_levels_draw_sources_and_then_their_topics():
    settings = DesignSettings(kind="two-level", runs=300, groups=GROUPS, temperature=1.0, strengths=(2.0, 2.0))
    drawn = weights(make_design(settings, NATURAL, FREE))
    sources = NATURAL.array[:3].sum(), NATURAL.array[3:5].sum()
    np.testing.assert_allclose([drawn[:, :3].sum(axis=1).mean(), drawn[:, 3:5].sum(axis=1).mean()], sources, atol=0.04)
    # A source's total varies as Beta(2 p, 2 (1 − p)) whatever the number of its topics.
    assert drawn[:, :3].sum(axis=1).var() == pytest.approx(sources[0] * (1 - sources[0]) / 3, rel=0.2)


def test_sobol_covers_more_evenly_than_chance():
    drawn = weights(make_design(DesignSettings(kind="sobol", runs=256), Mixture.uniform("abc"), Bounds.free("abc")))
    chance = np.random.default_rng(0).dirichlet(np.ones(3), 256)
    np.testing.assert_allclose(drawn.mean(axis=0), 1 / 3, atol=5e-3)
    assert np.abs(drawn.mean(axis=0) - 1 / 3).max() < np.abs(chance.mean(axis=0) - 1 / 3).max()


def test_anchors_come_first_and_to_the_last_bit():
    uniform = Mixture.uniform(DOMAINS)
    design = make_design(DesignSettings(runs=5), NATURAL, FREE, [NATURAL, uniform])
    assert design[:2] == (NATURAL, uniform)
    assert len(design) == 5
    capped = Bounds(DOMAINS, np.zeros(8), np.full(8, 0.3))
    first = make_design(DesignSettings(runs=5), NATURAL, capped, [NATURAL])[0]
    assert max(first.weights) == pytest.approx(0.3)
    on_top = make_design(DesignSettings(kind="lattice", runs=8), NATURAL, FREE, [NATURAL])
    assert len(on_top) == 9


@pytest.mark.parametrize("kind", ["dirichlet", "two-level"])
def test_no_two_mixtures_train_the_same_in_short_runs(kind: str):
    def whole(row: np.ndarray) -> np.ndarray:
        return Mixture(DOMAINS, tuple(row.tolist())).counts(9) / 9

    def trained(design: tuple[Mixture, ...]) -> int:
        return len({tuple(whole(mixture.array)) for mixture in design})

    assert trained(make_design(KINDS[kind], NATURAL, FREE, [NATURAL])) < 40
    assert trained(make_design(KINDS[kind], NATURAL, FREE, [NATURAL], whole)) == 40


def test_a_lattice_keeps_no_more_points_than_runs_can_tell_apart():
    fine = DesignSettings(kind="lattice", step=0.05)
    design = make_design(fine, Mixture.uniform("abc"), Bounds.free("abc"), seen=lambda row: np.rint(4 * row) / 4)
    assert len({tuple(np.rint(4 * mixture.array)) for mixture in design}) == len(design) < 231
    assert len(make_design(fine, Mixture.uniform("abc"), Bounds.free("abc"))) == 231


def test_too_short_runs_for_so_many_mixtures_are_refused():
    with pytest.raises(ConfigError, match="more tokens"):
        make_design(DesignSettings(runs=9), Mixture.uniform("abc"), Bounds.free("abc"), seen=np.rint)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "latin"}, r"design: .*found 'latin'"),
        ({"runs": 0}, r"runs: .*found 0"),
        ({"strengths": (5.0, 0.1)}, r"strengths: .*least"),
        ({"temperature": 2.0}, r"temperature: .*found 2"),
        ({"kind": "two-level"}, r"design two-level: .*source"),
        ({"step": 0.1}, r"step: .*lattice.*dirichlet"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        DesignSettings(**changes)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"web": ("d0", "d9")}, r"'web' .*'d9'"),
        ({"web": ("d0", "d1"), "more": ("d1",)}, r"'d1' .*'web' .*'more'"),
        ({"web": ()}, "'web' has no domain"),
    ],
)
def test_groups_name_each_domain_once(groups: dict[str, tuple[str, ...]], message: str):
    with pytest.raises(ConfigError, match=message):
        make_design(DesignSettings(kind="two-level", groups=groups), NATURAL, FREE)


@pytest.mark.slow
def test_bounds_without_room_say_how_many_mixtures_there_are():
    narrow = Bounds(("a", "b"), np.array([0.5, 0.49]), np.ones(2))
    with pytest.raises(ConfigError, match=r"2 different mixtures .* 30 were asked"):
        make_design(DesignSettings(runs=30), Mixture.uniform("ab"), narrow)


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
