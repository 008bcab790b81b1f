"""A history laid out for laws of all runs: cells, noise over seeds, what the objective counts.

Symbols: n runs, C cells (a cell is one amount of every domain, repeated over seeds), K training domains,
V evaluation domains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Bools, Floats, Indices, Ints
from mixopt.errors import ConfigError
from mixopt.history import RunEffects
from mixopt.objective import (
    Downstream,
    MeanLoss,
    MeanPerplexity,
    Objective,
    TaskError,
    WeightedLoss,
    WorstLoss,
    counted_losses,
)

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.solve.interior_point import Aggregate

# Repeats hold the same tokens to a sequence or so; amounts below a thousandth of the run do not tell cells apart.
_SAME, _SMALL = 0.02, 1e-3
# Ratios by which two scales differ: see `Cells.largest_scale`.
APART, FAR_APART = 1.3, 2.05
_NO_DIRECTION = 1e-3


@dataclass(frozen=True, eq=False)
class Cells:
    """The runs of a history by cell."""

    runs: History  # the runs, in an order that does not depend on the history's
    index: Ints  # (n,) the cell of each
    tokens: Floats  # (C, K) amounts
    layout: RunEffects  # runs to effects of cells; shifts that runs of one seed share are taken out
    own: Indices  # (V,) the training domain that an evaluation domain is; −1 where it is none

    @classmethod
    def of(cls, history: History) -> Cells:
        """Group runs.

        Raises:
            ConfigError: too few different runs for a law, models of several sizes, or mixtures that do not vary.
        """
        sizes = sorted(set(history.parameters.tolist()))
        if len(sizes) > 1:
            raise ConfigError(f"history: the runs are of models with {sizes[0]} and {sizes[1]} parameters; choose one")
        order = np.lexsort((history.seeds, *np.round(history.tokens_seen.T[::-1])))
        runs = history.select(order)
        index = _group(runs.tokens_seen)
        count = int(index.max(initial=-1)) + 1
        least = least_cells(len(history.domains))
        if count < least:
            raise ConfigError(
                f"joint law of {len(history.domains)} domains: expected at least {least} runs of different amounts "
                f"(one a domain besides a base), found {count}; repeats over seeds count once"
            )
        again = np.argsort(index, kind="stable")
        runs, index = runs.select(again), index[again]
        tokens = np.stack([runs.tokens_seen[index == cell].mean(axis=0) for cell in range(count)])
        _require_variation(history.domains, tokens)
        domains = list(history.domains)
        own = np.array([domains.index(name) if name in domains else -1 for name in history.eval_domains])
        return cls(runs, index, tokens, RunEffects.of(index, runs.seeds, count), own.astype(np.intp))

    def __len__(self) -> int:
        return self.tokens.shape[0]

    @property
    def totals(self) -> Floats:
        """(C,) tokens."""
        return self.tokens.sum(axis=1)

    @property
    def largest_scale(self) -> Bools:
        """(C,) the cells of the largest scale; none where lengths form one group.

        Runs of one of DDO's designs differ in length too (up to 5/3 with three domains and factor 3), or, at one
        length, in the median domain's amount. So scales are apart in both, or far apart in length.
        """
        order = np.argsort(self.totals, kind="stable")
        shares = self.tokens / np.maximum(self.tokens.mean(axis=0), 1e-300)
        totals, medians = self.totals[order], np.median(shares, axis=1)[order]
        length = totals[1:] / totals[:-1]
        middle = np.minimum.accumulate(medians[::-1])[::-1][1:] / np.maximum(
            np.maximum.accumulate(medians)[:-1], 1e-300
        )
        splits = np.flatnonzero((length > FAR_APART) | (np.minimum(length, middle) > APART))
        held = np.zeros(len(self), dtype=np.bool_)
        if splits.size:
            held[order[splits[-1] + 1 :]] = True
        return held


def least_cells(domains: int) -> int:
    """How many different amounts a law of K domains needs: one a domain besides a base, and five."""
    return max(5, domains + 1)


def _group(tokens: Floats) -> Ints:
    """(n,) cell of each run: that of the first run before it with nearly its amounts."""
    small = _SMALL * tokens.sum(axis=1).min(initial=np.inf) if len(tokens) else 1.0
    logs = np.log(tokens + small)
    index = np.full(len(tokens), -1, dtype=np.int64)
    count = 0
    for row in range(len(tokens)):
        if index[row] < 0:
            near = (np.abs(logs - logs[row]).max(axis=1) <= _SAME) & (index < 0)
            index[near] = count
            count += 1
    return index


def _require_variation(domains: tuple[str, ...], tokens: Floats) -> None:
    unit = np.maximum(tokens.mean(axis=0), 1e-300)
    shares = tokens / unit
    still = np.flatnonzero(np.ptp(shares, axis=0) < _NO_DIRECTION)
    if still.size:
        raise ConfigError(
            f"joint law: every run has the same tokens of {domains[still[0]]!r} ({tokens[0, still[0]]:.4g}), so "
            "nothing tells what it is worth; add runs with more and with less of it"
        )
    directions = np.linalg.matrix_rank(shares - shares.mean(axis=0), tol=_NO_DIRECTION * np.sqrt(len(tokens)))
    # Runs that hold the total leave one direction out, which says nothing about mixtures.
    if directions < len(domains) - 1:
        raise ConfigError(
            f"joint law: the mixtures of {len(domains)} domains vary in {directions} directions, expected "
            f"{len(domains) - 1}: some domains rise and fall together; add runs that change one alone"
        )


def counted(
    objective: Objective, history: History, trained_on: Sequence[str] | None = None
) -> tuple[Floats, Aggregate]:
    """How an objective aggregates losses: shares (V,), and whether losses, perplexities or the greatest loss.

    Args:
        trained_on: the domains trained on; None for the history's own.

    Raises:
        ConfigError: an objective that is none of the known kinds, or names a domain with no loss.
    """
    names = history.eval_domains
    trained_on = history.domains if trained_on is None else trained_on
    kind = _AGGREGATES.get(type(objective))
    if kind is not None:
        counts = counted_losses(names, trained_on)
        return counts / counts.sum(), kind
    if isinstance(objective, TaskError | Downstream | WeightedLoss):
        return objective.value(np.eye(len(names)), names, trained_on), "sum"  # it is linear
    raise ConfigError(f"objective: expected one that mixopt knows, found {objective.name!r}")


_AGGREGATES: dict[type, Aggregate] = {MeanPerplexity: "sum_exp", MeanLoss: "sum", WorstLoss: "max"}
