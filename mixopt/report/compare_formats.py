"""A comparison in five formats, and as files. Names may hold anything: each format escapes them in its own way."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from mixopt.report.comparison import comparison_figures, comparison_tables, headline, notes

if TYPE_CHECKING:
    from rich.console import Console

    from mixopt.comparison import Comparison
    from mixopt.display.table import Cell

Format = Literal["terminal", "markdown", "csv", "latex", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)
_FILES: dict[str, Format] = {
    "comparison.json": "json",
    "comparison.md": "markdown",
    "comparison.csv": "csv",
    "comparison.tex": "latex",
}


def render(comparison: Comparison, form: Format, console: Console | None = None) -> str:
    """The comparison as text, ending in a line break.

    Args:
        console: the terminal that `terminal` is laid out for; None for standard output.
    """
    if form == "json":
        return json.dumps(comparison.to_dict(), indent=2, allow_nan=False) + "\n"
    if form == "terminal":
        return terminal(comparison, console)
    writers: dict[str, Callable[[Comparison], str]] = {"markdown": markdown, "csv": csv_text, "latex": latex}
    return writers[form](comparison)


def save_comparison(comparison: Comparison, folder: str | Path, plots: bool = True) -> list[Path]:
    """Write the comparison in every format that is a file, and with `plots` its pictures.

    Args:
        folder: where, made on demand.
        plots: draw `curves.png` (where there are curves), `objective.png`, `gains.png` and `mixtures.png`.

    Returns:
        The files written.

    Raises:
        ConfigError: the folder cannot be written.
    """
    from mixopt.report.console import write_files

    contents = {name: render(comparison, form).encode() for name, form in _FILES.items()}
    if plots:
        from mixopt.report.png import png

        contents |= {f"{figure.name}.png": png(figure) for figure in comparison_figures(comparison)}
    return write_files(Path(folder), contents)


def _rows(comparison: Comparison) -> Iterator[tuple[str, str, tuple[Cell, ...]]]:
    """Section, label, a cell for each mixture."""
    for section in comparison_tables(comparison):
        for label, *cells in section.rows:
            yield section.title, label.text, tuple(cells)


def terminal(comparison: Comparison, console: Console | None = None) -> str:
    """For a terminal: sections apart, the best of a row in bold, warnings below."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from mixopt.report.console import page, styled

    console = console or page()
    out = Table(box=SIMPLE_HEAD, pad_edge=False)
    out.add_column("", no_wrap=True)
    for name in comparison.entries:
        out.add_column(escape(name), justify="right", overflow="fold")
    for position, section in enumerate(comparison_tables(comparison)):
        if position:
            out.add_row()
        out.add_row(f"[dim]{escape(section.title)}[/dim]")
        for label, *cells in section.rows:
            out.add_row(f"  {escape(label.text)}", *map(styled, cells))
    with console.capture() as captured:
        title = escape(headline(comparison))
        console.print(f"\n[bold]Comparison[/bold]  [dim]{title}[/dim]", highlight=False)
        console.print(out)
        for note in notes(comparison):
            console.print(f"[dim]{escape(note)}[/dim]", highlight=False)
        for warning in comparison.warnings:
            console.print(f"[yellow]warning:[/yellow] {escape(warning)}", highlight=False)
    return captured.get()


def markdown(comparison: Comparison) -> str:
    """A pipe table, as GitHub and Pandoc read it, under a line of title."""
    from tabulate import tabulate

    names = tuple(comparison.entries)
    rows: list[list[str]] = []
    section = None
    for title, label, cells in _rows(comparison):
        if title != section:
            rows.append([f"**{_markdown(title)}**", *("" for _ in names)])
            section = title
        texts = [_markdown(cell.text) for cell in cells]
        shown = [f"**{text}**" if cell.kind == "strong" else text for text, cell in zip(texts, cells, strict=True)]
        rows.append([_markdown(label), *shown])
    grid = tabulate(
        rows,
        headers=["", *map(_markdown, names)],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=("left", *("right" for _ in names)),
    )
    said = [f"- {_markdown(note)}" for note in notes(comparison)]
    warnings = [f"- **warning:** {_markdown(warning)}" for warning in comparison.warnings]
    return "\n".join([f"Comparison: {_markdown(headline(comparison))}", "", grid, "", *said, *warnings]) + "\n"


# CommonMark 0.31, section 2.4: any ASCII punctuation may be escaped by a backslash; these have a meaning.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&$])")


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


_CSV_COLUMNS = ("section", "row", "mixture", "value", "standard_error", "low", "high", "text")


def csv_text(comparison: Comparison) -> str:
    """One line a cell, numbers in full: section, row, mixture, value, standard_error, low, high, text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for section, label, cells in _rows(comparison):
        for name, cell in zip(comparison.entries, cells, strict=True):
            numbers = ["" if n is None else repr(n) for n in (cell.value, cell.error, cell.low, cell.high)]
            writer.writerow([section, label, name, *numbers, cell.text if cell.value is None else ""])
    return out.getvalue()


def latex(comparison: Comparison) -> str:
    """A `tabular` with booktabs' rules in a `table`, to be read in by a paper; it needs the package booktabs."""
    import pandas as pd

    rows, names = list(_rows(comparison)), list(comparison.entries)
    index = pd.MultiIndex.from_tuples([(section, label) for section, label, _ in rows])
    frame = pd.DataFrame([[cell.text for cell in cells] for *_, cells in rows], index, names)
    bold = pd.DataFrame([[_bold(cell) for cell in cells] for *_, cells in rows], index, names)
    style = frame.style.format(_latex).format_index(_latex, axis="index")
    style = style.format_index(_latex, axis="columns")
    body = style.apply(lambda _: bold.to_numpy(), axis=None).to_latex(
        hrules=True,
        column_format="ll" + "r" * len(names),
        multirow_align="naive",
        clines="skip-last;data",
        position="t",
        position_float="centering",
        caption=_latex(f"Comparison: {headline(comparison)}."),
        label="tab:mixopt-comparison",
    )
    # pandas draws cline only; between sections booktabs' own rule has the right space around it.
    line = f"\\cline{{1-{len(names) + 2}}}\n"
    body = body.replace(f"{line}\\bottomrule", "\\bottomrule").replace(line, "\\midrule\n")
    said = [f"% {' '.join(note.split())}" for note in (*notes(comparison), *comparison.warnings)]
    return "\n".join(["% needs \\usepackage{booktabs}", *said, body])


def _bold(cell: Cell) -> str:
    return "textbf:--rwrap" if cell.kind == "strong" else ""


_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # Ours, in mathematics mode, where they need no font encoding.
    "±": r"$\pm$",
    "†": r"$\dagger$",
}


def _latex(text: object) -> str:
    # Beyond what pandas escapes: < > | come out as other characters in LaTeX's default font encoding.
    return "".join(_LATEX.get(character, character) for character in str(text))
