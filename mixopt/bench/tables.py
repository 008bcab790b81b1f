"""Tables that can be replayed by name: published runs that ship with mixopt, and made ones."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files

import numpy as np

from mixopt.arrays import Floats
from mixopt.bench.base import Table
from mixopt.bench.csv_runs import LabelledRuns, priced, read_labelled, table_of
from mixopt.bench.surrogate import surrogate_table
from mixopt.errors import ConfigError

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


_REGMIX = "RegMix (Liu et al. 2024, arXiv 2407.01492), github.com/sail-sg/regmix at b004d3a, MIT licence"


@cache
def _regmix() -> LabelledRuns:
    """All of RegMix's published runs on 17 domains of the Pile: 768 of 1M parameters, 256 of 60M, 64 of 1B.

    `regmix.csv` joins the published weights and losses by index; the losses are rounded to nine significant digits
    (they were float32). Mixtures are `train-N` and `test-N` (1M and 60M) or `large-N` (1B).
    """
    with as_file(files("mixopt.bench").joinpath("data", "regmix.csv")) as path:
        return replace(read_labelled(path), notes=("published weights are rounded; each row is divided by its sum",))


def _of(runs: LabelledRuns, kinds: tuple[str, ...], name: str) -> Table:
    labels = runs.labels if runs.labels is not None else np.zeros(0, dtype=str)
    chosen = runs.select(np.array([label.startswith(kinds) for label in labels.tolist()]))
    return table_of(chosen, name, source=_REGMIX)


def regmix_60m() -> Table:
    """256 mixtures, each at 1M and at 60M parameters, both for 1B tokens."""
    return _of(_regmix(), ("test-",), "regmix-60m")


def regmix_1b() -> Table:
    """64 mixtures at 1B parameters for 25B tokens; 768 others at 1M for 1B tokens, 256 of them at 60M too."""
    return _of(_regmix(), ("train-", "test-", "large-"), "regmix-1b")


# A table is a line here.
TABLES: dict[str, Callable[[], Table]] = {
    "regmix-60m": regmix_60m,
    "regmix-1b": regmix_1b,
    "agreeing": agreeing,
    "misleading": misleading,
    "drawn": drawn,
}


def find_table(name: str) -> Table:
    """The table called `name`.

    Raises:
        ConfigError: there is none; the message gives the nearest name.
    """
    if name not in TABLES:
        near = difflib.get_close_matches(name, TABLES, n=1, cutoff=0.4)
        raise ConfigError(f"table: expected {', '.join(near or TABLES)}, or --csv FILE, found {name!r}")
    return TABLES[name]()


def with_costs(table: Table, text: str) -> Table:
    """The table with other costs, such as measured ones.

    Args:
        text: a cost for each fidelity in the table's order, in target runs: `0.145,1`.

    Raises:
        ConfigError: not as many numbers, or numbers that do not ascend to 1.
    """
    names = ", ".join(fidelity.name for fidelity in table.fidelities)
    try:
        costs = [float(cost) for cost in text.split(",")]
    except ValueError:
        costs = []
    if len(costs) != len(table.fidelities):
        raise ConfigError(f"costs: expected {len(table.fidelities)} numbers ({names}), found {text!r}")
    fidelities = tuple(replace(f, cost=cost) for f, cost in zip(table.fidelities, costs, strict=True))
    return replace(table, fidelities=fidelities)
