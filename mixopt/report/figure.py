"""What all pictures share: a canvas of their own, quiet axes, a palette, PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from mixopt.units import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with colour-blind eyes too.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")
MUTED = "#666666"


def new_figure(width: float, height: float) -> Figure:
    """A figure of its own (inches), on the Agg canvas: nothing global, no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain(name: str) -> str:
    """A name as text: a dollar sign would begin a formula."""
    return name.replace("$", r"\$")


def tidy(axes: Axes) -> None:
    """Leave out the frame's upper and right side; small, quiet ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, color=MUTED)


def count_ticks(axis: Axis) -> None:
    """Counts such as 800k at 1, 2 and 5 of each power of ten of a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: format_count(value)))
    axis.set_minor_formatter(NullFormatter())


def png(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as a PNG file's content."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi)
    return out.getvalue()
