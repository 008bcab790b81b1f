"""Arrays in a policy's state, as JSON values: exact, and a third of the size of numbers in text."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
