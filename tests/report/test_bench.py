"""The benchmark of search methods as a table and a picture."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.console import Console

from mixopt.bench.bench import bench
from mixopt.report.bench import print_bench, regret_figure
from mixopt.report.png import draw, png
from tests.bench.made import OBJECTIVE, made_table

if TYPE_CHECKING:
    from mixopt.bench.bench import Bench


@pytest.fixture(scope="module")
def found() -> Bench:
    return bench(made_table(60), ("mean", OBJECTIVE), ["random", "single-fidelity", "adso"], seeds=3, top=1, budget=6)


def printed(found: Bench) -> str:
    console = Console(width=120, file=io.StringIO())
    with console.capture() as text:
        print_bench(found, console)
    return text.get()


def test_a_row_a_method_with_its_own_figures(found: Bench) -> None:
    text = printed(found)
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "top 1 of 60 mixtures at large x 50k, 3 seeds" in text
    assert "30.50" in rows["random"]
    assert "exact" in rows["random"]
    screen = next(outcome for outcome in found.outcomes if outcome.name == "adso")
    assert f"{screen.regret[5].value:.3f}" in rows["adso"]
    assert f"{screen.rank_correlation:.3f}" in rows["adso"]
    assert f"{screen.against['single-fidelity'].value:.3g} (" in rows["adso"]


def test_that_a_method_gave_up_is_told_with_its_reason() -> None:
    refused = bench(made_table(60), ("mean", OBJECTIVE), ["loglinear:30"], seeds=2, top=1)
    assert "loglinear:30: it gave up in 2, first as no law of mean predicts" in printed(refused)


def test_what_was_not_reached_is_told(found: Bench) -> None:
    text = printed(found)
    missed = {outcome.name: outcome.missed for outcome in found.outcomes if outcome.missed}
    assert missed
    for name, seeds in missed.items():
        assert f"{name}: {seeds} of 3 seeds never reached it" in text
        (row,) = [line for line in text.splitlines() if line.strip().startswith(name + " ")]
        assert ">" in row


def test_the_picture_has_a_line_a_method_from_its_first_recommendation_on(found: Bench) -> None:
    (axes,) = draw(regret_figure(found)).axes
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    assert set(lines) == {"random search (exact)", "single-fidelity", "adso"}
    assert min(np.asarray(lines["single-fidelity"].get_xdata())) >= 1
    assert min(np.asarray(lines["adso"].get_xdata())) < 1
    assert png(regret_figure(found)).startswith(b"\x89PNG")


def test_a_method_without_regret_has_a_picture_too(found: Bench) -> None:
    outcome = next(outcome for outcome in found.outcomes if outcome.name == "adso")
    right = replace(outcome, curve=outcome.curve * [[1], [0], [0], [0]])
    assert png(regret_figure(replace(found, outcomes=(right,)))).startswith(b"\x89PNG")
