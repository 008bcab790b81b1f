"""What all interactive figures share: colours that follow the reader's theme, names that stay text, JSON.

Colours are written `var(--name)`; the page puts in the value of that CSS variable, for light or dark.
"""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from plotly.graph_objects import Figure as PlotlyFigure

MAIN, BAR, INK, MUTED, OPTIMUM, BAND = (
    "var(--main)",
    "var(--bar)",
    "var(--ink)",
    "var(--muted)",
    "var(--accent)",
    "var(--band)",
)
# Okabe and Ito's palette, told apart with colour-blind eyes too; beyond it, dashes tell apart.
SERIES = tuple(f"var(--series-{number})" for number in range(8))
DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class Figure:
    """An interactive figure.

    Attributes:
        name: identifier in the page.
        title: above it; plain text.
        note: below it: what the marks mean; plain text.
        spec: Plotly's `data` and `layout`.
        choices: other y values, by the names in the page's menus (see `page.js`); {} for none.
        labels: of the menus.
    """

    name: str
    title: str
    note: str
    spec: dict[str, Any]
    choices: dict[str, Any]
    labels: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.spec["layout"]["height"])


def figure(
    name: str,
    title: str,
    note: str,
    drawing: PlotlyFigure,
    choices: dict[str, Any] | None = None,
    labels: Sequence[str] = (),
) -> Figure:
    """A figure of the page from one of Plotly's."""
    return Figure(name, title, note, json.loads(drawing.to_json()), choices or {}, tuple(labels))  # type: ignore[arg-type]


def blank(height: int, **layout: Any) -> PlotlyFigure:
    """An empty drawing without a theme of its own.

    Args:
        height: pixels.
        layout: anything of Plotly's layout.
    """
    from plotly.graph_objects import Figure as PlotlyFigure

    margin = {"l": 10, "r": 14, "t": 10, "b": 10}
    drawing = PlotlyFigure(layout={"template": "none", "height": height, "margin": margin, **layout})
    drawing.update_xaxes(automargin=True, title_standoff=8)
    drawing.update_yaxes(automargin=True, title_standoff=8)
    return drawing


def plain(text: str, limit: int | None = None) -> str:
    """`text` such that Plotly shows it as it is: its labels understand some HTML.

    Args:
        text: anything.
        limit: most characters, the rest being an ellipsis; None for no limit.
    """
    flat = " ".join(text.split())
    if limit is not None and len(flat) > limit:
        flat = flat[: limit - 1] + "…"
    return html.escape(flat, quote=False)


def named_rows(drawing: PlotlyFigure, names: Iterable[str]) -> None:
    """Name the rows 0, 1, … of the y axis, from the top. Numbers place them, so that equal labels stay apart."""
    labels = [plain(name, 22) for name in names]
    drawing.update_yaxes(
        tickvals=list(range(len(labels))), ticktext=labels, range=[len(labels) - 0.4, -0.6], zeroline=False
    )


def short_ids(runs: Iterable[str], most: int = 4) -> str:
    """Run ids for a hover label."""
    ids = [run[:8] for run in runs]
    return ", ".join(ids[:most]) + (f" and {len(ids) - most} more" if len(ids) > most else "")


def line(index: int) -> dict[str, str]:
    """Colour and dash of the series `index`; 32 are distinct."""
    return {"color": SERIES[index % len(SERIES)], "dash": DASHES[index // len(SERIES) % len(DASHES)]}
