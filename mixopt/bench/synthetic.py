"""Made tables, where it is known how cheap runs and target runs go together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixopt.bench.base import Table
from mixopt.bench.csv_runs import priced
from mixopt.bench.surrogate import surrogate_table

if TYPE_CHECKING:
    from mixopt.arrays import Floats

_DOMAINS = ("web", "code", "books", "law", "maths")
_MIXTURES = 200
_SCALES = [(1_000_000, 1_000_000_000), (60_000_000, 1_000_000_000)]
_LADDER = [(size * 10**6, tokens * 10**6) for size in (1, 10, 60) for tokens in (60, 250, 1000)]


def agreeing() -> Table:
    """Cheap runs rank mixtures nearly as the target does."""
    return _made("agreeing", sign=1.0)


def misleading() -> Table:
    """Cheap runs rank mixtures nearly the other way round: what is best at the target looks worst at 1M."""
    return _made("misleading", sign=-1.0)


def drawn() -> Table:
    """Three sizes, each at three lengths that are points of one run; which mixture is best shifts with both."""
    table = surrogate_table(drawn_losses, _DOMAINS, _LADDER, pool=_MIXTURES)
    return replace(table, name="drawn", source=f"made: {_MIXTURES} mixtures of {len(_DOMAINS)} domains")


def drawn_losses(weights: Floats, parameters: int, tokens: int) -> Floats:
    """(M, V) losses of mixtures (M, K): L_v = ε_v + (1 + h_v / N)^(−1) β_v (s_v + t m_v)^(−α_v) + noise.

    N is the size in millions and t the length in billions. Some domains are hard (h_v): small models learn little
    of them. Some are saturated early (s_v), so that more of them is worth less in a long run. m_v = Σ_k κ_vk w_k;
    the noise is a fiftieth of the spread over mixtures.
    """
    rng, count = np.random.default_rng(29), len(_DOMAINS)
    floor, amplitude = rng.uniform(1.5, 3.0, count), rng.uniform(0.3, 0.9, count)
    exponent, hardness, start = (
        rng.uniform(0.2, 0.6, count),
        np.geomspace(0.3, 30, count),
        rng.uniform(0.01, 0.3, count),
    )
    teaches = np.where(np.eye(count, dtype=bool), 1.0, rng.uniform(0.02, 0.3, (count, count)))
    learned = amplitude / (1 + hardness / (parameters / 1e6))
    losses = (
        floor + 2 * (parameters / 1e6) ** -0.1 + learned * (start + tokens / 1e9 * weights @ teaches.T) ** -exponent
    )
    noise = np.random.default_rng([parameters, tokens]).standard_normal(losses.shape)
    return losses + 0.02 * losses.std(axis=0) * noise


def _made(name: str, sign: float) -> Table:
    """Each domain's loss falls with its effective tokens m_v = Σ_k κ_vk w_k, as L_v = ε_v + β_v m_v^(−α_v).

    The cheap loss is a level plus `sign` times the target's deviation from its mean, plus a twentieth of noise.
    """
    rng = np.random.default_rng(17)
    count = len(_DOMAINS)
    mixtures = rng.dirichlet(np.full(count, 0.7), _MIXTURES)
    floor, amplitude = rng.uniform(1.5, 3.0, count), rng.uniform(0.4, 1.2, count)
    exponent = rng.uniform(0.2, 0.6, count)
    teaches = np.where(np.eye(count, dtype=bool), 1.0, rng.uniform(0.02, 0.3, (count, count)))
    target = floor + amplitude * (mixtures @ teaches.T) ** -exponent
    deviation = target - target.mean(axis=0)
    noise = 0.05 * deviation.std(axis=0) * rng.standard_normal(target.shape)
    cheap = 2.0 + target.mean(axis=0) + sign * deviation + noise
    return Table(
        name=name,
        domains=_DOMAINS,
        eval_domains=_DOMAINS,
        mixtures=mixtures / mixtures.sum(axis=1, keepdims=True),
        fidelities=priced(_SCALES),
        losses=np.stack([cheap, target]),
        source=f"made: {_MIXTURES} mixtures of {count} domains",
    )
