"""`--paths`: a pattern, single domains, files, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mixopt.errors import ConfigError
from mixopt.export import read_paths

if TYPE_CHECKING:
    from pathlib import Path

DOMAINS = ("Pile-CC", "ArXiv", "a=b")


def test_nothing_given_names_each_after_its_domain() -> None:
    assert read_paths([], DOMAINS) == {"Pile-CC": "pile_cc", "ArXiv": "arxiv", "a=b": "a_b"}


def test_a_pattern_serves_the_domains_not_named() -> None:
    found = read_paths(["ArXiv=/x=y/papers", "s3://v=1/{name}/{domain}"], DOMAINS)
    assert found == {"Pile-CC": "s3://v=1/pile_cc/Pile-CC", "ArXiv": "/x=y/papers", "a=b": "s3://v=1/a_b/a=b"}


def test_a_file_holds_any_names(tmp_path: Path) -> None:
    path = tmp_path / "paths.json"
    path.write_text(json.dumps({domain: f"/data/{domain}" for domain in DOMAINS}))
    assert read_paths([str(path)], DOMAINS)["a=b"] == "/data/a=b"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["ArXiv=x"], "no path for 'Pile-CC', 'a=b'"),
        (["ArXiv="], "no path for 'Pile-CC', 'ArXiv'"),
        (["arxiv=x"], "'arxiv'; did you mean 'ArXiv'"),
        (["zzz=x"], r"'zzz'; .*Pile-CC, ArXiv, a=b"),
        (["nowhere.yaml"], "expected DOMAIN=PATH, a pattern"),
    ],
)
def test_mistakes_are_told_in_a_line(given: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        read_paths(given, DOMAINS)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [("[a, b]", "expected `domain: path` lines"), ("other: x", "no domain 'other'"), ("ArXiv: 3", "expected `domain")],
)
def test_files_that_hold_something_else_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "paths.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_paths([str(path)], DOMAINS)
