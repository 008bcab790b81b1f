"""DDO on worlds whose best mixture is known: what it advises, how sure it is, what it warns of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.history import History, empty_history
from mixopt.methods.base import Noise
from mixopt.methods.ddo.joint import JointDdo
from mixopt.methods.ddo.searcher import Ddo, DdoSettings
from mixopt.mixture import Mixture
from mixopt.objective import MeanLoss, WeightedLoss
from mixopt.solve import Supply
from tests.methods.world import TransferWorld, World

# A world of mean losses is additive in mean loss; many factors determine each law.
EXACT = DdoSettings(objective=MeanLoss(), factors=(1 / 9, 1 / 3, 3.0, 9.0), noise=1e-5)


def answer(world: World, settings: DdoSettings, reference: Mixture | None = None, batch: int = 1, **arguments):
    searcher = Ddo(reference or world.uniform, world.tokens, settings, **arguments)
    return searcher.recommend(world.train(searcher.ask(None), batch))  # type: ignore[arg-type]


def test_the_best_mixture_of_an_additive_world_is_found():
    world = World(level=0.0)
    # y = (objective / base) has no amplitude of its own: laws are exact where the base's objective is 1.
    scaled = replace(world, level=1 - world.mean_loss(np.full(4, world.unit)))
    found = answer(scaled, EXACT)
    assert found.mixture.distance(world.best()) < 1e-3
    assert found.predicted["recommended"].value == pytest.approx(scaled.mean_loss(world.best().array * 1e6), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 4096])
@pytest.mark.parametrize("perturb", ["add", "replace"])
def test_default_settings_come_near_the_best_mixture(world, perturb, batch):
    """Two runs a domain and a prior: near, and much better than uniform."""
    settings = DdoSettings(objective=MeanLoss(), perturb=perturb, noise=1e-3)
    found = answer(world, settings, batch=batch)
    best = world.mean_loss(world.best().array * world.tokens)
    uniform = world.mean_loss(world.uniform.array * world.tokens)
    ours = world.mean_loss(found.mixture.array * world.tokens)
    assert ours - best < 0.2 * (uniform - best)


@pytest.mark.slow
def test_held_totals_do_not_overstate_the_gain(world):
    """`replace` measures each domain against the others' loss of tokens; the prediction allows for it."""
    gains = [
        answer(world, replace(EXACT, perturb=perturb, factors=(1 / 2, 2.0), floor=0.0)).gains["uniform"].value
        for perturb in ("add", "replace")
    ]
    assert gains[1] == pytest.approx(gains[0], rel=0.25)


def test_a_skewed_reference_leads_to_the_same_mixture(world):
    reference = Mixture.from_dict({"code": 0.4, "web": 0.3, "books": 0.2, "law": 0.1})
    assert answer(world, EXACT, reference).mixture.distance(world.best()) < 0.05


def test_every_baseline_is_predicted_with_error_bars(world):
    natural = Mixture.from_dict({"law": 0.7, "code": 0.3})
    found = answer(world, EXACT, baselines={"natural": natural})
    assert set(found.predicted) == {"recommended", "reference", "uniform", "natural"}
    assert set(found.gains) == {"reference", "uniform", "natural"}
    for estimate in (*found.predicted.values(), *found.gains.values()):
        assert estimate.low <= estimate.value <= estimate.high
    assert found.predicted["reference"] == found.predicted["uniform"]
    base = world.mean_loss(world.uniform.array * world.tokens)
    assert found.predicted["uniform"].value == pytest.approx(base)


def test_the_optimum_under_every_other_objective_is_there(world):
    found = answer(world, EXACT)
    assert set(found.other_objectives) == {"mean_ppl", "worst"}
    for weights in found.other_objectives.values():
        assert sum(weights.values()) == pytest.approx(1)


def test_floors_and_caps_bind_and_their_prices_are_said(world):
    supply = Supply({"code": 1e5, "web": 1e9, "books": 1e9, "law": 1e9}, target_tokens=1e6, max_epochs=2)
    found = answer(world, replace(EXACT, floor="0.6x", supply=supply))
    assert found.mixture.to_dict()["code"] == pytest.approx(0.2)
    assert found.mixture.to_dict()["books"] == pytest.approx(0.15)
    assert found.multipliers["books"] > 0 > found.multipliers["code"]
    assert any(w.startswith("books is at its floor of 0.15: raising it by 0.01 would cost") for w in found.warnings)
    assert any(w.startswith("code is at its cap of 0.2: raising it by 0.01 would save") for w in found.warnings)
    assert found.epochs["code"] == pytest.approx(2.0)


def test_repetition_beyond_four_epochs_is_said_where_nothing_caps_it(world):
    supply = Supply({"code": 1e4, "web": 1e9, "books": 1e9, "law": 1e9}, target_tokens=1e6)
    found = answer(world, replace(EXACT, supply=supply))
    assert any("repeats text more than 4 times (epochs): code" in w for w in found.warnings)


