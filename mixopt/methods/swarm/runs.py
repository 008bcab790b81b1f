"""A swarm: finished runs of different mixtures at one scale, repeats over seeds taken together.

Symbols: R runs, C different mixtures, K training domains, V evaluation domains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats, Ints
from mixopt.errors import ConfigError
from mixopt.history import RunEffects
from mixopt.methods.base import Noise
from mixopt.mixture import total_variation
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.objective import Objective

# Repeats of a mixture see the same tokens to a sequence or so.
_REPEAT = 0.0025
# Lengths of runs at one scale; whole batches and published roundings move them.
_ONE_LENGTH = 1.05
_STILL = 1e-9


@dataclass(frozen=True, eq=False)
class Swarm:
    """What a law of mixtures is fitted to."""

    history: History  # the runs, in the order of their names
    index: Ints  # (R,) the mixture of each
    weights: Floats  # (C, K) mixtures
    losses: Floats  # (C, V) losses at the average seed, nats/token
    layout: RunEffects  # runs to mixtures; shifts that runs of one seed share are taken out
    trained: tuple[str, ...]  # names of the domains trained on

    @classmethod
    def of(cls, history: History, trained: Sequence[str] | None = None) -> Swarm:
        """Group runs by mixture.

        Args:
            trained: domains trained on, where the history's weights are of other things; None for its own.

        Raises:
            ConfigError: no runs, models of several sizes, or runs of several lengths.
        """
        if not len(history):
            raise ConfigError("history: no run is finished, so there is nothing to recommend from")
        sizes = sorted(set(history.parameters.tolist()))
        if len(sizes) > 1:
            raise ConfigError(
                f"history: the runs are of models with {sizes[0]} and {sizes[1]} parameters, and a law of mixtures "
                "is of one size; choose one with --params"
            )
        shortest, longest = history.tokens.min(), history.tokens.max()
        if longest > _ONE_LENGTH * shortest:
            raise ConfigError(
                f"history: the runs are {format_count(shortest)} to {format_count(longest)} tokens long, and a law "
                "of mixtures is of one length; keep the runs of one"
            )
        runs = history.select(np.argsort(np.array(history.runs, dtype=np.str_), kind="stable"))
        index = _group(runs.weights)
        again = np.argsort(index, kind="stable")
        runs, index = runs.select(again), index[again]
        count = int(index.max()) + 1
        layout = RunEffects.of(index, runs.seeds, count)
        weights = np.stack([runs.weights[index == cell].mean(axis=0) for cell in range(count)])
        return cls(runs, index, weights, layout.operator @ runs.losses, layout, tuple(trained or runs.domains))

    def __len__(self) -> int:
        return len(self.weights)

    def objective(self, objective: Objective) -> Floats:
        """(C,) the objective of each mixture at the average seed.

        Raises:
            ConfigError: it names a domain with no loss, or is the same for every mixture.
        """
        values = objective.value(self.losses, self.history.eval_domains, self.trained)
        if len(self) > 1 and np.ptp(values) <= _STILL * np.abs(values).max():
            raise ConfigError(
                f"objective {objective.name}: it is {values[0]:.6g} for each of {len(self)} mixtures, so nothing "
                "tells them apart; check the losses, or choose another objective"
            )
        return values

    def noise(self, objective: Objective) -> float | None:
        """Standard deviation of one run's objective; None where no mixture is repeated."""
        return self.layout.noise(objective.value(self.history.losses, self.history.eval_domains, self.trained))

    def run_noise(self, objective: Objective) -> Noise | None:
        """The same as a share of the mean objective, with what it rests on."""
        noise = self.noise(objective)
        mean = float(np.abs(self.objective(objective)).mean())
        return None if noise is None else Noise(noise / mean, self.layout.freedom, "repeats")

    @property
    def rounding(self) -> float:
        """How far a run may be from the mixture asked for (total variation), as it holds whole sequences."""
        seen = self.history.tokens_seen
        unit = float(np.gcd.reduce(np.rint(seen).astype(np.int64).ravel()))
        return max(_REPEAT, 0.5 * seen.shape[1] * unit / float(seen.sum(axis=1).min()))

    def runs_of(self, cell: int) -> list[str]:
        """Names of the runs of one mixture."""
        return [self.history.runs[row] for row in np.flatnonzero(self.index == cell)]


def check_varied(where: str, domains: Sequence[str], weights: Floats, caps: Floats) -> None:
    """Refuse mixtures that never change the share of a domain that the answer may use.

    Args:
        weights: (C, K) mixtures.
        caps: (K,) most that the answer may give each domain.

    Raises:
        ConfigError: such a domain.
    """
    for domain, shares, cap in zip(domains, weights.T, caps, strict=True):
        if np.ptp(shares) < _STILL < cap and len(weights) > 1:
            raise ConfigError(
                f"{where}: every run has the same share of {domain!r} ({shares[0]:.4g}), so nothing tells what "
                "it is worth; add runs with more and with less of it"
            )


def check_duplicates(history: History) -> None:
    """Refuse a run that is in a table twice under two names: it would count as a repeat without noise.

    Raises:
        ConfigError: two runs of one seed have the same mixture, length and losses.
    """
    seen: dict[bytes, str] = {}
    for row, run in enumerate(history.runs):
        numbers = (history.tokens_seen[row], history.losses[row], history.seeds[row], history.parameters[row])
        key = b"".join(np.asarray(part).tobytes() for part in numbers)
        if key in seen:
            raise ConfigError(
                f"history: runs {seen[key]!r} and {run!r} are one run twice (mixture, tokens, seed and losses "
                "are the same); keep one"
            )
        seen[key] = run


def _group(weights: Floats) -> Ints:
    """(R,) cell of each run: that of the first run before it with nearly its mixture."""
    index = np.full(len(weights), -1, dtype=np.int64)
    count = 0
    for row in range(len(weights)):
        if index[row] < 0:
            near = total_variation(weights, weights[row]) <= _REPEAT
            index[near & (index < 0)] = count
            count += 1
    return index
