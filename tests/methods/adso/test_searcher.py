"""ADSO on a made world: budget, resuming, stopping, and what it recommends."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.history import History, empty_history
from mixopt.methods.adso.fidelity_model import FidelityModel
from mixopt.methods.adso.scales import Ladder, Scale
from mixopt.methods.adso.searcher import Adso, AdsoSettings
from mixopt.methods.simplex.candidates import Rows
from mixopt.mixture import Mixture
from mixopt.objective import MeanLoss
from mixopt.solve import Supply
from tests.methods.world import TransferWorld

if TYPE_CHECKING:
    from mixopt.methods.base import Proposal

WORLD = TransferWorld()
SIZES = {"small": (100_000, 1.15), "big": (1_000_000, 1.0)}
LADDER = Ladder(
    (
        Scale("small", 100_000, 90_000, 0.04),
        Scale("small", 100_000, 900_000, 0.2),
        Scale("big", 1_000_000, 900_000, 1.0),
    )
)
SETTINGS = AdsoSettings(budget=2.8, batch=6, objective=MeanLoss())


def searcher(**changes: object) -> Adso:
    natural = Mixture(WORLD.domains, (0.5, 0.3, 0.2))
    return Adso(natural, LADDER, replace(SETTINGS, **changes), {"natural": natural})  # pyright: ignore[reportArgumentType]


def train(proposals: list[Proposal], before: History | None = None) -> History:
    """Small models lose 15 % more on everything; a little noise that depends on the run alone."""
    tokens = np.array([proposal.mixture.array * proposal.tokens for proposal in proposals])
    size = [SIZES[str(proposal.model)] for proposal in proposals]
    noise = [np.random.default_rng(int(1e9 * p.mixture.weights[0])).normal(0, 0.002, 3) for p in proposals]
    new = History(
        runs=tuple(str(proposal.role) for proposal in proposals),
        domains=WORLD.domains,
        eval_domains=WORLD.eval_domains,
        tokens_seen=tokens,
        losses=WORLD.losses(tokens) * np.array([[worse] for _, worse in size]) + np.array(noise),
        seeds=np.array([proposal.seed for proposal in proposals], dtype=np.int64),
        parameters=np.array([parameters for parameters, _ in size]),
    )
    if before is None:
        return new
    together = {
        name: np.concatenate([getattr(before, name), getattr(new, name)])
        for name in ("tokens_seen", "losses", "seeds", "parameters")
    }
    return replace(before, runs=before.runs + new.runs, **together)


def run(search: Adso) -> tuple[History, list[list[Proposal]]]:
    """A whole study."""
    batches = [search.ask(empty_history())]
    history = train(batches[0])
    while batch := search.ask(history):
        batches.append(batch)
        history = train(batch, history)
    return history, batches


@pytest.fixture(scope="module")
def finished() -> tuple[History, list[list[Proposal]]]:
    return run(searcher())


def costs(proposals: list[Proposal]) -> list[float]:
    return [next(s.cost for s in LADDER.scales if (s.model, s.tokens) == (p.model, p.tokens)) for p in proposals]


def test_the_initial_design_begins_with_the_baselines_at_the_cheapest_scale():
    first = searcher().ask(empty_history())
    assert len(first) == 8
    assert [proposal.mixture.weights for proposal in first[:2]] == [
        pytest.approx((1 / 3, 1 / 3, 1 / 3)),
        pytest.approx((0.5, 0.3, 0.2)),
    ]
    assert {(proposal.model, proposal.tokens) for proposal in first} == {("small", 90_000)}


@pytest.mark.slow
def test_the_budget_is_kept_and_used_and_the_target_is_run(finished):
    _, batches = finished
    spent = costs([proposal for batch in batches for proposal in batch])
    assert 2.7 < sum(spent) <= 2.8 + 1e-9
    assert spent.count(1.0) == 2


def test_runs_at_once_are_different_ones(finished):
    _, batches = finished
    for batch in batches:
        asked = [(proposal.mixture.weights, proposal.model, proposal.tokens) for proposal in batch]
        assert len(set(asked)) == len(asked)
        assert len(batch) <= 8


def test_each_run_is_explained(finished):
    _, batches = finished
    roles = [str(proposal.role) for batch in batches for proposal in batch]
    assert len(set(roles)) == len(roles)
    assert roles[0] == "#1 initial design, small, 90k tokens: 1/25 of the target"
    assert any("small, 90k tokens: costs 1/25 of the target, correlation 0." in role for role in roles[8:])
    assert any(" target: " in role for role in roles)


def test_it_recommends_nearly_the_best(finished):
    history, _ = finished
    answer = searcher().recommend(history)
    grid = np.random.default_rng(0).dirichlet(np.ones(3), 20_000)
    loss = WORLD.losses(grid * 900_000).mean(axis=1)
    found = float(WORLD.losses(answer.mixture.array * 900_000).mean())
    uniform = float(WORLD.losses(np.full(3, 300_000.0)).mean())
    assert found - loss.min() < 0.2 * (uniform - loss.min())
    predicted = answer.predicted["recommended"]
    assert predicted.low is not None
    assert predicted.high is not None
    assert predicted.low - 0.02 <= found <= predicted.high + 0.02
    assert answer.gains["uniform"].value > 0
    assert [scale.runs for scale in answer.evidence.scales][-1] == 2


def test_the_same_history_is_asked_the_same_again(finished):
    """Resuming: a table that holds the runs so far leads to the next ones."""
    history, batches = finished
    part = history.select(np.arange(len(batches[0]) + len(batches[1])))
    assert searcher().ask(part) == batches[2]


def test_it_stops_when_nothing_promises_enough(finished):
    history, _ = finished
    until_target = next(i for i, run in enumerate(history.parameters) if run == 1_000_000) + 1
    assert searcher(tolerance=0.5).ask(history.select(np.arange(until_target))) == []
    assert searcher().ask(history.select(np.arange(until_target)))


def test_without_a_target_run_it_says_so(finished):
    history, batches = finished
    answer = searcher().recommend(history.select(np.arange(len(batches[0]))))
    assert any("nothing was trained at the target (big, 900k tokens)" in warning for warning in answer.warnings)


@pytest.mark.slow
def test_caps_hold_in_runs_and_in_the_answer():
    supply = Supply({"code": 900_000, "docs": 90_000, "maths": 900_000}, 900_000, 4.0)
    search = searcher(supply=supply, budget=1.5, batch=8)
    history, batches = run(search)
    for batch in batches:
        for proposal in batch:
            assert proposal.mixture.weights[1] <= 0.4 + 1e-9
    answer = search.recommend(history)
    assert answer.mixture.weights[1] <= 0.4 + 1e-9
    assert any("at the cap" in warning and "docs" in warning for warning in answer.warnings)


def test_at_the_target_alone_it_is_bayesian_optimisation():
    natural = Mixture.uniform(WORLD.domains)
    search = Adso(natural, Ladder(LADDER.scales[-1:]), replace(SETTINGS, budget=5, batch=1))
    history, batches = run(search)
    assert [len(batch) for batch in batches] == [3, 1, 1]
    assert search.recommend(history).method == "Bayesian optimisation at the target"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"budget": 0.5}, r"budget: .*found 0.5"),
        ({"batch": 0}, r"batch: .*one run"),
        ({"tolerance": 1.0}, "tolerance: expected a share"),
        ({"floor": 0.6}, "floors"),
    ],
)
def test_refuses(wrong, message):
    with pytest.raises(ConfigError, match=message):
        searcher(**wrong)


def test_refuses_to_recommend_from_too_few_runs_and_a_baseline_by_its_own_name():
    with pytest.raises(ConfigError, match=r"3 runs or more .*found 0"):
        searcher().recommend(empty_history())
    uniform = Mixture.uniform(WORLD.domains)
    with pytest.raises(ConfigError, match="`recommended` is taken"):
        Adso(uniform, LADDER, SETTINGS, {"recommended": uniform})


@pytest.mark.slow
def test_the_better_baseline_is_run_at_the_target_once_a_mixture_was(finished):
    _, batches = run(searcher(budget=4.8, batch=1))
    at_target = [p for batch in batches for p in batch if (p.model, p.tokens) == ("big", 900_000)]
    baselines = [number for number, p in enumerate(at_target) if str(p.role).endswith(", the baseline to beat")]
    assert baselines == [1]
    # 2.717 nats/token, and the natural mixture 2.735.
    assert "target: uniform, the baseline" in str(at_target[1].role)
    assert at_target[1].mixture.weights == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    # Not where it would be the last run that is paid for.
    assert not [p for batch in finished[1] for p in batch if "baseline to beat" in str(p.role)]


@pytest.mark.slow
def test_in_a_batch_too_the_baseline_comes_once():
    _, batches = run(searcher(budget=6.8, batch=6))
    roles = [str(proposal.role) for batch in batches for proposal in batch]
    assert sum("baseline to beat" in role for role in roles) == 1


def test_every_run_has_the_search_s_seed():
    assert {proposal.seed for batch in run(searcher(seed=7))[1] for proposal in batch} == {7}


def test_hyperparameters_are_fitted_after_each_target_run_and_every_eight_cheap_ones(monkeypatch):
    fitted: list[int] = []
    fit = FidelityModel.fit

    def counting(points, losses, thetas=None):
        if thetas is None:
            fitted.append(len(points))
        return fit(points, losses, thetas)

    monkeypatch.setattr(FidelityModel, "fit", counting)
    _, batches = run(searcher(batch=1))
    ran = [proposal for batch in batches for proposal in batch]
    at_target = [number for number, p in enumerate(ran, start=1) if p.tokens * SIZES[p.model][0] == 9e11]
    assert fitted[0] == 8
    assert set(at_target) <= {*fitted, len(ran)}
    assert max(np.diff(fitted)) <= 8


def test_a_table_of_mixtures_is_chosen_from_as_the_simplex_is():
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(3), 60)
    places = {scale.place: np.ones(60, dtype=bool) for scale in LADDER.scales}
    places[LADDER.target.place][30:] = False
    rows = Rows(WORLD.domains, weights, places, LADDER.target.place)
    natural = Mixture(WORLD.domains, (0.5, 0.3, 0.2))
    search = Adso(natural, LADDER, replace(SETTINGS, batch=1), {"natural": natural}, rows)
    history, batches = run(search)
    for proposal in (p for batch in batches for p in batch):
        away = np.abs(weights - proposal.mixture.array).sum(axis=1)
        assert away.min() < 1e-9
        assert places[proposal.model, proposal.tokens][away.argmin()]
    found = search.recommend(history).mixture.array
    losses = WORLD.losses(900_000 * weights[:30]).mean(axis=1)
    np.testing.assert_allclose(found, weights[:30][np.abs(weights[:30] - found).sum(axis=1).argmin()])
    assert losses[np.abs(weights[:30] - found).sum(axis=1).argmin()] <= np.sort(losses)[2]
