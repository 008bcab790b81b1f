"""Where tables are printed."""

from __future__ import annotations

import os
import sys

from rich.console import Console

_PAGE = 120


def page() -> Console:
    """Standard output. A pipe has no width, which is no reason to cut numbers short: it gets 120 characters."""
    if sys.stdout.isatty():
        return Console()
    asked = os.environ.get("COLUMNS", "")
    return Console(width=max(_PAGE, int(asked) if asked.isdigit() else 0))
