"""AutoScale's published DDO at 774M parameters: the official fit and optimum, from the table of its runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mixopt.methods.ddo.design import find_design
from mixopt.methods.ddo.searcher import Ddo, DdoSettings
from mixopt.store.runs_csv import read_runs

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "autoscale_gpt2_large.json").read_text())


def recommend(preset: str, floor: str, **settings):
    history, notes = read_runs(HERE / "autoscale_gpt2_large.csv")
    assert notes == []
    design = find_design(history)
    searcher = Ddo(
        design.reference, design.tokens, DdoSettings(factors=design.factors, preset=preset, floor=floor, **settings)
    )
    return searcher.recommend(history)


def test_official_fit_is_reproduced():
    laws = recommend("official", "0.2x").evidence.domains
    for name in "abc":
        fitted = [laws[domain].law[name] for domain in GOLDEN["domains"]]
        np.testing.assert_allclose(fitted, GOLDEN["official_fit"][name], atol=1e-4)


@pytest.mark.parametrize(
    ("preset", "floor", "golden"),
    [
        ("official", "0.2x", "official, floor 0.2x"),
        ("official", "0", "official, floor 0 (KKT)"),
        ("paper", "0.2x", "x = 1/3, floor 0.2x"),
    ],
)
def test_official_optimum_is_reproduced(preset, floor, golden):
    mixture = recommend(preset, floor).mixture
    assert mixture.domains == tuple(GOLDEN["domains"])
    expected = np.array(GOLDEN["optimum_multiples_of_uniform"][golden])
    np.testing.assert_allclose(mixture.array * 7, expected, atol=1e-4)


@pytest.mark.parametrize(("floor", "golden"), [("0.2x", "floor_0.2"), ("0", "floor_0")])
def test_predicted_perplexity_is_the_official_one(floor, golden):
    predicted = recommend("official", floor).predicted
    assert predicted["recommended"].value == pytest.approx(GOLDEN["predicted_mean_ppl"][golden], abs=1e-4)
    assert predicted["uniform"].value == pytest.approx(GOLDEN["predicted_mean_ppl"]["base"], abs=1e-6)


def test_github_is_at_its_floor_and_the_price_is_said():
    answer = recommend("official", "0.2x")
    assert list(answer.multipliers) == ["github"]
    says = "github is at its floor of 0.0286: raising it by 0.01 would cost"
    assert any(w.startswith(says) for w in answer.warnings)


def test_two_exact_laws_a_domain_are_said_with_how_far_the_optimum_moves():
    (warning,) = [w for w in recommend("official", "0.2x").warnings if "not identified" in w]
    assert "for every domain" in warning
    moved = float(warning.split("optimum moves by ")[1].split()[0])
    assert 0 < moved <= 0.022


def test_mean_loss_unpins_github_and_moves_far_from_mean_perplexity():
    answer = recommend("official", "0")
    other = answer.other_objectives["mean_loss"]
    assert other["github"] > 0.05
    distance = 0.5 * sum(abs(other[d] - w) for d, w in answer.mixture.to_dict().items())
    assert distance == pytest.approx(0.21, abs=0.02)


@pytest.mark.slow
def test_the_prior_moves_the_optimum_less_than_the_noise_does():
    plain, default = recommend("paper", "0"), recommend("default", "0")
    assert plain.mixture.distance(default.mixture) < 0.03
