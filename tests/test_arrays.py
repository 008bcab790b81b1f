"""State with arrays in it, through JSON and back: bit by bit."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mixopt.arrays import from_json, to_json


@pytest.mark.parametrize(
    "array",
    [
        np.array([0.1, np.nan, -0.0, np.inf]), np.zeros((0, 3)), np.arange(6, dtype=np.int32).reshape(2, 3).T,
        np.array([True, False]), np.array(2.5), np.arange(3, dtype=">f8"),
    ],
)  # fmt: skip
def test_arrays_come_back_bit_by_bit(array: np.ndarray) -> None:
    back = from_json(json.loads(json.dumps(to_json({"deep": [array]}))))["deep"][0]
    assert (back.dtype.kind, back.dtype.itemsize, back.shape) == (array.dtype.kind, array.dtype.itemsize, array.shape)
    assert back.astype(array.dtype).tobytes() == np.ascontiguousarray(array).tobytes()


def test_everything_else_keeps_its_value() -> None:
    state = {"step": 3, "rate": 0.1 + 0.2, "names": ("a", None), "count": np.int64(7), "loss": np.float32(0.5)}
    assert from_json(json.loads(json.dumps(to_json(state)))) == {**state, "names": ["a", None], "count": 7}
