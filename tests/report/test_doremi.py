"""The picture of DoReMi's proxies shows what they did, round by round."""

from __future__ import annotations

import numpy as np
import pytest

from mixopt.methods.doremi.evidence import weights_figure
from mixopt.methods.doremi.rounds import DoremiSettings, ProxyPath, Round, recommend
from mixopt.mixture import Mixture
from mixopt.report.png import draw

NAMES = tuple(f"domain {k}" for k in range(9))


def answer(rounds: int, seeds: int = 1):
    rng = np.random.default_rng(0)
    made = []
    for _ in range(rounds):
        paths = []
        for seed in range(seeds):
            alpha = rng.dirichlet(np.ones(9), size=30)
            average = alpha.cumsum(axis=0) / np.arange(1, 31)[:, None]
            paths.append(ProxyPath(f"p{seed}", 1000 * np.arange(1, 31), alpha, average, rng.uniform(size=(30, 9))))
        made.append(Round(Mixture.uniform(NAMES), ("r",) * seeds, tuple(paths)))
    settings = DoremiSettings(
        eta=1.0,
        smoothing=1e-3,
        sampling=Mixture.uniform(NAMES),
        tokens=30_000,
        batch_sequences=8,
        epochs=dict.fromkeys(NAMES, 1.0),
        max_epochs=4,
        rounds=rounds,
    )
    return recommend(made, settings, {}), made


@pytest.mark.parametrize(("rounds", "columns"), [(1, 1), (2, 2), (6, 4)])
def test_each_round_has_its_weights_above_and_its_excess_below(rounds: int, columns: int) -> None:
    recommendation, made = answer(rounds)
    axes = np.array(draw(weights_figure(recommendation, recommendation.evidence)).axes).reshape(2, columns)
    path = made[-1].proxies[0]
    order = np.argsort(-recommendation.mixture.array)
    weights, excess = axes[:, -1]
    assert len(weights.lines) == 18
    for place, domain in enumerate(order):
        np.testing.assert_array_equal(weights.lines[place].get_ydata(), path.alpha[:, domain])
        np.testing.assert_array_equal(weights.lines[9 + place].get_ydata(), path.average[:, domain])
        np.testing.assert_array_equal(excess.lines[place].get_ydata(), path.excess[:, domain])
    assert weights.get_title(loc="left").startswith(f"round {rounds}, greatest change 0.")


def test_domains_are_told_apart_and_listed_by_the_answer_s_weight() -> None:
    recommendation, _ = answer(1, seeds=2)
    figure = draw(weights_figure(recommendation, recommendation.evidence))
    (legend,) = figure.legends
    shares = [float(text.get_text().split()[-1]) for text in legend.get_texts()]
    assert shares == sorted(shares, reverse=True)
    assert shares == pytest.approx(sorted(recommendation.mixture.weights, reverse=True), abs=5e-4)
    looks = {(line.get_color(), str(line.get_linestyle())) for line in figure.axes[0].lines}
    assert len(looks) == 9
