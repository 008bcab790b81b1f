"""AutoScale's tables and its picture."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mixopt.history import empty_history
from mixopt.methods.autoscale.evidence import scaling_figure
from mixopt.methods.autoscale.method import AUTOSCALE
from mixopt.methods.autoscale.optima import Optima, extrapolate_optima
from mixopt.methods.autoscale.searcher import AutoScale
from mixopt.methods.ddo.design import Design
from mixopt.methods.ddo.searcher import DdoSettings
from mixopt.objective import MeanLoss
from mixopt.report.png import draw, png, spread_apart
from mixopt.report.recommendation import mixture_figure, print_recommendation, save_recommendation
from mixopt.solve import Supply
from tests.methods.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.methods.base import Recommendation

SCALES, TARGET = (250_000, 1_000_000, 4_000_000), 30_000_000


@pytest.fixture(scope="module")
def made() -> Recommendation:
    world = World(noise=1e-3, domains=("[red]code", "$web$", "books", "law"))
    supply = Supply(dict.fromkeys(world.domains, 10**8), TARGET, 4.0)
    settings = DdoSettings(objective=MeanLoss(), replicates=100, supply=supply)
    search = AutoScale([Design(world.uniform, tokens) for tokens in SCALES], TARGET, settings)
    return search.recommend(world.train(search.ask(empty_history())))


def text(recommendation: Recommendation) -> str:
    out = io.StringIO()
    print_recommendation(recommendation, AUTOSCALE, Console(file=out, width=140))
    return out.getvalue()


@pytest.mark.slow
def test_tables_show_both_predictors_every_scale_predictions_and_the_hold_out(made: Recommendation) -> None:
    shown = text(made)
    for part in made.evidence.predictors.values():
        for domain, weight in part.weights.items():
            low, high = part.intervals[domain]
            assert f"{weight:.3f}" in shown
            assert f"{low:.3f} to {high:.3f}" in shown
    for scale in made.evidence.scales:
        for weight in scale.weights.values():
            assert f"{weight:.3f}" in shown
    for guess in made.evidence.holdout.guesses.values():
        assert f"{guess.distance:.4f}" in shown
        assert f"{100 * guess.excess:+.3f} %" in shown
    for name, gain in made.gains.items():
        assert name in shown
        assert f"{100 * gain.value:+.2f} %" in shown
    assert f"By predictor {made.evidence.chosen}: chosen by its excess loss at 4M, held out" in shown
    assert "[red]code" in shown
    assert "Warnings" in shown


def test_pinned_weights_are_marked_and_held_domains_have_no_growth(made: Recommendation) -> None:
    shown = text(made)
    scale = next(scale for scale in made.evidence.scales if scale.pinned)
    assert f"{scale.weights[scale.pinned[0]]:.3f}|" in shown
    for domain, factor in made.evidence.geometric.factors.items():
        word = "held" if domain in made.evidence.geometric.held else f"x{factor:.3g}"
        assert any(domain in line and line.rstrip().endswith(word) for line in shown.splitlines())


@pytest.mark.slow
def test_optima_without_runs_have_tables_without_intervals_and_losses() -> None:
    optima = Optima(("a", "b"), (200, 500, 1300), np.array([[0.5, 0.5], [0.6, 0.4], [0.7, 0.3]]))
    found = extrapolate_optima(optima, 9700)
    shown = text(found)
    assert " to " not in shown.split("Warnings")[0]
    assert "as given; | at a bound" in shown
    assert "predicted for" not in shown
    assert "total variation" in shown
    assert png(scaling_figure(found, found.evidence)).startswith(b"\x89PNG")


def test_predicted_losses_of_the_hold_out_have_their_points_under_one_another(made: Recommendation) -> None:
    lines = text(made).split("Hold-out")[1].splitlines()
    losses = [line.split()[-3] for line in lines if line.rstrip().endswith("%")]
    assert len(losses) == 4
    assert len({len(loss.partition(".")[2]) for loss in losses}) == 1


def test_intervals_of_the_shares_at_the_target_are_in_the_picture(made: Recommendation) -> None:
    _, right = draw(scaling_figure(made, made.evidence)).axes
    for part in made.evidence.path.domains.values():
        assert part.high[-1] < right.get_ylim()[1]


def test_a_mixture_without_intervals_has_none_in_its_legend_and_names_are_text() -> None:
    names = (r"$\notatex$", "b")
    found = extrapolate_optima(Optima(names, (200, 500), np.array([[0.5, 0.5], [0.6, 0.4]])), 1300)
    figure = draw(mixture_figure(found))
    assert png(mixture_figure(found)).startswith(b"\x89PNG")
    assert "recommended" in [entry.get_text() for entry in figure.legends[0].get_texts()]


@pytest.mark.slow
def test_the_picture_is_saved_beside_the_answer(made: Recommendation, tmp_path: Path) -> None:
    files = save_recommendation(made, AUTOSCALE, tmp_path)
    assert {file.name for file in files} == {"recommendation.json", "mixture.png", "scaling.png", "law.png"}
    assert json.loads((tmp_path / "recommendation.json").read_text())["evidence"]["path"]["tokens"][-1] == TARGET


def test_the_picture_has_every_domain_by_name_the_scales_and_the_target(made: Recommendation) -> None:
    left, right = draw(scaling_figure(made, made.evidence)).axes
    for axes in (left, right):
        words = [note.get_text() for note in axes.texts]
        assert {"[red]code", r"\$web\$", "books", "law", "target 30M"} <= set(words)
        assert axes.get_xscale() == "log"
    assert left.get_yscale() == "log"
    lines = [line for line in right.lines if len(line.get_xdata()) > 2 and line.get_xdata()[-1] == TARGET]
    ends = [float(line.get_ydata()[-1]) for line in lines]
    assert sorted(ends) == pytest.approx(sorted(made.mixture.weights))


def test_thirteen_domains_have_colours_of_their_own() -> None:
    names = tuple(f"domain {index}" for index in range(13))
    weights = np.random.default_rng(0).dirichlet(np.full(13, 5.0), 2)
    found = extrapolate_optima(Optima(names, (10**6, 10**7), weights), 10**9)
    axes = draw(scaling_figure(found, found.evidence)).axes[1]
    colours = {note.get_text(): note.get_color() for note in axes.texts if note.get_text() in names}
    assert len(set(colours.values())) == 13


@given(st.lists(st.floats(0, 1), min_size=1, max_size=13))
def test_labels_keep_their_order_and_their_distance(places: list[float]) -> None:
    moved = spread_apart(places, 0.04)
    order = np.argsort(places, kind="stable")
    assert (np.diff(np.array(moved)[order]) >= 0.04 - 1e-9).all()
    assert sum(moved) == pytest.approx(sum(places), abs=1e-6)
    if len(places) > 1 and np.diff(np.sort(places)).min() >= 0.04:
        assert moved == pytest.approx(places)
