"""Validation losses inside a run, from its curve."""

from __future__ import annotations

import numpy as np

from mixopt.store.frames import validation_points


def test_points_are_in_order_and_a_domain_that_was_not_measured_is_nan():
    curve = {
        "tokens": [20, 20, 10, 10, 10],
        "split": ["validation", "train", "validation", "validation", "validation"],
        "domain": ["a", "b", "b", "a", "elsewhere"],
        "loss": [1.0, 9.0, 3.0, 2.0, 7.0],
    }
    tokens, losses = validation_points(curve, ("a", "b"))
    assert tokens == (10, 20)
    np.testing.assert_array_equal(losses, [[2.0, 3.0], [1.0, np.nan]])
    assert validation_points({}, ("a",))[1].shape == (0, 1)
