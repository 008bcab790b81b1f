"""Files that are whole or absent, and small ones that people write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mixopt.errors import ConfigError
from mixopt.files import read_mapping, replacing, write_atomic

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_replaced_at_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    write_atomic(path, "old")
    with replacing(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_it_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    write_atomic(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "half, and what no file holds: \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"), ("{a: ", "not YAML"), ("[1]", r"expected `a: 1`, found \[1\]"),
        ("", "expected `a: 1`, found None"),
    ],
)  # fmt: skip
def test_a_file_without_keys_is_told(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "numbers.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=f"numbers: {message}"):
        read_mapping(path, "numbers", "`a: 1`")


def test_keys_are_text(tmp_path: Path) -> None:
    (tmp_path / "numbers.yaml").write_text("{1: 2, b: [3]}")
    assert read_mapping(tmp_path / "numbers.yaml", "numbers", "`a: 1`") == {"1": 2, "b": [3]}
