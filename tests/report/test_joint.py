"""The picture of a joint law holds its runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.display.figure import Points
from mixopt.methods.ddo.joint import JointDdo
from mixopt.methods.ddo.method import DDO
from mixopt.methods.ddo.searcher import DdoSettings
from mixopt.methods.joint.evidence import law_figure
from mixopt.mixture import Mixture
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
    figure = law_figure(answer, answer.evidence.joint, answer.evidence.losses)
    assert len(figure.panels) == 1 + 3
    errors = [mark for mark in figure.panels[0].marks if isinstance(mark, Points)]
    assert [len(mark.x) for mark in errors] == [7, 7]
    for panel, domain in zip(figure.panels[1:], WORLD.domains, strict=True):
        line, points = panel.marks
        assert len(points.x) == 7
        np.testing.assert_allclose(np.interp(points.x, line.x, line.y), points.y, atol=0.06)
        assert panel.title == domain
        assert panel.x.scale == "log"


@pytest.mark.slow
def test_it_is_written_beside_the_others(answer, tmp_path):
    written = save_recommendation(answer, DDO, tmp_path)
    names = {path.name for path in written}
    assert names == {"recommendation.json", "mixture.png", "curves.png", "law.png"}
    assert json.loads((tmp_path / "recommendation.json").read_text())["evidence"]["kind"] == "joint"
    assert (tmp_path / "law.png").read_bytes().startswith(b"\x89PNG")
