"""What AutoScale refuses, in one line each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.methods.autoscale.searcher import AutoScale
from mixopt.methods.ddo.design import Design
from mixopt.mixture import Mixture
from mixopt.solve import Supply
from tests.methods.growing import PURE, SETTINGS, TARGET, history_of, searcher


def test_all_domains_at_their_caps_is_refused_in_one_line():
    with pytest.raises(ConfigError, match=r"caps: .*0\.5, below 1.*allow more epochs"):
        searcher(settings=replace(SETTINGS, supply=Supply(dict.fromkeys(PURE.domains, 1e6), TARGET, 4.0)))


def test_missing_runs_are_named_with_their_scale():
    search = searcher(settings=replace(SETTINGS, preset="paper"))
    runs = history_of(PURE, search)
    gone = [f"code {factor} at 4M seed 0" for factor in ("x3", "x1/3")]
    some = runs.select(np.array([name not in gone for name in runs.runs]))
    with pytest.raises(ConfigError, match=r"scale 4M: ddo: .*: code x3, code x1/3"):
        search.recommend(some)
    base = runs.select(np.array([name != "base at 1M seed 0" for name in runs.runs]))
    with pytest.raises(ConfigError, match="scale 1M: ddo: no base run"):
        search.recommend(base)


@pytest.mark.parametrize("scales", [(), (1_000_000,)])
def test_one_scale_is_not_enough(scales):
    with pytest.raises(ConfigError, match=r"scales: .*two or more"):
        searcher(scales)


@pytest.mark.parametrize("scales", [(1_000_000, 1_000_000), (1_000_000, 1_100_000)])
def test_equal_scales_are_refused(scales):
    with pytest.raises(ConfigError, match="equal scales"):
        searcher(scales)


def test_other_domains_at_one_scale_are_refused():
    designs = [Design(Mixture.uniform("ab"), 1000), Design(Mixture.uniform("ac"), 4000)]
    with pytest.raises(ConfigError, match="found a, b at 1k and a, c at 4k"):
        AutoScale(designs, TARGET)


def test_models_of_several_sizes_are_refused():
    search = searcher()
    runs = history_of(PURE, search)
    mixed = replace(runs, parameters=np.where(["4M" in name for name in runs.runs], 200, 100))
    with pytest.raises(ConfigError, match="models with 100 and 200 parameters"):
        search.recommend(mixed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"predictor": "best"}, r"predictor: .*found 'best'"),
        ({"match_epochs": True}, r"match-epochs: .*how much text"),
        ({"baselines": {"joint": PURE.uniform}}, r"baselines: .*`joint` is taken"),
    ],
)
def test_settings_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        searcher(**arguments)
