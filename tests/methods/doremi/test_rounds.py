"""DoReMi's answer from what proxies did: mean, intervals, convergence, and the doubts that it tells of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mixopt.methods.doremi.rounds import DoremiSettings, ProxyPath, Round, recommend
from mixopt.mixture import Mixture
from mixopt.trace import Moment, PolicyTrace

NAMES = ("books", "code", "web")
UNIFORM = Mixture.uniform(NAMES)
SETTINGS = DoremiSettings(
    eta=1.0,
    smoothing=1e-3,
    sampling=UNIFORM,
    tokens=1_000_000,
    batch_sequences=64,
    epochs=dict.fromkeys(NAMES, 1.0),
    max_epochs=4,
    rounds=1,
)


def path(final, run="p0", alpha=None, start=None):
    """A proxy of 20 moments whose average goes straight from `start` to `final` in the first half, and stays."""
    share = np.minimum(np.linspace(0.1, 2, 20), 1)[:, None]
    average = share * np.array(final) + (1 - share) * np.array(final if start is None else start)
    weights = average if alpha is None else np.broadcast_to(np.array(alpha), average.shape)
    return ProxyPath(run, 50_000 * np.arange(1, 21), weights, average, np.full((20, 3), 0.1))


def one_round(*finals, reference=UNIFORM, **changes):
    proxies = tuple(path(final, f"p{seed}", **changes) for seed, final in enumerate(finals))
    return Round(reference, tuple(f"r{seed}" for seed in range(len(finals))), proxies)


def warnings(*rounds, **changes):
    return recommend(rounds, replace(SETTINGS, **changes), {}).warnings


def test_the_answer_is_the_mean_of_the_seeds_averages_with_student_s_interval():
    finals = [(0.5, 0.3, 0.2), (0.6, 0.25, 0.15), (0.52, 0.3, 0.18)]
    answer = recommend([one_round(*finals)], SETTINGS, {"uniform": UNIFORM})
    books = [final[0] for final in finals]
    assert answer.mixture.to_dict() == pytest.approx({"books": 0.54, "code": 0.85 / 3, "web": 0.53 / 3})
    expected = stats.t.interval(0.95, 2, np.mean(books), stats.sem(books))
    assert answer.intervals["books"] == pytest.approx(expected)
    assert answer.warnings == ()
    assert answer.runs == ("r0", "r1", "r2", "p0", "p1", "p2")
    assert answer.predicted == {}
    assert answer.baselines == {"uniform": UNIFORM}
    assert answer.evidence.rounds[0].average["code"][-1] == 0.3


def test_intervals_stay_on_the_simplex():
    ends = recommend([one_round((0.98, 0.01, 0.01), (0.5, 0.49, 0.01))], SETTINGS, {}).intervals
    assert all(0 <= low <= high <= 1 for low, high in ends.values())


def test_a_round_has_converged_when_no_weight_differs_from_its_reference_by_a_thousandth():
    reference = Mixture(NAMES, (0.5, 0.3, 0.2))
    assert one_round((0.5005, 0.2995, 0.2), reference=reference).converged
    moved = one_round((0.51, 0.29, 0.2), reference=reference)
    assert not moved.converged
    assert moved.change == pytest.approx(0.01)


def test_a_path_is_read_from_a_trace():
    parts = [
        {name: dict(zip(NAMES, (k, k + 1.0, k + 2.0), strict=True)) for name in ("alpha", "average", "excess")}
        for k in range(2)
    ]
    moments = tuple(Moment(step=k, tokens=256 * (k + 1), parts=part) for k, part in enumerate(parts))
    trace = PolicyTrace(
        policy="group_dro",
        settings={},
        domains=NAMES,
        steps=np.arange(2),
        weights=np.full((2, 3), 1 / 3, dtype=np.float32),
        moments=moments,
    )
    found = ProxyPath.of("p0", trace)
    assert found.tokens.tolist() == [256, 512]
    assert found.excess.tolist() == [[0, 1, 2], [1, 2, 3]]


def test_a_sound_answer_of_several_seeds_has_no_warning():
    assert warnings(one_round((0.5, 0.3, 0.2), (0.5, 0.3, 0.2))) == ()


def test_one_seed_is_told():
    (sentence,) = warnings(one_round((0.5, 0.3, 0.2)))
    assert sentence.startswith("one seed:")


def test_collapse_to_one_domain_is_explained_by_eta_batch_and_tokens():
    collapsed = one_round((0.97, 0.02, 0.01), (0.97, 0.02, 0.01))
    (sentence,) = warnings(collapsed, batch_sequences=6)
    assert sentence.startswith("collapsed to one domain: books has 0.97 of the averaged weight")
    for advice in ("6 sequences, 2 of books on average", "larger training.batch_tokens", "--eta 0.1", "more --tokens"):
        assert advice in sentence
    (gentle,) = warnings(collapsed, eta=0.1)
    assert "--eta" not in gentle
    assert "batch_tokens" not in gentle


def test_weights_that_jump_between_single_domains_are_told():
    jumping = one_round((0.5, 0.3, 0.2), (0.5, 0.3, 0.2), alpha=(0.98, 0.01, 0.01))
    (sentence,) = warnings(jumping)
    assert "collapsed to one domain at a time: in 100% of the moments" in sentence


def test_an_average_that_still_moves_is_told():
    moving = Round(UNIFORM, ("r0", "r1"), (path((0.5, 0.3, 0.2)), path((0.5, 0.3, 0.2))))
    for proxy in moving.proxies:
        proxy.average[-1] = (0.56, 0.26, 0.18)
    (sentence,) = warnings(moving)
    assert "the weight of books moved by +0.060 in the last quarter" in sentence


def test_weights_that_never_left_uniform_are_told():
    (sentence,) = warnings(one_round((0.335, 0.333, 0.332), (0.335, 0.333, 0.332)))
    assert "within 0.01 of uniform, where DoReMi begins" in sentence


def test_rounds_that_did_not_converge_are_told_where_more_than_one_was_wanted():
    final = (0.5, 0.3, 0.2)
    rounds = [one_round(final, final), one_round(final, final, reference=Mixture(NAMES, (0.4, 0.35, 0.25)))]
    (sentence,) = warnings(*rounds, rounds=2)
    assert sentence.startswith("not converged: round 2 changed a weight by 0.100")
    assert warnings(rounds[0], rounds=1) == ()
    assert warnings(rounds[0], one_round(final, final, reference=Mixture(NAMES, final)), rounds=2) == ()


def test_a_domain_that_the_answer_repeats_too_often_is_told():
    epochs = {"books": 12.0, "code": 1.0, "web": 1.0}
    (sentence,) = warnings(one_round((0.5, 0.3, 0.2), (0.5, 0.3, 0.2)), epochs=epochs)
    assert "1M tokens of this mixture repeat books 6.0 times, and 4 are allowed" in sentence
