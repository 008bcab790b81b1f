"""A section of the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixopt.report.html.plotly import plots

if TYPE_CHECKING:
    from mixopt.display.figure import Figure
    from mixopt.display.table import Table
    from mixopt.report.html.plotly import Plot


@dataclass(frozen=True)
class Fact:
    """A name, what it is, and a remark.

    Attributes:
        label: the name.
        value: what it is.
        remark: in small letters below.
        kind: `measured` for what was trained and not predicted.
    """

    label: str
    value: str
    remark: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Drawing:
    """A figure in the page: its plots, below one another if there is one or they are wide, else side by side."""

    figure: Figure
    plots: list[Plot]

    @property
    def small(self) -> bool:
        """Whether its plots stand side by side."""
        return len(self.plots) > 1 and not self.figure.wide


@dataclass(frozen=True)
class Section:
    """A section; every text is plain.

    Attributes:
        name: identifier in the page.
        title: its head.
        text: a paragraph under it.
        facts: large numbers.
        grid: names and values.
        warnings: what should make a reader careful.
        figures: one below the other.
        tables: one below the other.
        runs: ids of the runs that the section rests on.
    """

    name: str
    title: str
    text: str
    facts: list[Fact] = field(default_factory=list)
    grid: list[Fact] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    runs: tuple[str, ...] = ()

    @property
    def drawings(self) -> list[Drawing]:
        """Every figure of it."""
        return [Drawing(figure, plots(figure)) for figure in self.figures]
