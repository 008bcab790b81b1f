"""A comparison's table in five formats. Names may hold anything: each format escapes them in its own way."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from mixopt.comparison import Comparison
    from mixopt.report.compare_table import Cell, ComparisonTable

Format = Literal["terminal", "markdown", "csv", "latex", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)


def render(comparison: Comparison, form: Format, console: Console | None = None) -> str:
    """The comparison as text, ending in a line break.

    Args:
        comparison: what to render.
        form: as what.
        console: the terminal that `terminal` is laid out for; None for standard output.
    """
    from mixopt.report.compare_table import comparison_table

    if form == "json":
        return json.dumps(comparison.to_dict(), indent=2, allow_nan=False) + "\n"
    table = comparison_table(comparison)
    if form == "terminal":
        return terminal(table, console)
    writers: dict[str, Callable[[ComparisonTable], str]] = {"markdown": markdown, "csv": csv_text, "latex": latex}
    return writers[form](table)


def terminal(table: ComparisonTable, console: Console | None = None) -> str:
    """For a terminal: sections apart, the best of a row in bold, warnings below."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from mixopt.report.console import page

    console = console or page()
    out = Table(box=SIMPLE_HEAD, pad_edge=False)
    out.add_column("", no_wrap=True)
    for name in table.names:
        out.add_column(escape(name), justify="right", overflow="fold")
    section = None
    for row in table.rows:
        if row.section != section:
            if section is not None:
                out.add_row()
            out.add_row(f"[dim]{escape(row.section)}[/dim]")
            section = row.section
        texts = [escape(cell.text) for cell in row.cells]
        cells = [f"[bold]{text}[/bold]" if cell.best else text for text, cell in zip(texts, row.cells, strict=True)]
        out.add_row(f"  {escape(row.label)}", *cells)
    with console.capture() as captured:
        console.print(f"\n[bold]Comparison[/bold]  [dim]{escape(table.title)}[/dim]", highlight=False)
        console.print(out)
        for note in table.notes:
            console.print(f"[dim]{escape(note)}[/dim]", highlight=False)
        for warning in table.warnings:
            console.print(f"[yellow]warning:[/yellow] {escape(warning)}", highlight=False)
    return captured.get()


def markdown(table: ComparisonTable) -> str:
    """A pipe table, as GitHub and Pandoc read it, under a line of title."""
    from tabulate import tabulate

    rows: list[list[str]] = []
    section = None
    for row in table.rows:
        if row.section != section:
            rows.append([f"**{_markdown(row.section)}**", *("" for _ in table.names)])
            section = row.section
        texts = [_markdown(cell.text) for cell in row.cells]
        cells = [f"**{text}**" if cell.best else text for text, cell in zip(texts, row.cells, strict=True)]
        rows.append([_markdown(row.label), *cells])
    grid = tabulate(
        rows,
        headers=["", *map(_markdown, table.names)],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=("left", *("right" for _ in table.names)),
    )
    notes = [f"- {_markdown(note)}" for note in table.notes]
    warnings = [f"- **warning:** {_markdown(warning)}" for warning in table.warnings]
    return "\n".join([f"Comparison: {_markdown(table.title)}", "", grid, "", *notes, *warnings]) + "\n"


# CommonMark 0.31, section 2.4: any ASCII punctuation may be escaped by a backslash; these have a meaning.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&$])")


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


_CSV_COLUMNS = ("section", "row", "mixture", "value", "standard_error", "low", "high", "text")


def csv_text(table: ComparisonTable) -> str:
    """One line a cell, numbers in full: section, row, mixture, value, standard_error, low, high, text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for row in table.rows:
        for name, cell in zip(table.names, row.cells, strict=True):
            numbers = (cell.value, cell.error, cell.low, cell.high)
            writer.writerow(
                [
                    row.section,
                    row.label,
                    name,
                    *("" if number is None else repr(number) for number in numbers),
                    cell.text if cell.value is None else "",
                ]
            )
    return out.getvalue()


def latex(table: ComparisonTable) -> str:
    """A `tabular` with booktabs' rules in a `table`, to be read in by a paper; it needs the package booktabs."""
    import pandas as pd

    index = pd.MultiIndex.from_tuples([(row.section, row.label) for row in table.rows])
    names = list(table.names)
    frame = pd.DataFrame([[cell.text for cell in row.cells] for row in table.rows], index, names)
    bold = pd.DataFrame([[_bold(cell) for cell in row.cells] for row in table.rows], index, names)
    style = frame.style.format(_latex).format_index(_latex, axis="index")
    style = style.format_index(_latex, axis="columns")
    body = style.apply(lambda _: bold.to_numpy(), axis=None).to_latex(
        hrules=True,
        column_format="ll" + "r" * len(names),
        multirow_align="naive",
        clines="skip-last;data",
        position="t",
        position_float="centering",
        caption=_latex(f"Comparison: {table.title}."),
        label="tab:mixopt-comparison",
    )
    # pandas draws cline only; between sections booktabs' own rule has the right space around it.
    line = f"\\cline{{1-{len(names) + 2}}}\n"
    body = body.replace(f"{line}\\bottomrule", "\\bottomrule").replace(line, "\\midrule\n")
    notes = [f"% {' '.join(note.split())}" for note in (*table.notes, *table.warnings)]
    return "\n".join(["% needs \\usepackage{booktabs}", *notes, body])


def _bold(cell: Cell) -> str:
    return "textbf:--rwrap" if cell.best else ""


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
