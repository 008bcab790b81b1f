"""Counts, durations and sizes as people write and read them."""

from __future__ import annotations

import pytest

from mixopt.errors import ConfigError
from mixopt.units import format_bytes, format_count, format_seconds, parse_count


@pytest.mark.parametrize(
    ("text", "value"),
    [("800k", 800_000), ("10M", 10**7), ("1.2B", 1_200_000_000), ("3e8", 3 * 10**8), ("7", 7), (5, 5), ("1_000", 1000)],
)
def test_counts(text, value):
    assert parse_count(text) == value


@pytest.mark.parametrize("text", ["", "many", "-3", "0", "10Q", "1.2.3", "nan", "inf"])
def test_what_is_no_count_is_refused(text):
    with pytest.raises(ConfigError, match="expected a count such as 800k"):
        parse_count(text)


@pytest.mark.parametrize(
    ("value", "text"), [(800_000, "800k"), (1_234_567, "1.23M"), (10**10, "10B"), (999, "999"), (999_990, "1M")]
)
def test_short_counts(value, text):
    assert format_count(value) == text


def test_durations_and_sizes():
    assert [format_seconds(s) for s in (12.2, 200, 18240)] == ["12 s", "3 min 20 s", "5 h 04 min"]
    assert [format_bytes(b) for b in (12, 3_200_000, 5e12)] == ["12 B", "3.2 MB", "5 TB"]
