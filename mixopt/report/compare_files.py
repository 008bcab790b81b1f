"""A comparison as files in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mixopt.report.compare_formats import render
from mixopt.report.files import write_files

if TYPE_CHECKING:
    from mixopt.comparison import Comparison
    from mixopt.report.compare_formats import Format

_FILES: dict[str, Format] = {
    "comparison.json": "json",
    "comparison.md": "markdown",
    "comparison.csv": "csv",
    "comparison.tex": "latex",
}


def save_comparison(comparison: Comparison, folder: str | Path, plots: bool = True) -> list[Path]:
    """Write the comparison in every format that is a file, and with `plots` its pictures.

    Args:
        comparison: what to write.
        folder: where, made on demand.
        plots: draw `curves.png` (where there are curves), `gains.png` and `mixtures.png`.

    Returns:
        The files written.

    Raises:
        ConfigError: the folder cannot be written.
    """
    contents = {name: render(comparison, form).encode() for name, form in _FILES.items()}
    if plots:
        from mixopt.report import compare_plots
        from mixopt.report.figure import png

        if any(entry.curve for entry in comparison.entries.values()):
            contents["curves.png"] = png(compare_plots.curves_figure(comparison))
        contents["gains.png"] = png(compare_plots.gains_figure(comparison))
        contents["mixtures.png"] = png(compare_plots.mixtures_figure(comparison))
    return write_files(Path(folder), contents)
