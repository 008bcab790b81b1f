"""What every search method must do, from its first question to its answer. A new one is a line in `METHODS`.

The text before a comma is the method's name in the registry.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.history import History, RunTrace, empty_history
from mixopt.methods.adso.scales import Ladder, Scale
from mixopt.methods.adso.searcher import Adso, AdsoSettings
from mixopt.methods.autoscale.searcher import AutoScale
from mixopt.methods.base import Recommendation, Role, search_loop
from mixopt.methods.ddo.design import Design
from mixopt.methods.ddo.joint import JointDdo
from mixopt.methods.ddo.searcher import Ddo, DdoSettings
from mixopt.methods.doremi.rounds import DoremiSettings
from mixopt.methods.doremi.searcher import Doremi
from mixopt.methods.registry import method_names
from mixopt.methods.simplex.designs import DesignSettings
from mixopt.methods.swarm.evidence import Extended
from mixopt.methods.swarm.extension import VIRTUAL, Extension, Frozen
from mixopt.methods.swarm.fit import regressors_of
from mixopt.methods.swarm.searcher import OneShot, OneShotSettings
from mixopt.mixture import Mixture
from mixopt.objective import MeanLoss
from mixopt.trace import Moment, PolicyTrace
from tests.methods.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixopt.methods.base import Proposal, Searcher

WORLD = World()
TOKENS, SHORT = WORLD.tokens, WORLD.tokens // 4
NATURAL = Mixture(WORLD.domains, (0.4, 0.3, 0.2, 0.1))
FROZEN = Frozen(WORLD.domains, Mixture(WORLD.domains[:3], (0.5, 0.3, 0.2)))


def one_shot(law: str | None, **settings: object) -> OneShot:
    regressors = None if law is None else regressors_of(law)
    return OneShot(NATURAL, TOKENS, OneShotSettings(regressors=regressors, replicates=100, **settings))


def sequential(*scales: Scale) -> Adso:
    return Adso(WORLD.uniform, Ladder(scales), AdsoSettings(budget=4, batch=2))


def extension() -> Extension:
    natural, alone = Mixture(FROZEN.coordinates, (0.8, 0.2)), Mixture(FROZEN.coordinates, (1.0, 0.0))
    settings = OneShotSettings(
        design=DesignSettings(runs=8), regressors=regressors_of("loglinear"), objective=MeanLoss(), replicates=100
    )
    inner = OneShot(natural, TOKENS, settings, {"uniform": natural, VIRTUAL: alone}, WORLD.domains)
    shares = FROZEN.earlier.to_dict()
    return Extension(FROZEN, inner, [], Extended(study="abc", runs=(), differences=(), shares=shares))


def doremi() -> Doremi:
    settings = DoremiSettings(
        eta=1.0,
        smoothing=1e-3,
        sampling=WORLD.uniform,
        tokens=TOKENS,
        batch_sequences=64,
        epochs=dict.fromkeys(WORLD.domains, 1.0),
        max_epochs=4.0,
        rounds=3,
    )
    return Doremi(NATURAL, settings, (0, 1), {"uniform": WORLD.uniform})


DDO = DdoSettings(replicates=100)
SWARM, TARGET = DesignSettings(runs=16), Scale(None, 0, TOKENS, 1.0)

METHODS = {
    "ddo": lambda: Ddo(WORLD.uniform, TOKENS, DDO),
    "ddo, held total": lambda: Ddo(WORLD.uniform, TOKENS, DdoSettings(perturb="replace", replicates=100)),
    "ddo, seeds and a floor": lambda: Ddo(
        WORLD.uniform, TOKENS, DdoSettings(seeds=(0, 1), floor="0.4x", replicates=100)
    ),
    "ddo, joint law": lambda: JointDdo(WORLD.uniform, TOKENS, DDO),
    "autoscale": lambda: AutoScale([Design(WORLD.uniform, tokens) for tokens in (SHORT, TOKENS)], 8 * TOKENS, DDO),
    "auto": lambda: one_shot("auto", design=SWARM),
    "random": lambda: one_shot(None, design=DesignSettings(runs=12), seeds=(0, 1)),
    "random, confirmed": lambda: one_shot(None, design=DesignSettings(runs=8), confirm=2),
    "grid": lambda: one_shot(None, design=DesignSettings(kind="lattice", step=0.5)),
    "loglinear, a floor and a pull": lambda: one_shot("loglinear", design=SWARM, floor="0.4x", kl=0.05),
    "loglinear, extended": extension,
    "mixing-law": lambda: one_shot("mixing-law", design=DesignSettings(runs=24), objective=MeanLoss()),
    "regmix": lambda: one_shot("regmix", design=DesignSettings(runs=20)),
    "gp": lambda: one_shot("gp", design=DesignSettings(kind="sobol", runs=8)),
    "adso": lambda: sequential(Scale("small", 10, SHORT, 0.1), Scale(None, 40, TOKENS, 1.0)),
    "tokens-only": lambda: sequential(Scale(None, 0, SHORT, 0.25), TARGET),
    "single-fidelity": lambda: sequential(TARGET),
    "doremi": doremi,
}
SLOW = {"auto", "autoscale", "gp", "regmix", "adso", "tokens-only"}
SIZES = {"small": 10}
# They fit hyperparameters to the runs that came first; histories have their rows in the order of asking.
IN_ORDER = {"adso", "tokens-only"}


@dataclass(frozen=True)
class Run:
    """A proposal that was planned: known by what is trained, and not by what it is for."""

    proposal: Proposal

    @property
    def run_id(self) -> str:
        p = self.proposal
        asked = (p.mixture.to_dict(), p.tokens, p.seed, p.unique_tokens, p.model, p.policy)
        return sha256(repr(asked).encode()).hexdigest()[:12]


@dataclass
class Finished:
    """A search that came to its end: the histories that it was asked about, what it asked for, and its answer."""

    searcher: Searcher
    runs: dict[str, Run] = field(default_factory=dict)
    asked: list[tuple[History, list[Proposal]]] = field(default_factory=list)

    def plan(self, proposals: Sequence[Proposal]) -> list[Run]:
        self.asked.append((self.history, list(proposals)))
        return [Run(proposal) for proposal in proposals]

    def do(self, runs: Sequence[Run]) -> None:
        assert len(self.asked) < 100
        self.runs |= {run.run_id: run for run in runs}

    def history_of(self, run_ids: Sequence[str]) -> History:
        self.history = measured([self.runs[run_id] for run_id in run_ids], self.runs)
        return self.history


def measured(runs: Sequence[Run], known: dict[str, Run]) -> History:
    """The world's answer, the same for a run whenever it is made."""
    if not runs:
        return empty_history()
    asked = [run.proposal for run in runs]
    noise = [np.random.default_rng(int(run.run_id, 16)).standard_normal() for run in runs]
    tokens = np.array([proposal.mixture.array * proposal.tokens for proposal in asked])
    losses = WORLD.mean_loss(tokens)[:, None] + np.linspace(-0.4, 0.4, len(WORLD.domains))
    return History(
        runs=tuple(run.run_id for run in runs),
        domains=WORLD.domains,
        eval_domains=WORLD.domains,
        tokens_seen=tokens,
        losses=losses * (1 + 1e-3 * np.array(noise)[:, None]),
        seeds=np.array([proposal.seed for proposal in asked]),
        parameters=np.array([SIZES.get(proposal.model or "", 40) for proposal in asked]),
        traces={run.run_id: traced(run, known) for run in runs if run.proposal.policy},
    )


