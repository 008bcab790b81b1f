"""Both renderers draw the same numbers; names stay text; what is missing is a gap."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mixopt.display.colours import Look
from mixopt.display.figure import Axis, Bars, Figure, Heat, Line, Panel, Points, Rule
from mixopt.display.table import Column, interval, number, percent, runs_cell, table, with_error, word
from mixopt.report.console import grid
from mixopt.report.html.plotly import plots
from mixopt.report.png import draw, png

X, Y = [1.0, 2.0, 4.0], [3.0, None, 1.0]


def figure(*marks, **axes) -> Figure:
    return Figure(name="f", title="$a$ <b>", panels=[Panel(marks=marks, **axes)], legend="top")


def test_a_line_is_the_same_on_paper_and_on_screen_with_its_gap() -> None:
    made = figure(Line(name="<i>$x$", x=X, y=Y, low=[2, 2, 0], high=[4, 4, 2]))
    (axes,) = draw(made).axes
    (plot,) = plots(made)
    band, line = plot.spec["data"]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), X)
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [3, np.nan, 1])
    assert (line["x"], line["y"]) == (X, Y)
    assert band["y"] == [4, 4, 2, 0, 2, 2]
    assert line["name"] == "&lt;i&gt;$x$"
    assert axes.lines[0].get_label() == r"<i>\$x\$"
    assert [line["showlegend"], band["showlegend"]] == [True, False]


def test_bars_and_points_have_the_ends_of_their_intervals() -> None:
    made = figure(Bars(x=[1.0, 2.0], low=[0.5, None], high=[1.25, None], about=["a", "b"]),
                  Points(x=[1.0], y=[0], low=[0.5], high=[2.5], across=True, runs=[["r1", "r2"]]),
                  y=Axis(rows=("a", "b")))  # fmt: skip
    bars, points = plots(made)[0].spec["data"]
    assert (bars["error_x"]["array"], bars["error_x"]["arrayminus"]) == ([0.25, 0], [0.5, 0])
    assert (points["error_x"]["array"], points["error_x"]["arrayminus"]) == ([1.5], [0.5])
    assert points["customdata"] == [["", "r1, r2", "r1", 0.5, 2.5]]
    axes = draw(made).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [1, 2]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


@pytest.mark.parametrize(("ends", "named"), [((0, 2), [True, False]), ((0, 3), [True, True])])
def test_ticks_are_left_out_only_where_panels_share_them(ends, named) -> None:
    panels = [Panel(marks=[Line(x=X, y=Y)], y=Axis(limits=limits)) for limits in ((0, 2), ends)]
    drawn = draw(Figure(name="f", title="", panels=panels))
    drawn.draw_without_rendering()
    assert [axes.yaxis.get_tick_params()["labelleft"] for axes in drawn.axes] == named


def test_a_map_has_a_cell_for_each_number() -> None:
    made = figure(Heat(z=[[0.1, 0.9], [0.5, 0.5]], about=["one", "two"], runs=[["r1"], ["r2"]], unit="weight"),
                  x=Axis(rows=("a", "b")), y=Axis(rows=("one", "two")))  # fmt: skip
    (drawn,) = plots(made)[0].spec["data"]
    assert drawn["z"] == [[0.1, 0.9], [0.5, 0.5]]
    assert [row[0][2] for row in drawn["customdata"]] == ["r1", "r2"]
    np.testing.assert_array_equal(draw(made).axes[0].collections[0].get_array(), [[0.1, 0.9], [0.5, 0.5]])
    assert png(made, 40).startswith(b"\x89PNG")


def test_a_rule_on_a_logarithmic_axis_is_where_it_was_asked_for() -> None:
    made = figure(Line(x=[10, 1e4], y=[1, 2]), Rule(x=1000.0, label="target", look=Look("muted", "dash")),
                  x=Axis(scale="log", counts=True, limits=(10, 1e4)))  # fmt: skip
    layout = plots(made)[0].spec["layout"]
    assert (layout["shapes"][0]["x0"], layout["annotations"][0]["x"]) == (1000, 3)
    assert layout["xaxis"]["range"] == [1, 4]
    assert layout["xaxis"]["ticktext"] == ["10", "100", "1k", "10k"]
    assert draw(made).axes[0].lines[1].get_xdata()[0] == 1000


@pytest.mark.parametrize(
    ("cell", "text", "key"),
    [
        (number(None), "-", None),
        (number(0.12345, "{:.3f}"), "0.123", 0.12345),
        (percent(0.031), "+3.10 %", 0.031),
        (interval(0.1, 0.25), "0.100 to 0.250", 0.1),
        (interval(None, 0.25), "-", None),
        (word("Web"), "Web", "web"),
        (runs_cell(["a", "b", "a"]), "2 runs", 2.0),
    ],
)
def test_a_cell_has_its_text_and_what_it_is_sorted_by(cell, text, key) -> None:
    assert (cell.text, cell.key) == (text, key)


def test_errors_are_scaled_with_their_values() -> None:
    assert with_error(0.0312, 0.004, "{:+.2f} %", 100) == "+3.12 % ± 0.4"
    assert math.isclose(float(with_error(0.5, None)), 0.5)


def test_the_terminal_has_every_cell_and_what_stands_below_the_line() -> None:
    rows = [[word("[red]a"), number(1.0, "{:.1f}", "strong")]]
    made = table("t", "T", [Column("name"), Column("value")], rows, foot=((word("mean"), number(2.0, "{:.1f}")),))
    drawn = grid(made)
    assert [list(column.cells)[-1].plain for column in drawn.columns] == ["mean", "2.0"]
    assert [cell.plain for cell in drawn.columns[0].cells] == ["[red]a", "mean"]
