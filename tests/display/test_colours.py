"""One thing, one colour: by itself, in any company, in every picture and in the page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.display.colours import COLOURS, colour_of, looks_in_order, looks_of
from mixopt.report.comparison import comparison_figures
from mixopt.report.html.plotly import plots
from mixopt.report.png import draw
from mixopt.report.recommendation import mixture_figure
from tests.report.test_compare import made as compared
from tests.report.test_recommendation import answer

if TYPE_CHECKING:
    from mixopt.display.figure import Figure, Mark

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=30, unique=True)


@given(NAMES, st.randoms())
def test_no_two_of_a_set_look_alike_whatever_their_order(names: list[str], random) -> None:
    looks = looks_of(names)
    assert len(set(looks.values())) == len(names)
    random.shuffle(names)
    assert looks_of(names) == looks


@given(NAMES)
def test_well_known_ones_keep_their_colour_in_any_company(names: list[str]) -> None:
    for known in ("recommended", "natural", "uniform", "reference", "best run", "nearest scale"):
        assert looks_of([*names, known])[known].colour == colour_of(known)
    assert len({colour_of(name) for name in ("recommended", "natural", "uniform", "reference", "best run")}) == 5


def test_thirty_domains_are_told_apart_and_keep_their_look_as_others_follow() -> None:
    names = [f"domain {index}" for index in range(30)]
    looks = looks_in_order(names)
    assert len(set(looks.values())) == 30
    assert looks_in_order(names[:7]).items() <= looks.items()


def pictures() -> list[Figure]:
    """Every kind of picture that shows mixtures by name."""
    comparison = compared(names=("natural", "recommended"))
    return [mixture_figure(answer()), *comparison_figures(comparison)]


def of(figure: Figure, name: str) -> list[Mark]:
    """The marks of a mixture: those of its name, or of the panel that has it as its title."""
    return [
        mark
        for panel in figure.panels
        for mark in panel.marks
        if (mark.name or str(mark.about)).split(":")[0].split(",")[0] == name or panel.title == name
        if mark.look.colour != "ink"
    ]


@pytest.mark.parametrize("name", ["natural", "recommended"])
def test_a_mixture_has_one_colour_in_every_picture(name: str) -> None:
    shown = {figure.name: {mark.look.colour for mark in of(figure, name)} for figure in pictures()}
    assert {key: colours for key, colours in shown.items() if colours} == {
        key: {colour_of(name)} for key in shown if key != "gains" or name != "natural"
    }


def test_paper_and_page_have_that_colour() -> None:
    light, _ = COLOURS[colour_of("natural")]
    for figure in pictures():
        if not of(figure, "natural"):
            continue
        assert f"var(--hue-{colour_of('natural')})" in json.dumps([plot.spec["data"] for plot in plots(figure)])
        artists = [a for axes in draw(figure).axes for a in (*axes.lines, *axes.collections, *axes.patches)]
        found = {hex_of(colour) for artist in artists for colour in colours_of(artist)}
        assert light.lower() in found


def colours_of(artist) -> list:
    if hasattr(artist, "get_color"):
        colours = artist.get_color()
        return [colours] if isinstance(colours, str) else list(colours)
    return [artist.get_facecolor()]


def hex_of(colour) -> str:
    from matplotlib.colors import to_hex

    return to_hex(colour).lower()