def test_impossible_bounds_are_refused_before_any_run(world):
    with pytest.raises(ConfigError, match=r"floors: they sum to 1\.2"):
        Ddo(world.uniform, world.tokens, replace(EXACT, floor="1.2x"))


def test_seeds_measure_the_noise_and_their_common_shift_does_not_count():
    world = World(noise=0.002, seed_shift=0.05)
    settings = DdoSettings(objective=MeanLoss(), seeds=tuple(range(6)))
    found = answer(world, settings)
    noise = found.noise
    assert (noise.degrees_of_freedom, noise.source) == (8 * 5, "repeats")
    assert noise.relative == pytest.approx(0.002, rel=0.35)
    assert not any("assumed" in warning for warning in found.warnings)


def test_one_seed_assumes_the_noise_and_says_so(world):
    found = answer(world, DdoSettings(noise=0.01))
    assert found.noise == Noise(0.01, 0, "assumed")
    assert any("assumed (1 % of the objective)" in w and "--seeds 3" in w for w in found.warnings)


@pytest.mark.slow
def test_more_noise_widens_the_intervals(world):
    def width(noise):
        intervals = answer(world, replace(EXACT, noise=noise)).intervals
        return sum(high - low for low, high in intervals.values())

    assert width(1e-4) < 0.5 * width(3e-3) < 0.8 * width(2e-2)


@pytest.mark.slow
def test_where_nothing_matters_there_is_no_evidence_of_a_gain():
    """Winner's curse: the best of noisy laws always promises a gain; of 20 worlds of pure noise few may pass."""
    believed = 0
    for seed in range(20):
        world = World(a=(1e6,) * 4, noise=0.003, rng=np.random.default_rng(seed))
        found = answer(world, DdoSettings(objective=MeanLoss(), noise=0.003, replicates=200))
        believed += not any("no evidence that the recommended mixture beats uniform" in w for w in found.warnings)
    assert believed <= 3


def test_where_it_matters_there_is_evidence(world):
    assert not any("no evidence" in warning for warning in answer(world, EXACT).warnings)


def _with_losses(world: World, change) -> list[str]:
    searcher = Ddo(world.uniform, world.tokens, DdoSettings(objective=MeanLoss(), noise=0.001))
    history = world.train(searcher.ask(None))  # type: ignore[arg-type]
    for row, run in enumerate(history.runs):
        change(run, history.losses[row])
    return list(searcher.recommend(history).warnings)


@pytest.mark.slow
def test_a_domain_whose_loss_rises_with_its_own_tokens_is_said(world):
    def worse(run, losses):
        if run.startswith("code x3"):
            losses[0] += 4.0

    warnings = _with_losses(world, worse)
    assert any("the loss on code rises with the domain's own tokens" in w for w in warnings)
    assert any(w.startswith("more tokens of code (") for w in warnings)


@pytest.mark.slow
def test_a_law_that_fits_badly_is_said(world):
    """Less of code and more of it both help: no falling curve goes through that."""

    def kink(run, losses):
        if run.startswith("code x1/3"):
            losses -= 0.5

    assert any("the law fits badly for code" in w for w in _with_losses(world, kink))


@pytest.mark.slow
def test_without_a_floor_no_domain_gets_less_than_was_tested():
    world = World(b=(2.0, 0.01, 0.01, 0.01), a=(0.5, 1.0, 1.0, 1.0))
    least = min(answer(world, replace(EXACT, factors=(1 / 3, 3.0), floor=None)).mixture.weights)
    assert least == pytest.approx(1 / 12, rel=1e-6)
    assert min(answer(world, replace(EXACT, factors=(1.5, 3.0), floor=None)).mixture.weights) < 1 / 12
    assert min(answer(world, replace(EXACT, preset="paper", factors=(1 / 3, 3.0))).mixture.weights) < 1 / 12


def test_the_tested_floor_yields_to_caps():
    supply = Supply({"code": 1e3, "web": 1e9, "books": 1e9, "law": 1e9}, target_tokens=1e6, max_epochs=2)
    assert answer(World(), replace(EXACT, factors=(1 / 3, 3.0), supply=supply)).mixture.to_dict()["code"] == (
        pytest.approx(0.002)
    )


def test_an_optimum_outside_the_tested_amounts_is_said():
    world = World(b=(2.0, 0.01, 0.01, 0.01), a=(0.5, 1.0, 1.0, 1.0))
    found = answer(world, replace(EXACT, factors=(1 / 3, 3.0), floor=0.0))
    assert any("outside the amounts that were tested" in w and "web (x" in w for w in found.warnings)


@pytest.mark.slow
def test_a_single_factor_has_two_points_and_says_so(world):
    found = answer(world, DdoSettings(objective=MeanLoss(), factors=(3.0,)))
    assert any("two points only for code, web, books, law" in w for w in found.warnings)


