"""Made tables, where it is known how cheap runs and target runs go together."""

from __future__ import annotations

import numpy as np

from mixopt.bench.base import Table
from mixopt.bench.csv_runs import priced

_DOMAINS = ("web", "code", "books", "law", "maths")
_MIXTURES = 200
_SCALES = [(1_000_000, 1_000_000_000), (60_000_000, 1_000_000_000)]


def agreeing() -> Table:
    """Cheap runs rank mixtures nearly as the target does."""
    return _made("agreeing", sign=1.0)


def misleading() -> Table:
    """Cheap runs rank mixtures nearly the other way round: what is best at the target looks worst at 1M."""
    return _made("misleading", sign=-1.0)


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
