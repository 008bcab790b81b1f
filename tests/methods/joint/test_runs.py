"""Runs laid out for joint laws: cells, scales, and histories that carry no law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.methods.joint.law_of_runs import JointFit
from mixopt.methods.joint.runs import Cells
from mixopt.objective import MeanLoss
from tests.methods.world import TransferWorld

WORLD = TransferWorld()


def test_repeats_are_one_cell_to_a_sequence_or_so():
    tokens = np.repeat(WORLD.design(), 3, axis=0)
    tokens[1::3] *= 1.004
    history = WORLD.train(tokens)
    cells = Cells.of(replace(history, seeds=np.tile(np.arange(3), 7)))
    assert len(cells) == 7
    assert np.bincount(cells.index).tolist() == [3] * 7
    assert cells.layout.freedom == 6 * 2


@pytest.mark.parametrize(("totals", "held"), [((9e5,), 0), ((3e5, 9e5), 7), ((3e5, 9e5, 2.7e6), 7), ((3e5, 3e7), 7)])
def test_the_largest_scale_is_a_whole_design(totals, held):
    cells = Cells.of(WORLD.train(WORLD.design(*totals)))
    assert cells.largest_scale.sum() == held
    assert (cells.totals[cells.largest_scale] >= max(totals) * 0.7).all()


def test_scales_of_mixtures_of_any_kind_are_told_apart_by_length():
    mixtures = np.random.default_rng(0).dirichlet(np.ones(3), 20)
    tokens = np.concatenate([mixtures[:12] * 1e6, mixtures[12:] * 4e6])
    assert Cells.of(WORLD.train(tokens)).largest_scale.sum() == 8


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda h: h.select(np.arange(4)), r"at least 5 runs .*found 4"),
        (lambda h: replace(h, parameters=np.arange(len(h))), "models with 0 and 1 parameters"),
        (lambda h: replace(h, tokens_seen=h.tokens_seen * [1, 1, 0] + [0, 0, 5e5]), "same tokens of 'maths'"),
        (
            lambda h: replace(
                h, tokens_seen=h.tokens_seen[:, :1] * [1, 2, 3] + np.arange(len(h))[:, None] * [1e5, 2e5, 3e5]
            ),
            "vary in 1 directions, expected 2",
        ),
        (lambda h: replace(h, losses=h.losses * 0), "finite and above 0"),
    ],
)
def test_histories_that_carry_no_law_are_refused(change, says):
    history = change(WORLD.train(WORLD.design()))
    with pytest.raises(ConfigError, match=says):
        JointFit.of(history, MeanLoss())
