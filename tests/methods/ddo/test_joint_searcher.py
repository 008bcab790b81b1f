"""DDO's answer from a joint law: against the world's optimum, its warnings and its evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.history import empty_history
from mixopt.methods.ddo.joint_searcher import JointDdo
from mixopt.methods.ddo.searcher import Ddo, DdoSettings
from mixopt.mixture import Mixture
from mixopt.objective import MeanLoss
from mixopt.solve import Supply
from tests.methods.world import TransferWorld

WORLD = TransferWorld()
UNIFORM = Mixture.uniform(WORLD.domains)
FEW = DdoSettings(replicates=100, noise=0.001)


def recommend(world=WORLD, history=None, settings=FEW, **arguments):
    searcher = JointDdo(UNIFORM, world.tokens, settings, **arguments)
    return searcher.recommend(world.train(world.design()) if history is None else history)


def warned(answer, words):
    return [warning for warning in answer.warnings if words in warning]


def test_it_asks_for_the_runs_of_ddo():
    settings = replace(FEW, seeds=(0, 1))
    asked = JointDdo(UNIFORM, WORLD.tokens, settings).ask(empty_history())
    assert asked == Ddo(UNIFORM, WORLD.tokens, settings).ask(empty_history())


def test_the_answer_is_the_best_mixture_of_a_world_with_transfer():
    """The lines' additive law cannot know that `docs` serves `code` too; the joint law does."""
    answer = recommend()
    true = {name: float(np.exp(WORLD.losses(m.array * WORLD.tokens)).mean()) for name, m in
            {"recommended": answer.mixture, "uniform": UNIFORM}.items()}  # fmt: skip
    assert answer.predicted["recommended"].value == pytest.approx(true["recommended"], rel=5e-3)
    assert answer.gains["uniform"].value == pytest.approx(1 - true["recommended"] / true["uniform"], abs=3e-3)
    assert (answer.gains["uniform"].low or 0) > 0
    others = np.random.default_rng(0).dirichlet(np.ones(3), 300) * 0.6666 + 1 / 9
    best = np.exp(WORLD.losses(others * WORLD.tokens)).mean(axis=1).min()
    assert true["recommended"] < best * (1 + 1e-3)


@pytest.mark.slow
def test_intervals_hold_the_error_of_runs_left_out():
    """However small the noise, a law that is off by some per cent cannot promise less."""
    answer = recommend(settings=replace(FEW, noise=1e-6), form="additive")
    error = answer.evidence.joint.cross_validation["additive"].error
    estimate = answer.predicted["uniform"]
    assert error > 0.01
    assert (estimate.high or 0) - estimate.value >= 1.9 * error * estimate.value
    assert answer.evidence.misfit == error


def test_what_chose_the_form_is_said():
    (sentence,) = warned(recommend(), "runs left out")
    assert "the law per_domain is off by" in sentence
    assert "(additive: " in sentence


@pytest.mark.slow
def test_every_run_of_the_history_counts_in_any_design():
    extra = np.array([[2e5, 5e5, 2e5], [1e5, 3e5, 5e5]])
    history = WORLD.train(np.concatenate([WORLD.design(), extra]))
    answer = recommend(history=history)
    assert len(answer.runs) == 9
    assert len(answer.evidence.domains["code"].points.x) == 3


def test_missing_runs_are_named_and_do_without():
    answer = recommend(history=WORLD.train(WORLD.design()[[0, 1, 3, 4, 5, 6]]))
    assert warned(answer, "runs are missing: code x1/3")
    with pytest.raises(ConfigError, match="at least 5 runs"):
        recommend(history=WORLD.train(WORLD.design()[:3]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noise", "seeds", "says"), [(0.0, (0,), "is assumed"), (0.05, (0,), "own residuals"), (0.01, (0, 1, 2), None)]
)
def test_what_the_noise_rests_on_is_said(noise, seeds, says):
    world = replace(WORLD, noise=noise)
    answer = recommend(history=world.train(world.design(), seeds), settings=replace(FEW, seeds=None))
    sentences = warned(answer, "the noise of a run")
    assert [says in sentence for sentence in sentences] == ([True] if says else [])
    assert (answer.noise.source == "repeats") is (says is None)


@pytest.mark.slow
def test_no_evidence_is_said_where_there_is_none():
    world = replace(WORLD, noise=0.1)
    assert warned(recommend(world), "no evidence that the recommended mixture beats uniform")


@pytest.mark.slow
def test_a_broken_run_is_named():
    history = WORLD.train(WORLD.design(300_000, 900_000, 2_700_000))
    losses = history.losses.copy()
    losses[11] += 1.0
    assert warned(recommend(history=replace(history, losses=losses)), "far from the law in some domain") == [
        "these runs are far from the law in some domain, and count less: run 11"
    ]


def test_losses_that_rise_with_all_tokens_are_said():
    history = WORLD.train(WORLD.design())
    losses = history.losses.copy()
    losses[:, 2] = 2 + 0.1 * np.log(history.tokens.astype(float) / 1e5)
    answer = recommend(history=replace(history, losses=losses), form="per_domain")
    assert warned(answer, "the loss on maths falls with no domain's tokens")


def test_floors_caps_and_repetition_are_said_with_prices():
    supply = Supply({"code": 300_000, "docs": 100_000, "maths": 1e9}, WORLD.tokens, 3.0)
    answer = recommend(settings=replace(FEW, floor=0.3, supply=supply))
    assert warned(answer, "docs is at its cap of 0.333: raising it by 0.01 would save")
    assert set(answer.multipliers) >= {"docs"}
    assert answer.multipliers["docs"] < 0
    assert answer.epochs["docs"] == pytest.approx(3.0)


def test_weights_outside_the_amounts_tested_are_said():
    answer = recommend(settings=replace(FEW, floor=0.01, objective=MeanLoss()), form="per_domain")
    (sentence,) = warned(answer, "outside the amounts that were tested")
    outside = {domain for domain, weight in answer.mixture.to_dict().items() if weight < 1 / 9 * 0.97}
    assert outside
    assert {domain for domain in WORLD.domains if domain in sentence} == outside


def test_presets_of_lines_are_refused():
    with pytest.raises(ConfigError, match=r"'paper' .*line by line"):
        JointDdo(UNIFORM, WORLD.tokens, DdoSettings(preset="paper"))


@pytest.mark.slow
def test_the_evidence_has_a_curve_through_the_runs_of_each_domain():
    evidence = recommend().evidence
    for line in evidence.domains.values():
        x, y = np.array(line.points.x), np.array(line.points.y)
        assert sorted(x) == pytest.approx([1 / 3, 1, 3])
        on_curve = np.interp(np.log(x), np.log(line.curve.x), line.curve.y)
        np.testing.assert_allclose(on_curve, y, rtol=0.01)
        assert (np.array(line.curve.low) <= np.array(line.curve.high)).all()
    assert set(evidence.losses) == set(WORLD.domains)
    assert recommend(form="additive").evidence.losses == {}
