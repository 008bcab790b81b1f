"""A page with names that are hostile, and a browser."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from mixopt.report.html import write_report
from mixopt.store import Store
from tests.report.html.made import HOSTILE, PLAIN, make_results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def plain_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three domains; read-only by convention."""
    return make_results(tmp_path_factory.mktemp("plain") / "results", PLAIN)


@pytest.fixture(scope="session")
def hostile_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose domains' names are markup and scripts; read-only by convention."""
    return make_results(tmp_path_factory.mktemp("hostile") / "results", HOSTILE)


@pytest.fixture(scope="session")
def hostile_page(hostile_results: Path) -> Path:
    """Its page."""
    with Store(hostile_results, read_only=True) as store:
        return write_report(store)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's Chromium, without a window."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium's sandbox refuses root
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield launched
        launched.close()
