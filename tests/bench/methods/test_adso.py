"""ADSO in a replay: what it buys, and that it depends on nothing but what was paid for."""

from __future__ import annotations

import numpy as np
import pytest

from mixopt.bench.ledger import Ledger
from mixopt.bench.methods.adso import Adso
from mixopt.bench.replay import replay
from mixopt.bench.tables import find_table
from mixopt.errors import ConfigError
from mixopt.methods.adso.choice import ChoiceSettings
from tests.bench.made import OBJECTIVE, made_problem, made_table

WEB = np.eye(5)[0]


def test_cheap_runs_first_then_the_target():
    table = find_table("agreeing")
    found = replay(Adso(table.problem(WEB)), table, WEB, seed=0, top=3, budget=2.0)
    assert (found.fidelity[:8] == 0).all()
    assert found.regret[-1] < 0.05 * found.regret[0]
    first = int(np.argmax(found.fidelity == 1))
    assert found.spent[first] - 1 < 0.52  # the guard on cheap runs
    assert found.spent[-1] <= 2.0


def test_a_new_method_goes_on_as_the_old_one():
    """What is kept from call to call saves time alone."""
    table = find_table("agreeing")
    ledger, kept = Ledger(table, WEB, 3, 10.0), Adso(table.problem(WEB))
    for _ in range(14):
        purchase = kept.next(ledger.view())
        assert purchase is not None
        ledger.buy(purchase.mixture, purchase.fidelity)
    view = ledger.view()
    new = Adso(table.problem(WEB))
    assert new.next(view) == kept.next(view)
    assert new.recommend(view) == kept.recommend(view)
    assert new.recommend(view) in view.problem.candidates


def test_single_fidelity_buys_at_the_target_alone():
    table = made_table(12)
    method = Adso(made_problem(table), "single-fidelity")
    found = replay(method, table, OBJECTIVE, seed=0, top=1, budget=6.0)
    assert found.fidelity.tolist() == [2] * 6
    assert len(set(found.mixture.tolist())) == 6


def test_points_of_curves_come_with_their_run():
    table = made_table(12, curves=True)
    found = replay(Adso(made_problem(table)), table, OBJECTIVE, seed=0, top=1, budget=3.0)
    assert found.spent[-1] <= 3.0
    assert 2 in found.fidelity


def test_it_ends_when_all_is_bought():
    table = made_table(4)
    method = Adso(made_problem(table), settings=ChoiceSettings(initial=2))
    found = replay(method, table, OBJECTIVE, seed=0, top=1, budget=100.0)
    assert len(found.spent) == 12


def test_tokens_only_needs_shorter_runs_of_the_targets_size():
    with pytest.raises(ConfigError, match=r"tokens-only: .*fewer tokens"):
        Adso(made_problem(made_table()), "tokens-only")
