"""The command line as tests call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mixopt.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def mixopt(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in an empty folder, with DATA for the test corpus; `status` is how it is expected to end."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def run(*words: str, status: int = 0) -> Result:
        result = runner.invoke(app, [word.replace("DATA", str(data_dir)) for word in words], catch_exceptions=False)
        assert result.exit_code == status, result.output
        return result

    return run
