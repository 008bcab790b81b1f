"""A section of the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixopt.report.html.drawing import Figure
    from mixopt.report.html.table import Table


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
        panels: small figures, side by side where there is room.
        note: what the panels show.
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
    panels: list[Figure] = field(default_factory=list)
    note: str = ""
    tables: list[Table] = field(default_factory=list)
    runs: tuple[str, ...] = ()

    @property
    def drawings(self) -> list[Figure]:
        """Every figure of it."""
        return [*self.figures, *self.panels]
