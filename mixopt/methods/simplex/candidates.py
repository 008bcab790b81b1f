"""What a search may choose from: every mixture within bounds, or the rows of a finite table.

Symbols: K domains, R runs, P candidates, B functions. A *place* is where a run is made: a preset of the model (None
for the study's) and a number of tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mixopt.arrays import Bools, Floats, Indices
from mixopt.errors import ConfigError
from mixopt.methods.simplex.designs import SAME, DesignSettings, make_design
from mixopt.methods.simplex.optimum import Function, Optimum, minimise, search
from mixopt.methods.simplex.sampling import dirichlet_within
from mixopt.mixture import Mixture, total_variation
from mixopt.solve import Bounds
from mixopt.solve.bounds import project

Place = tuple[str | None, int]
Seen = Callable[[Floats], Floats]
Hopeful = Callable[[Floats], Indices]

# How far the next mixture to be confirmed is from those that were run: nearer ones would tell the same.
_APART = 0.05
# Sums of Dirichlet parameters. About the natural shares those of RegMix's swarm, for each domain; about a centre
# they give standard deviations from a fifth of the root of a share down to a fiftieth.
_ABROAD, _NEAR = (0.1, 5.0), (30.0, 3000.0)
# Lengths of steps, in weight.
_STEPS = (0.01, 0.3)
# Candidates of a pool from all over and about the best ones, and rounds of the latter.
_ALL_OVER, _ABOUT, _ROUNDS = 512, 256, 2


@dataclass(frozen=True, eq=False)
class Simplex:
    """All mixtures within bounds, wherever they are run."""

    natural: Mixture  # natural shares, about which half of what is drawn lies
    bounds: Bounds  # floors and caps of the answer
    run_bounds: Bounds | None = None  # those of a swarm's runs; None for the same

    def closest(self, mixture: Mixture, place: Place) -> Floats:
        """(K,) the candidate that stands for a mixture at a place."""
        return project(mixture.array, self.bounds.floors, self.bounds.caps)

    def first(self, count: int, anchors: Sequence[Mixture], place: Place, rng: np.random.Generator) -> list[Floats]:
        """At most `count` different mixtures (K,) to begin with at a place: the anchors, then from all over."""
        drawn = abroad(self.natural.array, self.bounds, count, rng)
        return _distinct([*(self.closest(anchor, place) for anchor in anchors), *drawn])[:count]

    def swarm(
        self, settings: DesignSettings, anchors: Sequence[Mixture], place: Place, seen: Seen | None
    ) -> tuple[Mixture, ...]:
        """The design of a one-shot search; see `mixopt.methods.simplex.designs.make_design`."""
        return make_design(settings, self.natural, self.run_bounds or self.bounds, anchors, seen)

    def pool(self, ran: Floats, hopeful: Hopeful, rng: np.random.Generator) -> Floats:
        """(P, K) mixtures at the target among which one is recommended: the finer the better they look.

        Args:
            ran: (R, K) mixtures of runs so far.
            hopeful: which of some mixtures (P', K) look best, as rows.
        """
        bounds, run = self.bounds, np.unique(ran.round(12), axis=0)
        # What a run saw is off its mixture by parts of a sequence, and so may be off the bounds.
        within = ((run >= bounds.floors - SAME) & (run <= bounds.caps + SAME)).all(axis=1)
        run = project(run[within], bounds.floors, bounds.caps) if within.any() else run[:0]
        pool = np.vstack([run, abroad(self.natural.array, bounds, _ALL_OVER, rng)])
        for _ in range(_ROUNDS):
            pool = np.vstack([pool, near(pool[hopeful(pool)], bounds, _ABOUT, rng)])
        return pool

    def runnable(self, place: Place, pool: Floats, ran: Floats) -> Floats:
        """(P', K) what can be run at a place, given a `pool`; what was run there (R, K) may be left out."""
        return pool

    def minimise(self, function: Function) -> Optimum:
        """The candidate at the target of the least value of one function."""
        return minimise(function, self.bounds, self.natural.array)

    def minima(self, functions: Function, start: Floats, draws: int, steps: int) -> Floats:
        """(B, K) the best candidates under B replicates of a law, `start` (K,) the best under the law itself."""
        return search(functions, self.bounds, self.natural.array, start[None], draws=draws, descents=1, steps=steps)

    def next_best(self, function: Function, ran: Floats) -> Floats | None:
        """(K,) the best candidate at the target that is some way from all that was run there (R, K), if any is."""
        best = self.minimise(function).weights
        if not was_run(best[None], ran)[0]:
            return best
        rng = np.random.default_rng(len(ran))
        pool = self.pool(best[None], lambda some: function.value(some)[0].argsort()[:8], rng)
        apart = pool[~was_run(pool, ran, _APART)]
        return apart[function.value(apart)[0].argmin()] if len(apart) else None


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a finite table; at each place some of them can be run. Methods are those of `Simplex`."""

    domains: tuple[str, ...]  # K names
    weights: Floats  # (M, K) rows, each sums to 1
    available: Mapping[Place, Bools]  # (M,) which rows can be run, by place
    target: Place  # the place that the answer is for
    seed: int = 0  # of the order in which rows come first: one that all methods share

    @property
    def bounds(self) -> Bounds:
        """None: whatever is in the table is allowed."""
        return Bounds.free(self.domains)

    def at(self, place: Place) -> Floats:
        """(P, K) the rows that can be run at a place."""
        return self.weights[self.available[place]]

    def closest(self, mixture: Mixture, place: Place) -> Floats:
        """The nearest row (total variation) that can be run there."""
        rows = self.at(place)
        return rows[np.abs(rows - mixture.ordered(self.domains).array).sum(axis=1).argmin()]

    def first(self, count: int, anchors: Sequence[Mixture], place: Place, rng: np.random.Generator) -> list[Floats]:
        """The rows nearest to the anchors, then the others in random order."""
        drawn = np.random.default_rng(self.seed).permutation(self.at(place))
        return _distinct([*(self.closest(anchor, place) for anchor in anchors), *drawn])[:count]

    def swarm(
        self, settings: DesignSettings, anchors: Sequence[Mixture], place: Place, seen: Seen | None
    ) -> tuple[Mixture, ...]:
        """`settings.runs` of `first`: a random design has only these rows to draw from.

        Raises:
            ConfigError: the design is a lattice.
        """
        if settings.kind == "lattice":
            raise ConfigError("design: a lattice is of all mixtures, and only rows of a table can be run; draw some")
        rows = self.first(settings.runs, anchors, place, np.random.default_rng(settings.seed))
        return tuple(Mixture.of_array(self.domains, row) for row in rows)

    def pool(self, ran: Floats, hopeful: Hopeful, rng: np.random.Generator) -> Floats:
        """All rows of the target."""
        return self.at(self.target)

    def runnable(self, place: Place, pool: Floats, ran: Floats) -> Floats:
        """The rows of the place that were not run there."""
        rows = self.at(place)
        return rows[~was_run(rows, ran)]

    def minimise(self, function: Function) -> Optimum:
        """The best row of the target, which is the best there is."""
        rows = self.at(self.target)
        values = function.value(rows)[0]
        best = int(values.argmin())
        return Optimum(rows[best], float(values[best]), convex=True)

    def minima(self, functions: Function, start: Floats, draws: int, steps: int) -> Floats:
        """The best row of each."""
        rows = self.at(self.target)
        return rows[functions.value(rows).argmin(axis=1)]

    def next_best(self, function: Function, ran: Floats) -> Floats | None:
        """The best of the rows that were not run at the target."""
        rows = self.runnable(self.target, self.weights, ran)
        return rows[function.value(rows)[0].argmin()] if len(rows) else None


Candidates: TypeAlias = Simplex | Rows


def abroad(natural: Floats, bounds: Bounds, count: int, rng: np.random.Generator) -> Floats:
    """Mixtures (count, K) from all over: half uniformly on the simplex, half about the natural shares.

    Rejection would keep one draw in a million at twenty domains; these are drawn within bounds at once.

    Args:
        natural: (K,) natural shares.
    """
    strengths = np.exp(rng.uniform(*np.log(_ABROAD), size=(count - count // 2, 1)))
    # Square roots of shares, as RegMix draws: small domains get their turn.
    tempered = np.sqrt(natural) / np.sqrt(natural).sum()
    parameters = np.vstack([np.ones((count // 2, len(natural))), strengths * len(natural) * tempered])
    return dirichlet_within(parameters, bounds.floors, bounds.caps, rng)


def near(centres: Floats, bounds: Bounds, count: int, rng: np.random.Generator) -> Floats:
    """Mixtures (count, K) about some of the `centres` (c, K), close to them and farther off.

    Half are drawn from Dirichlet distributions, where a domain that a centre leaves out may come back with a
    thousandth of the mixture. The others are normal steps, projected onto the bounds, where the best often lies.
    """
    chosen = centres[rng.integers(len(centres), size=count)]
    half = count // 2
    strengths = np.exp(rng.uniform(*np.log(_NEAR), size=(half, 1)))
    parameters = strengths * (chosen[:half] + 1e-3) / (1 + 1e-3 * chosen.shape[1])
    drawn = dirichlet_within(parameters, bounds.floors, bounds.caps, rng)
    lengths = np.exp(rng.uniform(*np.log(_STEPS), size=(count - half, 1)))
    steps = lengths * rng.standard_normal((count - half, chosen.shape[1])) / np.sqrt(chosen.shape[1])
    return np.vstack([drawn, project(chosen[half:] + steps, bounds.floors, bounds.caps)])


def was_run(weights: Floats, ran: Floats, distance: float = SAME) -> Bools:
    """(P,) which of some mixtures (P, K) are within a total variation of one that was run (R, K)."""
    return np.asarray((total_variation(weights[:, None, :], ran[None, :, :]) <= distance).any(axis=1))


def _distinct(rows: Sequence[Floats]) -> list[Floats]:
    return list({row.tobytes(): row for row in rows}.values())