def traced(run: Run, known: dict[str, Run]) -> RunTrace:
    """A proxy whose weights come nearer to uniform than those of its reference."""
    policy, domains = run.proposal.policy, WORLD.domains
    assert policy is not None
    assert policy.reference is not None
    reference = known[policy.reference].proposal
    assert reference.keep
    average = 0.1 * reference.mixture.array + 0.9 * WORLD.uniform.array
    parts = {name: dict(zip(domains, average.tolist(), strict=True)) for name in ("alpha", "average", "excess")}
    moments = tuple(Moment(step=step, tokens=TOKENS * step, parts=parts) for step in (0, 1))
    nothing = np.zeros((0, len(domains)), dtype=np.float32)
    trace = PolicyTrace(
        policy="group_dro", settings={}, domains=domains, steps=np.arange(0), weights=nothing, moments=moments
    )
    return RunTrace(trace, policy.reference)


@cache
def search(name: str) -> tuple[Finished, Recommendation]:
    found = Finished(METHODS[name]())
    return found, search_loop(found.searcher, found.plan, found.do, found.history_of)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in METHODS])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_method_and_law_of_the_registry_is_a_case():
    assert {name.split(",")[0] for name in METHODS} >= set(method_names())


def test_proposals_are_runs_that_can_be_trained(name):
    found, _ = search(name)
    for _, proposals in found.asked:
        for proposal in proposals:
            assert proposal.mixture.domains == WORLD.domains
            assert all(type(weight) is float and weight >= 0 for weight in proposal.mixture.weights)
            assert sum(proposal.mixture.weights) == pytest.approx(1, abs=1e-9)
            assert type(proposal.tokens) is int
            assert proposal.tokens > 0
            assert type(proposal.seed) is int
            assert isinstance(proposal.role, Role)
            assert proposal.role.kind


