"""CSV files of numbers that people wrote: every mistake is named with its file, line and column."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixopt.arrays import Floats
from mixopt.errors import ConfigError
from mixopt.mixture import SUM_TOLERANCE
from mixopt.units import parse_count

# Published weights are rounded: a row whose weights sum to 1 within this is divided by its sum, with a note.
ROUNDING = 5e-3


@dataclass(frozen=True, eq=False)
class CsvTable:
    """Cells by column, with the line that each row stands on."""

    path: Path  # the file
    what: str  # what it is, for messages (`runs file`)
    lines: list[int]  # line of each row
    columns: dict[str, list[str]]  # text of each cell
    labels: tuple[str, ...] = ()  # what a row is called, for messages (`run 'a'`); empty for nothing but its line

    def where(self, row: int) -> str:
        """Of a row: file, line, label."""
        label = f" ({self.labels[row]})" if self.labels else ""
        return f"{self.path}, line {self.lines[row]}{label}"

    def numbers(self, column: str) -> list[float]:
        """A column of finite numbers.

        Raises:
            ConfigError: a cell is none.
        """
        values: list[float] = []
        for row, text in enumerate(self.columns[column]):
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                found = repr(text) if text.strip() else "nothing"
                raise ConfigError(f"{self.where(row)}: column {column!r}: expected a number, found {found}")
            values.append(value)
        return values

    def counts(self, column: str) -> list[int]:
        """A column of counts such as 800000 or 800k.

        Raises:
            ConfigError: a cell is none.
        """
        return [parse_count(text, f"{self.where(row)}: {column}") for row, text in enumerate(self.columns[column])]

    def weights(self, columns: Mapping[str, str], notes: list[str]) -> dict[str, Floats]:
        """Weights by domain, (R,) each; every row sums to 1. `notes` is told of rows that were rounded.

        Raises:
            ConfigError: a negative weight, or a row that does not sum to 1.
        """
        found = {domain: self.numbers(name) for domain, name in columns.items()}
        for domain, values in found.items():
            for row, value in enumerate(values):
                if value < 0:
                    raise ConfigError(
                        f"{self.where(row)}: the weight of {domain!r} must be at least 0, found {value:g}"
                    )
        sums = np.array([math.fsum(row) for row in zip(*found.values(), strict=True)])
        off = np.abs(sums - 1)
        worst = int(off.argmax())
        if off[worst] > ROUNDING:
            raise ConfigError(
                f"{self.where(worst)}: the weights must sum to 1 (within {ROUNDING:g}, for rounded ones), "
                f"found {sums[worst]:.6g}"
            )
        rounded = off > SUM_TOLERANCE
        if rounded.any():
            notes.append(
                f"{self.path}: the weights of {int(rounded.sum())} of {len(sums)} rows are rounded (sums "
                f"{sums.min():.4g} to {sums.max():.4g}) and were divided by their sums"
            )
        return {domain: np.array(values) / np.where(rounded, sums, 1.0) for domain, values in found.items()}


def read_table(path: str | Path, what: str, row: str) -> CsvTable:
    """The table in a file; messages say `what` it is (`runs file`), and what each `row` is (`run`).

    Raises:
        ConfigError: it cannot be read, or is no table with a line of distinct column names and a row at least.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} {path}: cannot be read ({error})") from error
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise ConfigError(f"{what} {path}: not CSV ({error})") from error
    if len(rows) < 2:
        raise ConfigError(f"{what} {path}: expected a line of column names and a line for each {row}, found none")
    header = [name.strip() for name in rows[0][1]]
    for name in header:
        if header.count(name) > 1:
            raise ConfigError(f"{what} {path}: column {name!r} is there twice")
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise ConfigError(f"{what} {path}, line {line}: expected {len(header)} cells, found {len(cells)}")
    columns = {name: [cells[i] for _, cells in rows[1:]] for i, name in enumerate(header)}
    return CsvTable(path, what, [line for line, _ in rows[1:]], columns)
