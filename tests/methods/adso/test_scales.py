"""Scales of a search, and histories as points of a model of them."""

from __future__ import annotations

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.history import CurvePoints, History
from mixopt.methods.adso.scales import Ladder, Scale

SMALL, LONG, BIG, TARGET = (
    Scale("small", 1_000, 10_000, 0.01),
    Scale("small", 1_000, 100_000, 0.1),
    Scale("big", 10_000, 10_000, 0.1),
    Scale("big", 10_000, 100_000, 1.0),
)
LADDER = Ladder((TARGET, SMALL, BIG, LONG))


def history(parameters: list[int], tokens: list[float], curves: CurvePoints | None = None) -> History:
    """Runs on half and half of two domains, of loss 3, 4, …"""
    count = len(tokens)
    return History(
        runs=tuple(f"run {i}" for i in range(count)),
        domains=("a", "b"),
        eval_domains=("a", "b"),
        tokens_seen=np.outer(tokens, [0.5, 0.5]),
        losses=np.arange(count)[:, None] + np.array([3.0, 3.5]),
        seeds=np.zeros(count, dtype=np.int64),
        parameters=np.array(parameters, dtype=np.int64),
        curves=curves,
    )


def test_scales_stand_in_the_order_of_cost_and_in_decades_below_the_target():
    assert LADDER.scales[0] is SMALL
    assert LADDER.target is TARGET
    np.testing.assert_allclose(LADDER.coordinates, [[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]], atol=1e-12)


def test_runs_are_known_by_size_and_by_tokens_in_whole_batches():
    measured = LADDER.measured(history([1_000, 10_000, 1_000], [10_200, 99_900, 100_000]))
    assert measured.scale.tolist() == [0, 3, 1]
    np.testing.assert_allclose(measured.costs, [0.01, 1.0, 0.1])
    np.testing.assert_allclose(measured.points.scales, [[1, 1], [0, 0], [1, 0]], atol=1e-12)
    np.testing.assert_allclose(measured.coordinates, LADDER.coordinates[:, :2])
    assert measured.at_target(np.eye(2)).scales.shape == (2, 2)


def test_a_run_of_another_scale_is_data_at_its_own():
    measured = LADDER.measured(history([3_162], [31_623]))
    assert measured.scale.tolist() == [-1]
    np.testing.assert_allclose(measured.points.scales, [[0.5, 0.5]], atol=1e-3)
    np.testing.assert_allclose(measured.costs, [0.1], rtol=1e-3)


def test_a_size_that_is_not_known_is_the_targets():
    assert LADDER.measured(history([0], [100_000])).scale.tolist() == [3]


def test_points_of_curves_are_shorter_runs_that_are_not_at_their_end():
    curves = CurvePoints(
        run=np.array([0, 0, 0, 0, 1]),
        tokens=np.array([5_000.0, 10_000.0, 25_000.0, 50_000.0, 5_000.0]),
        losses=np.full((5, 2), 9.0),
    )
    measured = LADDER.measured(history([10_000, 1_000], [100_000, 10_000], curves))
    # Of the long run two points, none of fewer tokens than any scale; the shortest runs have none to give.
    np.testing.assert_allclose(
        measured.points.scales, [[0, 0, 0], [1, 1, 0], [0, 1, 1], [0, np.log10(2), np.log10(2)]], atol=1e-12
    )
    np.testing.assert_allclose(measured.losses, [[3, 3.5], [4, 4.5], [9, 9], [9, 9]])
    assert len(measured.costs) == len(measured.scale) == 2  # they cost nothing


def test_with_the_target_alone_there_is_no_axis_and_no_use_for_curves():
    curves = CurvePoints(np.array([0]), np.array([50_000.0]), np.full((1, 2), 9.0))
    measured = Ladder((TARGET,)).measured(history([10_000], [100_000], curves))
    assert measured.points.scales.shape == (1, 0)


def test_curves_follow_their_runs_when_some_are_selected():
    curves = CurvePoints(np.array([0, 1, 1]), np.array([1.0, 2.0, 3.0]), np.arange(6.0).reshape(3, 2))
    chosen = history([1_000] * 3, [10.0, 20.0, 30.0], curves).select(np.array([2, 1])).curves
    assert chosen is not None
    assert chosen.run.tolist() == [1, 1]
    assert chosen.tokens.tolist() == [2.0, 3.0]
    assert history([1_000], [10.0]).select(np.array([0])).curves is None


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ((), "one or more, found none"),
        ((SMALL,), r"small, 10k tokens, .*cost 1, found 0.01"),
        ((SMALL, SMALL, TARGET), r"small, 10k tokens .*twice"),
        ((Scale("small", 1_000, 200_000, 0.2), TARGET), r"small, 200k tokens .*larger"),
    ],
)
def test_refuses(scales, message):
    with pytest.raises(ConfigError, match=message):
        Ladder(scales)
