"""A policy's state as JSON, arrays included, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixopt.policy.packing import pack, unpack

_ARRAY = "numpy array"


def to_json(value: Any) -> Any:
    """`value` with every numpy array and number in it as JSON values."""
    if isinstance(value, np.ndarray):
        return {_ARRAY: pack(value)}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(value: Any) -> Any:
    """The inverse of `to_json`."""
    if isinstance(value, dict):
        if value.keys() == {_ARRAY}:
            return unpack(value[_ARRAY])
        return {key: from_json(item) for key, item in value.items()}
    return [from_json(item) for item in value] if isinstance(value, list) else value
