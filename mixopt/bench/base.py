"""Tables of finished runs: mixtures at several scales, and their losses.

Symbols: M mixtures, K training domains, F fidelities, V evaluation domains.

A *fidelity* is a model size and a number of tokens. The most expensive one is the *target*: what the search is for,
and the unit of cost.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixopt.arrays import Bools, Floats, Indices
from mixopt.errors import ConfigError
from mixopt.mixture import SUM_TOLERANCE, Mixture


@dataclass(frozen=True)
class Fidelity:
    """A scale at which runs were made."""

    name: str  # as tables and plots call it (`1M x 1B`)
    parameters: int  # model size
    tokens: int  # training tokens
    cost: float  # FLOPs of a run in multiples of a target run's, so 1 at the target


@dataclass(frozen=True, eq=False)
class Table:
    """Finished runs of M mixtures at F fidelities; what a replay may sell.

    Raises:
        ConfigError: shapes disagree, costs do not ascend to 1, a run has some of its losses only, or nothing was
            run at the target.
    """

    name: str  # as the command line calls it
    domains: tuple[str, ...]  # K training domains
    eval_domains: tuple[str, ...]  # V evaluation domains
    mixtures: Floats  # (M, K) weights, rows sum to 1
    fidelities: tuple[Fidelity, ...]  # F scales in ascending cost; the last is the target and costs 1
    losses: Floats  # (F, M, V) nats/token; NaN in all of V where a run was not made
    # fidelities of one size are points of the same run, so that a run shows the shorter ones for nothing
    curves: bool = False
    source: str = ""  # where the numbers are from, for reports
    notes: tuple[str, ...] = ()  # what its reader should know, a sentence each

    def __post_init__(self) -> None:
        rows = self.mixtures.shape[0]
        expected = (len(self.fidelities), rows, len(self.eval_domains))
        if self.losses.shape != expected or self.mixtures.shape != (rows, len(self.domains)):
            raise ConfigError(
                f"table {self.name}: expected losses of shape {expected} (fidelities, mixtures, evaluation domains)"
                f" and weights for {len(self.domains)} domains, found {self.losses.shape} and {self.mixtures.shape}"
            )
        off = np.abs(self.mixtures.sum(axis=1) - 1)
        if (off > SUM_TOLERANCE).any() or (self.mixtures < 0).any():
            raise ConfigError(f"table {self.name}: mixture {int(off.argmax())} has weights that are not shares of 1")
        costs = [fidelity.cost for fidelity in self.fidelities]
        if not costs or costs != sorted(costs) or costs[0] <= 0 or costs[-1] != 1:
            raise ConfigError(f"table {self.name}: expected costs that ascend from above 0 to 1, found {costs}")
        made = np.isfinite(self.losses)
        partly = made.any(axis=2) & ~made.all(axis=2)
        if partly.any():
            fidelity, row = np.argwhere(partly)[0]
            domain = self.eval_domains[int(np.argmin(made[fidelity, row]))]
            raise ConfigError(
                f"table {self.name}: the run of mixture {row} at {self.fidelities[fidelity].name} has no loss on "
                f"{domain!r}; give it, or leave the run out"
            )
        if not made[-1].any():
            raise ConfigError(f"table {self.name}: no run at the target {self.fidelities[-1].name}")

    @property
    def available(self) -> Bools:
        """(F, M) which runs were made."""
        return np.asarray(np.isfinite(self.losses).all(axis=2))

    @property
    def candidates(self) -> Indices:
        """Rows of the mixtures that were run at the target, ascending: those among which one is recommended."""
        return np.flatnonzero(self.available[-1])

    def only(self, domains: Bools) -> Table:
        """The table with some of its evaluation domains (V,)."""
        kept = tuple(name for name, keep in zip(self.eval_domains, domains, strict=True) if keep)
        return replace(self, eval_domains=kept, losses=self.losses[..., domains])

    def points_of(self, fidelity: int) -> list[int]:
        """Fidelities that a run at one shows on its way, in ascending tokens; none without curves."""
        own = self.fidelities[fidelity]
        return [
            index
            for index, other in enumerate(self.fidelities)
            if self.curves and other.parameters == own.parameters and other.tokens < own.tokens
        ]


def objective_weights(text: str, eval_domains: Sequence[str]) -> Floats:
    """(V,) weights of an objective: `mean`, the name of an evaluation domain or `weighted:FILE` (`domain: weight`).

    Raises:
        ConfigError: none of these; the message gives the nearest name.
    """
    if text == "mean":
        return np.full(len(eval_domains), 1 / len(eval_domains))
    if text in eval_domains:
        return np.array([float(domain == text) for domain in eval_domains])
    kind, _, path = text.partition(":")
    if kind == "weighted" and path:
        try:
            return Mixture.from_file(path).ordered(eval_domains).array
        except ConfigError as error:
            raise ConfigError(f"objective {text}: {error}") from error
    names = ("mean", *eval_domains)
    near = difflib.get_close_matches(text, names, n=1, cutoff=0.4)
    raise ConfigError(f"objective: expected {', '.join(near or names)} or weighted:FILE, found {text!r}")
