"""A recommendation in the terminal and in files."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from mixopt.errors import ConfigError
from mixopt.methods.base import Estimate, Recommendation
from mixopt.methods.ddo.evidence import laws_figure
from mixopt.methods.ddo.method import DDO
from mixopt.methods.ddo.searcher import Ddo, DdoSettings
from mixopt.mixture import Mixture, distinct
from mixopt.report.png import draw, png
from mixopt.report.recommendation import mixture_figure, print_recommendation, save_recommendation
from tests.methods.world import World

if TYPE_CHECKING:
    from pathlib import Path


def answer():
    """Of DDO, with two different baselines and one that is the same."""
    world = World()
    natural = Mixture.from_dict({"law": 0.7, "code": 0.3})
    searcher = Ddo(world.uniform, world.tokens, DdoSettings(replicates=100), {"natural": natural})
    return searcher.recommend(world.train(searcher.ask(None)))  # type: ignore[arg-type]


made = pytest.fixture(scope="module")(answer)


def text(recommendation, width=110) -> str:
    out = io.StringIO()
    print_recommendation(recommendation, DDO, Console(file=out, width=width))
    return out.getvalue()


def test_tables_show_weights_predictions_objectives_and_warnings(made):
    recommendation = made
    shown = text(made)
    for domain, weight in recommendation.mixture.to_dict().items():
        low, high = recommendation.intervals[domain]
        assert f"{weight:.3f}" in shown
        assert f"{low:.3f} to {high:.3f}" in shown
    assert f"{recommendation.predicted['recommended'].value:.4g}" in shown
    assert f"{100 * recommendation.gains['natural'].value:+.2f} %" in shown
    for words in ("1M tokens", "natural", "uniform", "mean_loss", "worst", "Warnings"):
        assert words in shown
    assert "reference" not in shown  # it is the uniform mixture here


def test_brackets_in_names_are_shown_as_they_are():
    mixture = Mixture.from_dict({"[red]a[/red]": 0.5, "b": 0.5})
    recommendation = Recommendation(
        method="m", objective="o", tokens=10, mixture=mixture, intervals={},
        predicted={"recommended": Estimate(1.5)}, warnings=("[bold] is said",),
    )  # fmt: skip
    shown = text(recommendation)
    assert "[red]a[/red]" in shown
    assert "[bold] is said" in shown


def test_a_narrow_terminal_loses_no_number(made):
    shown = text(made, width=80)
    for weight in made.mixture.weights:
        assert f"{weight:.3f}" in shown


def test_baselines_that_are_the_same_are_shown_once():
    uniform = Mixture.uniform("ab")
    kept = distinct({"reference": uniform, "uniform": uniform, "other": Mixture.from_dict({"a": 1.0, "b": 0.0})})
    assert list(kept) == ["uniform", "other"]


@pytest.mark.slow
def test_files_are_complete_and_nothing_else_is_left(made, tmp_path: Path):
    written = save_recommendation(made, DDO, tmp_path / "a" / "b")
    assert [path.name for path in written] == ["recommendation.json", "mixture.png", "curves.png"]
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == sorted(path.name for path in written)
    assert json.loads(written[0].read_text()) == made.to_dict()
    for path in written[1:]:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_without_plots_there_is_only_the_json(made, tmp_path: Path):
    written = save_recommendation(made, DDO, tmp_path, plots=False)
    assert [path.name for path in written] == ["recommendation.json"]


def test_a_folder_that_cannot_be_written_is_named(made, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file/out: cannot be written"):
        save_recommendation(made, DDO, tmp_path / "file" / "out", plots=False)


def test_curves_have_a_panel_a_domain_with_its_points(made):
    panels = draw(laws_figure(made, made.evidence.domains, made.evidence.law)).axes
    assert [axes.get_title(loc="left").split()[0] for axes in panels] == list(made.mixture.domains)
    for axes, part in zip(panels, made.evidence.domains.values(), strict=True):
        low, high = axes.get_ylim()
        assert all(low <= y <= high for y in part.points.y)


def test_mixture_has_a_bar_a_domain_and_an_axis_that_holds_everything(made):
    (axes,) = draw(mixture_figure(made)).axes
    widths = sorted(bar.get_width() for bar in axes.patches)
    assert widths == pytest.approx(sorted(made.mixture.weights))
    assert axes.get_xlim()[1] > 0.7  # natural's share of law


def test_no_global_figure_is_left_behind(made):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    png(laws_figure(made, made.evidence.domains, made.evidence.law), dpi=40)
    assert plt.get_fignums() == before
