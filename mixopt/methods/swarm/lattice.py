"""The simplex lattice (Scheffé 1958): every mixture whose weights are multiples of 1/S, between bounds.

Symbols: m domains, S parts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mixopt.errors import ConfigError
from mixopt.solve.bounds import SLACK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixopt.arrays import Floats, Ints
    from mixopt.solve import Bounds

# Nobody trains more, and a step too small for many domains would fill the memory.
MOST_POINTS = 10_000
_FINEST = 1000


def parts_of_step(step: float) -> int:
    """S for a step of 1/S.

    Raises:
        ConfigError: the step does not divide 1.
    """
    parts = round(1 / step) if 1 / _FINEST <= step <= 1 else 0
    if not parts or abs(parts * step - 1) > 1e-9 * parts:
        near = f"; nearest: {1 / max(1, min(_FINEST, round(1 / step))):.4g}" if step > 0 else ""
        raise ConfigError(f"step: expected a share that divides 1, such as 0.1 or 0.25, found {step:g}{near}")
    return parts


def lattice_size(parts: int, bounds: Bounds) -> int:
    """Mixtures of the lattice 1/`parts` between bounds; without bounds C(S + m − 1, m − 1)."""
    low, high = _whole(parts, bounds)
    ways = [1] + [0] * parts  # of Python's integers, which do not overflow
    for least, most in zip(low.tolist(), high.tolist(), strict=True):
        ways = [sum(ways[max(0, total - most) : total - least + 1]) if total >= least else 0
                for total in range(parts + 1)]  # fmt: skip
    return ways[parts]


def lattice(parts: int, bounds: Bounds) -> Floats:
    """The lattice's mixtures (n, m), in lexicographic order.

    Raises:
        ConfigError: there are none, or more than anybody would train.
    """
    size, domains = lattice_size(parts, bounds), len(bounds.domains)
    step = f"{1 / parts:.4g}"
    if size == 0:
        raise ConfigError(f"grid: no mixture of step {step} lies between floors and caps; use a smaller step")
    if size > MOST_POINTS:
        raise ConfigError(
            f"grid: step {step} makes {_count(size)} mixtures of {domains} domains; use a larger step, or --count"
        )
    low, high = _whole(parts, bounds)
    return np.array(list(_compositions(parts, low.tolist(), high.tolist())), dtype=np.float64) / parts


def parts_of_count(count: int, bounds: Bounds) -> int:
    """S of the finest lattice with at most `count` mixtures between bounds.

    Raises:
        ConfigError: every lattice has more.
    """
    best, least = 0, None
    for parts in range(1, _FINEST + 1):
        size = lattice_size(parts, bounds)
        if 0 < size <= count:
            best = parts
        if size:
            least = min(size, least or size)
        # Finer lattices have more points; floors and caps off the lattice upset that only among the coarse ones.
        if size > 4 * count and parts > 4:
            break
    if not best:
        raise ConfigError(
            f"grid: the coarsest lattice between floors and caps has {_count(least or 0)} mixtures, found a count "
            f"of {count}; allow more runs, or use `mixopt search --method random`"
        )
    return best


def _whole(parts: int, bounds: Bounds) -> tuple[Ints, Ints]:
    """Bounds in parts of 1/S, inwards to whole ones."""
    low = np.ceil(bounds.floors * parts - SLACK * parts).astype(np.int64)
    high = np.floor(np.minimum(bounds.caps, 1) * parts + SLACK * parts).astype(np.int64)
    return np.maximum(low, 0), high


def _compositions(total: int, low: list[int], high: list[int]) -> Iterator[tuple[int, ...]]:
    """Every way to share `total` parts within bounds; branches that lead nowhere are not entered."""
    if len(low) == 1:
        yield (total,)
        return
    rest_low, rest_high = sum(low[1:]), sum(high[1:])
    for first in range(max(low[0], total - rest_high), min(high[0], total - rest_low) + 1):
        for rest in _compositions(total - first, low[1:], high[1:]):
            yield (first, *rest)


def _count(size: int) -> str:
    return f"{size:,}" if size < 10**9 else f"about 10^{math.log10(size):.0f}"