@pytest.mark.slow
def test_missing_runs_are_named(world):
    searcher = Ddo(world.uniform, world.tokens, DdoSettings())
    history = world.train(searcher.ask(None))  # type: ignore[arg-type]

    def without(*roles):
        return history.select(np.array([not run.startswith(roles) for run in history.runs]))

    with pytest.raises(ConfigError, match="no base run"):
        searcher.recommend(without("base"))
    with pytest.raises(ConfigError, match=r"missing .*perturb=add.*: code x3, code x1/3"):
        searcher.recommend(without("code"))
    found = searcher.recommend(without("code x3"))
    assert any("runs are missing, their laws rest on fewer points: code x3" in w for w in found.warnings)
    plain = Ddo(world.uniform, world.tokens, DdoSettings(preset="paper"))
    with pytest.raises(ConfigError, match=r"two runs .*missing .* web x1/3"):
        plain.recommend(without("web x1/3"))


def test_a_run_that_one_seed_lacks_is_said_and_done_without(world):
    searcher = Ddo(world.uniform, world.tokens, DdoSettings(seeds=(0, 1, 2)))
    history = world.train(searcher.ask(None))  # type: ignore[arg-type]
    found = searcher.recommend(history.select(np.array([run != "web x3 seed 1" for run in history.runs])))
    assert any("missing for some seeds: web x3" in w for w in found.warnings)
    assert len(found.runs) == 26


@pytest.mark.slow
def test_runs_of_other_seeds_and_totals_change_nothing(world):
    settings = DdoSettings(objective=MeanLoss())
    searcher = Ddo(world.uniform, world.tokens, settings)
    more = Ddo(world.uniform, 2 * world.tokens, replace(settings, seeds=(0, 1))).ask(None)  # type: ignore[arg-type]
    ours = searcher.ask(None)  # type: ignore[arg-type]
    crowd = world.train([*ours, *[replace(p, role=f"other {p.role}") for p in more]])
    assert searcher.recommend(crowd).to_dict() == searcher.recommend(world.train(ours)).to_dict()


def test_an_objective_over_an_evaluation_domain_alone(world):
    weights = Mixture.from_dict({"books": 1.0})
    found = answer(world, replace(EXACT, objective=WeightedLoss(weights, "weighted:books.yaml")))
    assert found.objective == "weighted:books.yaml"
    assert set(found.other_objectives) == {"mean_ppl", "mean_loss", "worst"}


def test_an_objective_that_is_not_above_zero_is_refused(world):
    searcher = Ddo(world.uniform, world.tokens, DdoSettings(objective=MeanLoss()))
    history = world.train(searcher.ask(None))  # type: ignore[arg-type]
    flat = History(**{**history.__dict__, "losses": np.zeros_like(history.losses)})
    with pytest.raises(ConfigError, match="finite and above 0"):
        searcher.recommend(flat)


def test_the_evidence_holds_everything_that_a_plot_needs(world):
    for line in answer(world, EXACT).evidence.domains.values():
        assert len(line.points.x) == len(line.points.y) == 5
        low, middle, high = (np.array(part) for part in (line.curve.low, line.curve.y, line.curve.high))
        assert (low <= middle).all()
        assert (middle <= high).all()


@pytest.mark.slow
def test_intervals_of_weights_cover_the_truth():
    """30 sweeps of one world with measured noise: 95 % intervals hold the best weight in most cases."""
    held, count = 0, 0
    world = World(b=(1.2, 1.6, 1.0, 0.8))
    scaled = replace(world, level=1 - float(world.mean_loss(np.full(4, world.unit))) + world.level)
    best = world.best().to_dict()
    for seed in range(30):
        noisy = replace(scaled, noise=0.004, rng=np.random.default_rng(seed))
        settings = DdoSettings(objective=MeanLoss(), seeds=(0, 1, 2), replicates=300, floor=0.0)
        for domain, (low, high) in answer(noisy, settings).intervals.items():
            held += low - 1e-3 <= best[domain] <= high + 1e-3
            count += 1
    assert held / count >= 0.85


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "best"}, r"preset: .*default, paper, official"),
        ({"preset": "official", "factors": (3.0,)}, "one factor below 1"),
        ({"seeds": ()}, "seeds"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"noise": 0.0}, "noise"),
        ({"replicates": 10}, "replicates"),
    ],
)
def test_settings_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        DdoSettings(**arguments)


@pytest.mark.parametrize("tokens", [2560, 399872, 400128])
def test_the_base_run_is_the_reference_to_the_last_bit(tokens):
    """Else rounding gives the same run two identities, and a verification trains it again."""
    for count in range(2, 20):
        uniform = Mixture.uniform(f"domain {index}" for index in range(count))
        assert Ddo(uniform, tokens).ask(empty_history())[0].mixture == uniform


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
