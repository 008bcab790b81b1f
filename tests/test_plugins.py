"""Registries: our own lines, those of installed packages, and anybody's `module:attribute`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.plugins import Registry, is_path, load

OURS = {"mixture": "mixopt.mixture:Mixture", "tolerance": "mixopt.mixture:SUM_TOLERANCE"}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """With an installed package that brings `other`, and wants our `mixture` for itself."""
    package = tmp_path / "site" / "toys-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[mixopt.things]\nother = toys:Other\nmixture = toys:Other\n")
    (tmp_path / "site" / "toys.py").write_text("from mixopt.mixture import Mixture\nclass Other(Mixture): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.chdir(tmp_path)
    return Registry("thing", "mixopt.things", OURS, Mixture)


def test_ours_come_first_and_keep_their_names(registry: Registry) -> None:
    assert [*registry] == ["mixture", "tolerance", "other"]
    assert len(registry) == 3
    assert registry.get("mixture") is Mixture
    assert issubclass(registry.get("other"), Mixture)
    assert registry.offer == "mixture, tolerance or module:Class"


def test_what_is_asked_for_is_imported_and_nothing_else(registry: Registry) -> None:
    sys.modules.pop("toys", None)
    assert "other" in registry
    assert "mine:Thing" in registry
    assert "mine" not in registry
    assert registry.check("mine:Thing") == "mine:Thing"
    registry.get("mixture")
    assert "toys" not in sys.modules


def test_a_module_in_the_current_folder_is_found_and_the_path_is_as_it_was(registry: Registry) -> None:
    Path("in_folder.py").write_text("from mixopt.mixture import Mixture\nclass Mine(Mixture): ...\n")
    before = [*sys.path]
    assert registry.get("in_folder:Mine") is registry.get("in_folder:Mine")
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mixtur", "thing: expected mixture or module:Class, found 'mixtur'"),
        ("zzz", "thing: expected mixture, tolerance, other or module:Class"),
        ("nowhere:Thing", "thing nowhere:Thing: module nowhere cannot be imported .ModuleNotFoundError"),
        ("mixopt.mixture:Nothing", "module mixopt.mixture has no Nothing"),
        ("broken:Thing", "module broken cannot be imported .ZeroDivisionError: division by zero"),
        ("tolerance", r"expected what is made from mixopt\.mixture\.Mixture, found 1e-09"),
    ],
)
def test_what_is_not_there_is_one_line(registry: Registry, name: str, message: str) -> None:
    Path("broken.py").write_text("1 / 0\n")
    with pytest.raises(ConfigError, match=message):
        registry.get(name)


@pytest.mark.parametrize("text", ["a", "a:", ":b", "a:b:c", "a b:c", "3a:b", "C:\\a"])
def test_paths_are_written_with_one_colon_and_names(text: str) -> None:
    assert not is_path(text)
    assert is_path("a.b:c")
    assert load("math:pi", "number") == pytest.approx(3.1416, abs=1e-4)
