"""AutoScale on worlds whose best mixture is known at every scale: its advice, its intervals, its warnings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixopt.history import empty_history
from mixopt.methods.autoscale.choice import Choice, Guess, HoldOut, cross_validate, hold_out
from mixopt.methods.autoscale.scales import Geometric, Scale
from mixopt.methods.ddo.advice import warn_of_repetition
from mixopt.methods.ddo.searcher import Ddo
from mixopt.methods.joint.law_of_runs import JointFit
from mixopt.mixture import Mixture, total_variation
from mixopt.solve import Supply
from tests.methods.growing import (
    OFFSET,
    PURE,
    SCALES,
    SETTINGS,
    TARGET,
    answer,
    history_of,
    loss,
    searcher,
    truth,
    weights_of,
)
from tests.methods.world import World

pytestmark = pytest.mark.slow  # DDO at every scale, and all of it for each replicate


def test_the_best_mixture_of_the_target_is_better_predicted_than_by_the_nearest_scale():
    found = answer(PURE)
    best = truth(PURE, TARGET)
    nearest = np.array(list(found.baselines["nearest scale"].weights))
    for name in ("geometric", "joint"):
        assert loss(PURE, weights_of(found, name), TARGET) < loss(PURE, nearest, TARGET)
    assert total_variation(weights_of(found, "geometric"), best) < 0.3 * total_variation(nearest, best)


def test_with_offsets_the_joint_law_comes_nearer_than_theorem_1():
    found = answer(OFFSET)
    best = truth(OFFSET, TARGET)
    away = total_variation(weights_of(found, "joint"), best)
    assert away < min(0.03, 0.1 * total_variation(weights_of(found, "geometric"), best))
    assert found.evidence.chosen == "joint"
    assert any("disagree by more than their intervals" in warning for warning in found.warnings)


def test_both_predictors_and_the_scales_are_reported_whichever_advises():
    auto, asked = answer(OFFSET), answer(OFFSET, predictor="geometric")
    assert asked.evidence.chosen == "geometric"
    assert asked.mixture.to_dict() == asked.evidence.predictors["geometric"].weights
    for name, part in auto.evidence.predictors.items():
        again = asked.evidence.predictors[name]
        assert again.weights == pytest.approx(part.weights)
        for domain, (low, high) in part.intervals.items():
            assert low <= part.weights[domain] <= high
    assert "geometric predictor, from 1M, 4M" in asked.method
    tokens = [scale.tokens for scale in auto.evidence.scales]
    assert tokens == list(SCALES)
    alone = Ddo(PURE.uniform, SCALES[0], SETTINGS).recommend(history_of(OFFSET, searcher()))
    assert auto.evidence.scales[0].weights == pytest.approx(alone.mixture.to_dict())
    assert set(auto.other_objectives) == {"mean_ppl", "worst"}


def test_predictions_are_the_joint_laws_for_every_mixture_with_gains_over_the_baselines():
    natural = Mixture.from_dict(dict(zip(OFFSET.domains, (0.7, 0.1, 0.1, 0.1), strict=True)))
    search = searcher(baselines={"natural": natural})
    found = search.recommend(history_of(OFFSET, search))
    assert set(found.predicted) == {"recommended", "uniform", "natural", "nearest scale", "geometric", "joint"}
    assert set(found.gains) == {"uniform", "natural", "nearest scale"}
    for estimate in (*found.predicted.values(), *found.gains.values()):
        assert estimate.low <= estimate.value <= estimate.high
    true = loss(OFFSET, natural.array, TARGET)
    assert found.predicted["natural"].low <= true <= found.predicted["natural"].high
    gain = 1 - loss(OFFSET, found.mixture.array, TARGET) / true
    assert found.gains["natural"].low <= gain <= found.gains["natural"].high
    assert found.predicted["joint"].value <= found.predicted["geometric"].value


def test_noisier_runs_give_wider_intervals():
    spread = []
    for noise in (1e-4, 3e-3):
        search = searcher(settings=replace(SETTINGS, noise=noise))
        runs = history_of(replace(PURE, noise=noise), search)
        scales = [Scale.of(ddo, runs, seed) for seed, ddo in enumerate(search.ddos)]
        spread.append(Geometric(scales).drawn(TARGET, search.bounds).std(axis=0))
    assert (spread[1] > 2 * spread[0]).all()


def test_noise_is_drawn_anew_at_each_scale():
    """The same draws at both would cancel in the ratio."""
    search = searcher()
    runs = history_of(PURE, search)
    one, other = (Scale.of(ddo, runs, seed) for seed, ddo in enumerate(search.ddos))
    errors = [scale.replicates.weights[:, 0] - scale.weights[0] for scale in (one, other)]
    assert abs(np.corrcoef(errors)[0, 1]) < 0.4


def test_the_path_goes_from_the_smallest_scale_to_the_target_through_the_optima():
    found = answer(PURE, predictor="geometric")
    path = found.evidence.path
    assert path.tokens[0] == pytest.approx(SCALES[0], rel=1e-5)
    assert path.tokens[-1] == TARGET
    at = path.tokens.index(SCALES[1])
    for domain, weight in found.mixture.to_dict().items():
        line = path.domains[domain]
        assert line.weights[-1] == pytest.approx(weight)
        assert line.weights[at] == pytest.approx(found.evidence.scales[1].weights[domain])
        assert (line.low[-1], line.high[-1]) == pytest.approx(found.intervals[domain])


THREE = (500_000, 2_000_000, 8_000_000)


def test_the_largest_of_three_scales_is_held_out_and_predicted_four_ways():
    found = answer(OFFSET, THREE)
    held = found.evidence.holdout
    assert (held.tokens, held.source) == (THREE[2], THREE[:2])
    assert list(held.guesses) == ["geometric", "joint", "nearest scale", "average"]
    optima = [np.array(list(scale.weights.values())) for scale in found.evidence.scales]
    guesses = {name: np.array(list(guess.weights.values())) for name, guess in held.guesses.items()}
    np.testing.assert_allclose(guesses["nearest scale"], optima[1])
    np.testing.assert_allclose(guesses["average"], (optima[0] + optima[1]) / 2)
    for name, guess in held.guesses.items():
        assert guess.distance == pytest.approx(0.5 * np.abs(guesses[name] - optima[2]).sum())
        assert guess.excess == pytest.approx(guess.predicted / held.predicted - 1)
        assert guess.excess >= -1e-9  # its own optimum is the best there
    # What is held out is not seen: the geometric guess is that of a search with two scales.
    two = answer(OFFSET, THREE[:2], THREE[2], predictor="geometric")
    np.testing.assert_allclose(guesses["geometric"], two.mixture.array, atol=1e-6)
    errors = found.evidence.choice.errors
    assert found.evidence.chosen == min(errors, key=errors.get)
    assert errors == {name: held.guesses[name].excess for name in ("geometric", "joint")}


def test_no_guess_has_seen_a_loss_of_the_scale_held_out():
    """Whatever the largest scale measured, it is predicted alike; only the distance to its optimum changes."""
    search = searcher(THREE)
    runs = history_of(OFFSET, search)
    largest = np.array(["at 8M" in name for name in runs.runs])
    other = history_of(PURE, search)
    changed = replace(runs, losses=np.where(largest[:, None], other.losses, runs.losses))
    held = []
    for history in (runs, changed):
        scales = [Scale.of(ddo, history, seed) for seed, ddo in enumerate(search.ddos)]
        held.append(hold_out(scales, history, SETTINGS))
    for name, guess in held[0].guesses.items():
        np.testing.assert_array_equal(held[1].guesses[name].weights, guess.weights)
    assert total_variation(held[1].optimum, held[0].optimum) > 0.05


def test_two_scales_have_no_hold_out_and_choose_by_cross_validation():
    found = answer(OFFSET)
    assert found.evidence.holdout is None
    assert "cross-validation" in found.evidence.choice.measure


@pytest.mark.parametrize(("asked", "chosen"), [("auto", "geometric"), ("joint", "joint"), ("geometric", "geometric")])
def test_auto_takes_the_smaller_error_and_a_name_is_obeyed(asked, chosen):
    choice = Choice.of(asked, None, {"geometric": 0.01, "joint": 0.02})
    assert choice.name == chosen
    assert "1 % (geometric) and 2 % (joint)" in choice.reason
    nothing = np.zeros(2)
    guesses = {"geometric": Guess(nothing, 0.1, 1.0, 0.03), "joint": Guess(nothing, 0.2, 1.0, 0.02)}
    held = HoldOut(800, (100, 200), nothing, 1.0, 0.1, guesses)
    assert Choice.of("auto", held, {"geometric": 0.01, "joint": 0.02}).name == "joint"


def test_cross_validation_of_lines_measures_what_they_miss():
    search = searcher()
    errors = []
    for noise in (1e-5, 3e-2):
        runs = history_of(replace(OFFSET, noise=noise), search)
        errors.append(cross_validate([Scale.of(ddo, runs, 0) for ddo in search.ddos]))
    assert errors[0] < 0.05
    assert errors[1] > max(0.02, 1.2 * errors[0])


def test_caps_at_the_target_hold_and_the_others_share_the_rest():
    available = dict.fromkeys(PURE.domains, 1e9) | {"code": 1e6}
    supply = Supply(available, TARGET, 4.0)
    found = answer.__wrapped__(PURE, settings=replace(SETTINGS, supply=supply))
    free = answer(PURE)
    cap = 4e6 / TARGET
    assert found.mixture.to_dict()["code"] == pytest.approx(cap)
    assert free.mixture.to_dict()["code"] > cap
    assert found.epochs["code"] == pytest.approx(4)
    assert any("too little text" in warning and "code (0.125)" in warning for warning in found.warnings)
    # The scales are not the target: what there is to train on there is no matter of theirs.
    assert found.evidence.scales == free.evidence.scales
    for part in found.evidence.predictors.values():
        assert part.intervals["code"][1] <= cap + 1e-9


def test_epochs_beyond_four_are_warned_of():
    supply = Supply(dict.fromkeys(PURE.domains, 1e6), TARGET, None)
    (warning,) = warn_of_repetition(Mixture(PURE.domains, (0.4, 0.4, 0.1, 0.1)), supply)
    assert warning == "at the target the mixture repeats text more than 4 times (epochs): code 12.8, web 12.8"
    assert warn_of_repetition(PURE.uniform, replace(supply, target_tokens=1e6)) == []


def test_proxies_that_match_epochs_see_their_share_of_each_domain():
    available = {"code": 800, "web": 8_000, "books": 80_000, "law": 80_000_000}
    search = searcher(settings=replace(SETTINGS, supply=Supply(available, TARGET, None)), match_epochs=True)
    limits = {(p.tokens, str(p.role)): p.unique_tokens for p in search.ask(empty_history())}
    assert limits[SCALES[0], "base at 1M"] == (25, 250, 2500, 2_500_000)
    assert limits[SCALES[1], "base at 4M"] == (100, 1000, 10000, 10_000_000)
    free = searcher().ask(empty_history())
    assert {proposal.unique_tokens for proposal in free} == {None}


@pytest.mark.parametrize(
    ("target", "words"), [(500_000, "not above the smallest scale"), (2_000_000, "not above the largest scale")]
)
def test_a_target_that_is_not_beyond_the_scales_says_what_it_does(target, words):
    found = answer(PURE, target=target, predictor="geometric")
    assert any(words in warning for warning in found.warnings)
    first, last = (np.array(list(scale.weights.values())) for scale in found.evidence.scales)
    if target <= SCALES[0]:
        np.testing.assert_allclose(found.mixture.array, first)
    else:
        assert (found.mixture.array >= np.minimum(first, last) - 0.02).all()
        assert (found.mixture.array <= np.maximum(first, last) + 0.02).all()


def test_pinned_and_shrinking_domains_are_named():
    """In this world the optimum puts `law` at its floor at both scales."""
    flat = World(a=(0.2, 0.2, 0.2, 8.0), b=(0.5, 0.6, 0.7, 0.02), tokens=4_000_000, noise=1e-4)
    found = answer(flat, predictor="geometric")
    assert any("law (at a bound at 1M, 4M; held at 0.010)" in warning for warning in found.warnings)
    assert found.evidence.geometric.held == ("law",)
    assert found.evidence.scales[0].pinned == ("law",)
    assert found.mixture.to_dict()["law"] == pytest.approx(0.01)


def test_a_law_that_leads_to_an_impossible_loss_predicts_nothing(monkeypatch):
    monkeypatch.setattr(JointFit, "predict", lambda fit, tokens: np.full(tokens.shape[:-1], -1.0))
    found = answer.__wrapped__(PURE, target=80_000_000, predictor="geometric")
    assert found.predicted == {}
    assert found.gains == {}
    assert "leads to -1 nats/token at the target, which cannot be" in found.warnings[0]
    assert found.evidence.predictors["joint"].predicted is None
    # And how far that is, with what noise does there.
    assert any("the target is 20 times the largest scale" in warning for warning in found.warnings)
    assert not any("times the largest scale" in warning for warning in answer(PURE).warnings)


def test_nothing_is_predicted_either_where_only_the_other_predictors_mixture_is_impossible(monkeypatch):
    """The law that gives it a loss below 0 is the one that predicts for all."""
    lowest = answer(PURE, predictor="geometric").evidence.predictors["joint"].weights["code"]

    def below(fit, tokens):
        return np.where(np.isclose(tokens[..., 0], lowest * TARGET), -0.5, 3.0)

    monkeypatch.setattr(JointFit, "predict", below)
    found = answer.__wrapped__(PURE, predictor="geometric")
    assert found.predicted == {}
    assert "leads to -0.5 nats/token" in found.warnings[0]
