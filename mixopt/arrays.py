"""Arrays by what they hold, for annotations (docstrings give shapes), and as JSON values: exact, and compact."""

from __future__ import annotations

import base64
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Indices: TypeAlias = NDArray[np.intp]
Bools: TypeAlias = NDArray[np.bool_]

_ARRAY = "numpy array"


def pack(array: NDArray[Any]) -> dict[str, Any]:
    """A dict of JSON values from which `unpack` makes the same array, bit by bit."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {
        "dtype": little.dtype.str,
        "shape": list(array.shape),
        "base64": base64.b64encode(little.tobytes()).decode("ascii"),
    }


def unpack(packed: dict[str, Any]) -> NDArray[Any]:
    """The inverse of `pack`."""
    values = np.frombuffer(base64.b64decode(packed["base64"]), dtype=packed["dtype"])
    return values.reshape(packed["shape"]).astype(values.dtype.newbyteorder("="))


def to_json(value: Any) -> Any:
    """`value` with every numpy array and number in it as JSON values; floats keep their every bit."""
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
    """The inverse of `to_json`, with lists for tuples."""
    if isinstance(value, dict):
        if value.keys() == {_ARRAY}:
            return unpack(value[_ARRAY])
        return {key: from_json(item) for key, item in value.items()}
    return [from_json(item) for item in value] if isinstance(value, list) else value
