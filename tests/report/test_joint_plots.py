"""The picture of a joint law holds its runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.methods.ddo.joint_searcher import JointDdo
from mixopt.methods.ddo.searcher import DdoSettings
from mixopt.mixture import Mixture
from mixopt.report.joint_plots import law_figure
from mixopt.report.recommendation import save_recommendation
from tests.methods.world import TransferWorld

if TYPE_CHECKING:
    from mixopt.methods.base import Recommendation

WORLD = TransferWorld(noise=0.01)


@pytest.fixture(scope="module")
def searcher() -> JointDdo:
    return JointDdo(Mixture.uniform(WORLD.domains), WORLD.tokens, DdoSettings(replicates=100), form="per_domain")


@pytest.fixture(scope="module")
def answer(searcher: JointDdo) -> Recommendation:
    return searcher.recommend(WORLD.train(WORLD.design()))


def test_every_run_is_in_every_panel_and_near_its_law(answer):
    figure = law_figure(answer)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len(panels) == 1 + 3
    for axes in panels:
        assert np.asarray(axes.collections[0].get_offsets()).shape == (7, 2)
    for axes, domain in zip(panels[1:], WORLD.domains, strict=True):
        x, y = np.asarray(axes.lines[0].get_xydata()).T
        points = np.asarray(axes.collections[0].get_offsets())
        np.testing.assert_allclose(np.interp(points[:, 0], x, y), points[:, 1], atol=0.06)
        assert axes.get_title() == domain
        assert axes.get_xscale() == "log"


def test_it_is_written_beside_the_others(answer, searcher, tmp_path):
    written = save_recommendation(answer, tmp_path, searcher.baselines)
    names = {path.name for path in written}
    assert names == {"recommendation.json", "mixture.png", "curves.png", "law.png"}
    assert json.loads((tmp_path / "recommendation.json").read_text())["details"]["fit"] == "joint"
    assert (tmp_path / "law.png").read_bytes().startswith(b"\x89PNG")
