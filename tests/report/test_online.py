"""Pictures of online runs: what is in them, at 3 and 22 domains, and for policies that have no laws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixopt.laws.forecast_error import last_losses
from mixopt.report import online_data
from mixopt.report.online import trace_figures
from mixopt.report.png import draw, png
from mixopt.trace import PolicyTrace
from tests.report.online_made import AWARE, BATCH, make_spec, make_trace, true_laws

THREE = ("web", "code", "$x_1$ and <b>maths</b>")
MANY = tuple(f"domain {number}" for number in range(22))
STEPS = 400


@pytest.fixture(scope="module", params=[(), AWARE], ids=["power", "schedule-aware"])
def trace(request):
    return make_trace(THREE, STEPS, options=request.param)


def pictures(trace, curve, title):
    return {figure.name: figure for figure in trace_figures(trace, curve, title)}


def axes_of(figure):
    return draw(figure).axes


def lines_of(axes):
    return {line.get_label(): line for line in axes.get_lines()}


@pytest.mark.slow
def test_ado_has_every_picture_and_each_can_be_drawn(trace):
    figures = pictures(trace, None, "run $1")
    assert list(figures) == ["mixture", "forecasts", "forecast_error", "credit", "slopes"]
    for figure in figures.values():
        assert png(figure, 40).startswith(b"\x89PNG")


def test_a_policy_without_laws_has_its_mixture_and_rewards():
    assert list(pictures(make_trace(THREE, 40, "odm"), None, "odm")) == ["mixture", "rewards"]


def test_a_schedule_has_its_mixture_against_steps():
    steps = np.arange(10)
    made = PolicyTrace(policy="schedule", settings={}, domains=("a", "b"), steps=steps,
                       weights=np.tile(np.float32([0.25, 0.75]), (10, 1)))  # fmt: skip
    figures = pictures(made, None, "schedule")
    assert list(figures) == ["mixture"]
    assert axes_of(figures["mixture"])[0].get_xlabel() == "step"


def test_the_mixture_is_drawn_with_the_prior_dashed(trace):
    axes = axes_of(pictures(trace, None, "run")["mixture"])[0]
    ends = {round(float(line.get_ydata()[-1]), 6) for line in axes.get_lines() if len(line.get_ydata()) > 2}
    assert {round(float(weight), 6) for weight in trace.weights[-1]} <= ends
    dashed = [line.get_ydata()[0] for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert sorted(dashed) == pytest.approx(sorted(trace.weights[0]))


def test_of_many_domains_the_largest_have_names_and_the_rest_is_counted():
    trace = make_trace(MANY, 60, "odm")
    labels = [text.get_text() for text in draw(pictures(trace, None, "odm")["mixture"]).legends[0].get_texts()]
    assert len(labels) == 9
    assert labels[-1] == "14 others"
    largest = {trace.domains[k] for k in np.argsort(-trace.weights.mean(axis=0))[:8]}
    assert {label.rsplit(" ", 1)[0] for label in labels[:-1]} == largest


def test_forecasts_are_those_of_the_laws(trace):
    found = online_data.forecasts(trace)
    assert [round(6 * forecast.fraction) for forecast in found] == [1, 3, 5]
    moments = {moment.tokens: moment for moment in trace.moments}
    for forecast in found:
        said = moments[int(forecast.tokens[0])].forecasts
        np.testing.assert_allclose(forecast.losses[-1], [said[name] for name in THREE], rtol=1e-9)
    panels = axes_of(pictures(trace, None, "run")["forecasts"])
    assert len(panels) == 3
    for k, axes in enumerate(panels):
        drawn = [line for label, line in lines_of(axes).items() if str(label).startswith("forecast")]
        for line, forecast in zip(drawn, found, strict=True):
            np.testing.assert_allclose(line.get_ydata(), forecast.losses[:, k])


def test_validation_losses_of_the_curve_stand_beside_the_forecasts(trace):
    rows = [(10, 640 * n, "validation", name, 3.0 + n) for n in range(1, 4) for name in THREE]
    curve = pd.DataFrame(rows, columns=["step", "tokens", "split", "domain", "loss"])
    for axes in axes_of(pictures(trace, curve, "run")["forecasts"]):
        assert lines_of(axes)["validation loss"].get_ydata().tolist() == [4.0, 5.0, 6.0]


@pytest.mark.slow
def test_a_run_without_a_curve_has_no_validation_losses(trace):
    for curve in (None, pd.DataFrame({})):
        axes = axes_of(pictures(trace, curve, "run")["forecasts"])[0]
        assert "validation loss" not in lines_of(axes)


def test_the_error_of_a_forecast_is_against_the_end_of_training(trace):
    tokens, errors = online_data.final_errors(trace)
    last = trace.moments[-1]
    points = trace.points
    assert points
    final = last_losses(points.tokens, points.losses, points.weights, STEPS * BATCH)
    assert tokens[-1] == last.tokens
    np.testing.assert_allclose(errors[-1], [last.forecasts[name] / final[k] - 1 for k, name in enumerate(THREE)])
    spec = make_spec(THREE, STEPS)
    np.testing.assert_allclose(final, true_laws(spec).loss(0.98 * spec.tokens), rtol=0.02)


def test_measured_losses_are_means_weighted_by_tokens(trace):
    points = trace.points
    assert points
    tokens, losses = online_data.measured_course(points, 4)
    assert tokens.shape == (4,)
    count = len(points.tokens)
    first = slice(0, round(count / 4))
    expected = np.nansum(points.losses[first] * points.weights[first], axis=0) / points.weights[first].sum(axis=0)
    np.testing.assert_allclose(losses[0], expected)
    assert tokens[0] == pytest.approx(points.tokens[first].mean())


def test_long_courses_are_thinned_and_keep_their_ends(trace):
    at, weights = online_data.mixture_course(trace, 20)
    assert len(at) == 20
    np.testing.assert_array_equal(weights[[0, -1]], trace.weights[[0, -1]])
    assert at[-1] == (STEPS - 1) * BATCH


def test_domains_without_a_law_are_left_out_of_lines_and_errors():
    trace = make_trace(THREE, 200, options=(("min_points", 190),))
    assert online_data.forecasts(trace) == []
    assert "forecasts" not in pictures(trace, None, "run")