def test_a_run_is_never_asked_for_in_another_role(name):
    found, _ = search(name)
    roles: dict[str, Role] = {}
    for _, proposals in found.asked:
        for proposal in proposals:
            assert roles.setdefault(Run(proposal).run_id, proposal.role) == proposal.role


def test_what_it_asks_follows_from_the_history_alone(name):
    found, _ = search(name)
    fresh, rng = METHODS[name](), np.random.default_rng(0)
    for history, proposals in reversed(found.asked):
        before = history.losses.copy(), history.tokens_seen.copy()
        order = np.arange(len(history)) if name in IN_ORDER else rng.permutation(len(history))
        assert fresh.ask(history.select(order)) == proposals
        np.testing.assert_array_equal((history.losses, history.tokens_seen), before)


def test_what_it_answers_follows_from_the_history_alone_in_any_order_of_rows(name):
    found, answer = search(name)
    order = np.random.default_rng(1).permutation(len(found.history))
    again = METHODS[name]().recommend(found.history.select(order))
    np.testing.assert_allclose(again.mixture.array, answer.mixture.array, atol=1e-9)
    assert again.runs == answer.runs
    assert again.predicted.keys() == answer.predicted.keys()
    for of, estimate in answer.predicted.items():
        assert vars(again.predicted[of]) == pytest.approx(vars(estimate))


def test_the_answer_is_whole(name):
    found, answer = search(name)
    assert answer.mixture.domains == WORLD.domains
    assert set(answer.intervals) == set(WORLD.domains)
    for domain, (low, high) in answer.intervals.items():
        assert 0 <= low <= answer.mixture.to_dict()[domain] <= high <= 1
    assert "uniform" in answer.baselines
    assert not answer.predicted or set(answer.predicted) >= {"recommended", "uniform"}
    assert answer.runs
    assert set(answer.runs) <= set(found.history.runs)


def test_weights_stay_within_bounds(name):
    _, answer = search(name)
    for domain, weight in answer.mixture.to_dict().items():
        assert answer.floors.get(domain, 0) - 1e-9 <= weight <= answer.caps.get(domain, 1) + 1e-9


def test_the_answer_goes_through_json_and_back_unharmed(name):
    _, answer = search(name)
    content = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
    assert {"weights", "intervals", "predicted", "gains", "warnings", "runs", "evidence"} <= set(content)
    assert Recommendation.from_dict(content, type(answer.evidence)) == answer


def test_without_runs_it_says_what_is_missing(name):
    with pytest.raises(ConfigError, match="run"):
        METHODS[name]().recommend(empty_history())
