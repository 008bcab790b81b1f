"""Counts that people write: 800k, 10M, 1.2B tokens; and durations and sizes that people read."""

from __future__ import annotations

import re

from mixopt.errors import ConfigError

_SUFFIX = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
_COUNT = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:e[0-9]+)?|\.[0-9]+)\s*([kmbgt]?)\s*", re.IGNORECASE)


def parse_count(text: str | int | float, what: str = "tokens") -> int:
    """Whole positive number from `800k`, `10M`, `1.2B`, `3e8` or a plain number.

    Raises:
        ConfigError: the text is no such number, or it is below one.
    """
    match = _COUNT.fullmatch(str(text))
    value = float(match[1].replace("_", "")) * _SUFFIX[match[2].lower()] if match else float("nan")
    if not 1 <= value <= 1e18:
        raise ConfigError(f"{what}: expected a count such as 800k, 10M or 1.2B, found {text!r}")
    return round(value)


def format_count(value: float) -> str:
    """Short form of a count, three significant digits: 800k, 1.2M, 10B."""
    for limit, suffix in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if abs(value) >= limit * 0.9995:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}"


def format_seconds(seconds: float) -> str:
    """Short form of a duration: 12 s, 3 min 20 s, 5 h 04 min."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


def format_bytes(size: float) -> str:
    """Short form of a size in bytes, in powers of ten: 3.2 MB."""
    for limit, suffix in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= limit:
            return f"{size / limit:.3g} {suffix}"
    return f"{size:.0f} B"
