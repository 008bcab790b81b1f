"""One-shot searches: the optimum of a law that is checked on mixtures left out, or the best measured mixture."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.history import History, empty_history
from mixopt.methods.adso.scales import Scale
from mixopt.methods.simplex.designs import DesignSettings
from mixopt.methods.swarm.fit import regressors_of
from mixopt.methods.swarm.law_choice import LawChoice, spearman
from mixopt.methods.swarm.runs import Swarm, check_duplicates
from mixopt.methods.swarm.searcher import OneShot, OneShotSettings
from mixopt.mixture import Mixture
from mixopt.objective import MeanLoss, WorstLoss
from mixopt.solve import Supply
from tests.methods.mixing_world import MixingWorld

if TYPE_CHECKING:
    from mixopt.methods.base import Recommendation

WORLD = MixingWorld(noise=0.002)


def search(regressor: str | None = "loglinear", world: MixingWorld = WORLD, **settings: object) -> OneShot:
    given = {
        "design": DesignSettings(runs=24),
        "regressors": None if regressor is None else regressors_of(regressor),
        "objective": MeanLoss(),
        "replicates": 100,
        **settings,
    }
    return OneShot(world.natural, world.tokens, OneShotSettings(**given))


def answer(searcher: OneShot, world: MixingWorld = WORLD) -> Recommendation:
    return searcher.recommend(world.train(searcher.ask(empty_history())))


@pytest.fixture(scope="module")
def found() -> Recommendation:
    return answer(search(pareto=(MeanLoss(), WorstLoss())), MixingWorld(noise=0.002))


def best_of(world: MixingWorld) -> np.ndarray:
    """The true optimum of the mean loss, by a fine random search."""
    drawn = np.random.default_rng(0).dirichlet(np.ones(4), 400_000)
    return drawn[world.losses(drawn).mean(axis=1).argmin()]


def test_the_optimum_and_its_prediction_are_right_within_their_intervals(found: Recommendation):
    best = best_of(WORLD)
    np.testing.assert_allclose(found.mixture.array, best, atol=0.03)
    for truth, (low, high) in zip(best, found.intervals.values(), strict=True):
        assert low - 0.02 <= truth <= high + 0.02
    for name, mixture in {"recommended": found.mixture, "uniform": Mixture.uniform(WORLD.domains)}.items():
        truth = WORLD.losses(mixture.array).mean()
        assert found.predicted[name].low <= truth <= found.predicted[name].high
    gain = 1 - WORLD.losses(found.mixture.array).mean() / WORLD.losses(WORLD.natural.array).mean()
    assert found.gains["natural"].low <= gain <= found.gains["natural"].high
    assert found.gains["natural"].low > 0


def test_the_swarm_begins_with_what_the_answer_is_compared_with():
    proposals = search().ask(empty_history())
    assert [str(proposal.role) for proposal in proposals[:3]] == ["natural", "uniform", "mixture 3"]
    assert proposals[0].mixture == WORLD.natural
    assert len(proposals) == 24
    twice = search(seeds=(0, 1)).ask(empty_history())
    assert len(twice) == 48
    assert [proposal.mixture for proposal in twice[24:]] == [proposal.mixture for proposal in proposals]


def test_every_number_is_of_mixtures_left_out(found: Recommendation):
    law = found.evidence.law
    measured = np.array([point.measured for point in found.evidence.swarm])
    left_out = np.array([point.left_out for point in found.evidence.swarm])
    fitted = np.array([point.fitted for point in found.evidence.swarm])
    assert law.score.rmse == pytest.approx(np.sqrt(((left_out - measured) ** 2).mean()))
    assert law.score.spearman == pytest.approx(spearman(left_out, measured))
    assert np.abs(fitted - measured).mean() < np.abs(left_out - measured).mean()
    assert law.score.rmse < 0.2 * law.score.mean_rmse
    sizes = [point.runs for point in law.learning_curve]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 21  # ten folds of 24 leave two or three out
    assert law.more_runs in found.warnings


def test_the_front_begins_and_ends_at_the_optima(found: Recommendation):
    front = found.evidence.pareto
    assert front.objectives == ("mean_loss", "worst")
    assert front.convex
    first, last = front.points[0], front.points[-1]
    assert first.weights == pytest.approx(found.mixture.to_dict(), abs=1e-3)
    assert last.weights == pytest.approx(found.other_objectives["worst"], abs=1e-2)
    assert set(front.baselines) == {"recommended", "natural", "uniform", "best run"}


def test_the_target_caps_the_answer_and_the_run_caps_the_swarm():
    tokens = dict.fromkeys(WORLD.domains, 100_000.0)
    searcher = search(
        run_supply=Supply(tokens, 200_000, 1.0), supply=Supply(tokens | {"code": 10_000.0}, 100_000, 1.0), floor=0.02
    )
    drawn = np.array([proposal.mixture.weights for proposal in searcher.ask(empty_history())])
    assert drawn.max() <= 0.5 + 1e-9
    assert drawn.min() >= 0.02 - 1e-9
    found = answer(searcher)
    assert found.mixture.to_dict()["code"] == pytest.approx(0.1)
    assert found.multipliers["code"] < 0
    assert found.tokens == 100_000
    assert any("code is at its cap of 0.1" in warning for warning in found.warnings)


def test_auto_chooses_by_cross_validation_and_says_so():
    swarm = Swarm.of(WORLD.drawn(24))
    additive, process, law = (regressors_of(name)[0] for name in ("ddo", "gp", "loglinear"))
    evidence = LawChoice.of(swarm, [additive, process, law], MeanLoss())
    assert list(evidence.tried) == ["ddo", "gp", "loglinear"]
    assert evidence.regressor.name == "loglinear"
    assert evidence.chosen.rmse == min(part.rmse for part in evidence.tried.values())
    assert evidence.chosen_from == ", chosen of 3 laws by cross-validation"


def test_a_costly_law_far_behind_is_dropped_early_and_one_that_is_not_is_checked_in_full():
    swarm = Swarm.of(WORLD.drawn(24))
    law, trees = (regressors_of(name)[0] for name in ("loglinear", "regmix"))
    again = type("Again", (type(law),), {"name": "again", "costly": True})()
    evidence = LawChoice.of(swarm, [law, again, trees], MeanLoss())
    assert re.fullmatch(
        r"regmix: dropped after 3 of 10 folds, where its error is \S+ and that of the log-linear law \S+",
        evidence.tried["regmix"],
    )
    # As good as the best so far, and so with all folds, in two parts.
    np.testing.assert_allclose(evidence.tried["again"].left_out, evidence.tried["loglinear"].left_out, rtol=1e-9)


def test_of_laws_that_predict_alike_the_first_is_chosen():
    swarm = Swarm.of(MixingWorld(noise=0.02).drawn(24))
    for names in (("loglinear", "mixing-law"), ("mixing-law", "loglinear")):
        evidence = LawChoice.of(swarm, [regressors_of(name)[0] for name in names], MeanLoss())
        assert evidence.regressor.name == names[0]


def test_shifts_that_a_seed_gives_to_all_runs_are_taken_out():
    shifted = MixingWorld(seed_shift=0.5)
    searcher = search(seeds=(0, 1), world=shifted, design=DesignSettings(runs=16))
    found = answer(searcher, shifted)
    np.testing.assert_allclose(found.mixture.array, best_of(shifted), atol=0.01)
    assert found.noise.relative == pytest.approx(0, abs=1e-9)


def test_the_best_measured_mixture_comes_with_its_curse():
    world = MixingWorld(noise=0.05)
    found = answer(search(None, world=world, seeds=(0, 1)), world)
    measured = {tuple(point.weights.values()): point.measured for point in found.evidence.swarm}
    assert measured[found.mixture.weights] == min(measured.values())
    estimate = found.predicted["recommended"]
    assert estimate.value == min(measured.values())
    # What it promises is too good; the interval reaches to where the truth is.
    assert estimate.value < WORLD.losses(found.mixture.array).mean() < estimate.high
    assert any("the winner's curse" in warning for warning in found.warnings)
    assert found.evidence.law is None


def test_without_noise_there_is_no_curse():
    still = MixingWorld()
    found = answer(search(None, world=still, seeds=(0, 1)), still)
    assert found.predicted["recommended"].high == pytest.approx(found.predicted["recommended"].value)
    assert all(low == high for low, high in found.intervals.values())


def test_mixtures_beyond_the_targets_caps_are_not_recommended():
    tokens = dict.fromkeys(WORLD.domains, 30_000.0)
    found = answer(search(None, supply=Supply(tokens, 100_000, 1.0)))
    assert max(found.mixture.weights) <= 0.31
    alone = WORLD.runs(np.eye(4)[:3], ["a", "b", "c"], [0, 0, 0])
    with pytest.raises(ConfigError, match=r"none of 3 trained mixtures .*floors and caps"):
        search(None, supply=Supply(tokens, 100_000, 1.0)).recommend(alone)


def changed(history: History, **changes: object) -> History:
    return replace(history, **changes)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda h: h.select(np.arange(4)), r"4 domains .*at least 6 runs .*found 4"),
        (lambda h: changed(h, losses=np.full_like(h.losses, 2.0)), r"mean_loss: .*2 for each of 24"),
        (
            lambda h: changed(h, losses=np.random.default_rng(0).normal(3, 0.1, h.losses.shape)),
            r"no law of mean_loss .*left out",
        ),
        (lambda h: changed(h, parameters=np.arange(24) % 2 + 1), "models with 1 and 2 parameters"),
        (lambda h: changed(h, tokens_seen=h.tokens_seen * np.linspace(1, 2, 24)[:, None]), "1M to 2M tokens long"),
        (lambda h: changed(h, domains=("code", "web", "books", "more")), "runs on code, web, books, law"),
        (lambda h: h.select(np.arange(0)), "no run is finished"),
        (
            lambda h: changed(h, tokens_seen=np.column_stack([h.tokens_seen[:, :3], np.full(24, 0.0)])
                              * (1e6 / h.tokens_seen[:, :3].sum(axis=1))[:, None]),
            "same share of 'law'",
        ),
    ],
)  # fmt: skip
def test_what_no_law_can_be_of_is_refused_in_a_line(spoil, message: str):
    with pytest.raises(ConfigError, match=message):
        search().recommend(spoil(WORLD.drawn(24)))


def test_too_few_runs_are_refused_before_they_are_trained():
    with pytest.raises(ConfigError, match=r"at least 6 runs .*found 5; train 1 more"):
        search(design=DesignSettings(runs=5)).ask(empty_history())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kl": 0.1, "regressors": None}, r"kl: .*best measured"),
        ({"pareto": (MeanLoss(), WorstLoss()), "regressors": None}, r"pareto: .*predicted"),
        ({"seeds": ()}, r"seeds: .*different numbers"),
        ({"kl": -1.0}, r"kl: .*at least 0"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        search(**settings)


def test_a_run_that_is_there_twice_is_no_repeat():
    history = WORLD.drawn(5)
    check_duplicates(history)
    twice = changed(
        history,
        runs=(*history.runs[:4], "again"),
        tokens_seen=history.tokens_seen[[0, 1, 2, 3, 2]],
        losses=history.losses[[0, 1, 2, 3, 2]],
    )
    with pytest.raises(ConfigError, match=r"'run 2' and 'again' .*twice"):
        check_duplicates(twice)


TARGET = Scale("big", 0, 4 * WORLD.tokens, 4.0)


def joined(one: History, other: History) -> History:
    names = ("tokens_seen", "losses", "seeds", "parameters")
    both = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names}
    return replace(one, runs=(*one.runs, *other.runs), **both)


@pytest.mark.parametrize("regressor", ["loglinear", None])
@pytest.mark.parametrize("target", [TARGET, None])
def test_what_is_confirmed_was_measured_at_the_target(regressor: str | None, target: Scale | None):
    """The best predictions first, one after the other; the answer is the best of what was measured there."""
    world = MixingWorld(noise=0.002)
    settings = search(regressor, confirm=3).settings
    searcher = OneShot(world.natural, world.tokens, settings, target=target)
    history = world.train(searcher.ask(empty_history()))
    asked = []
    while batch := searcher.ask(history):
        asked += batch
        history = joined(history, replace(world, tokens=batch[0].tokens).train(batch))
    place = TARGET.place if target else (None, world.tokens)
    assert {(proposal.model, proposal.tokens) for proposal in asked} <= {place}
    # All of a swarm without a law was measured at its own scale.
    assert len(asked) == (0 if regressor is None and target is None else 3)
    found = searcher.recommend(history)
    measured = [proposal.mixture for proposal in (asked if target else [*searcher.ask(empty_history()), *asked])]
    nearest = min(found.mixture.distance(mixture) for mixture in measured)
    assert nearest < 1e-6
    assert set(found.runs) == set(history.runs)
    if target:
        assert "best of 3 mixtures that were run at the target" in found.method
        values = world.losses(np.array([mixture.weights for mixture in measured])).mean(axis=1)
        assert found.predicted["recommended"].value == pytest.approx(values.min(), rel=0.01)


def test_a_number_of_mixtures_to_confirm_is_not_negative():
    with pytest.raises(ConfigError, match="confirm: expected a number"):
        search(confirm=-1)
