"""A finished search extended by new domains, without searching the old ones again (Olmix's mixture reuse).

The old domains keep the shares among themselves that the earlier study found best, as one virtual domain; a small
swarm varies that one and the new domains; the answer is expanded. What it assumes: the best shares among the old
domains do not depend on how much is given to the new ones.

Symbols: K domains, q of them new, L = 1 + q coordinates, C mixtures, V evaluation domains.

Source: Chen et al. 2026 (Olmix), section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Floats
from mixopt.errors import ConfigError
from mixopt.methods.base import Proposal, Recommendation, Searcher
from mixopt.methods.swarm.evidence import Extended, SwarmEvidence
from mixopt.methods.swarm.extension_regression import WithEarlierRuns
from mixopt.methods.swarm.runs import Swarm
from mixopt.methods.swarm.searcher import OneShot, OneShotSettings
from mixopt.mixture import Mixture
from mixopt.solve import Bounds, Supply, parse_floor

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.methods.adso.scales import Scale
    from mixopt.methods.problem import Earlier, Problem


VIRTUAL = "earlier mixture"


@dataclass(frozen=True, eq=False)
class Frozen:
    """Old domains as one virtual domain."""

    domains: tuple[str, ...]  # K names, old and new
    earlier: Mixture  # the earlier optimum, over the old ones

    def __post_init__(self) -> None:
        lost = [name for name in self.earlier.domains if name not in self.domains]
        if lost:
            raise ConfigError(
                f"extend: the data has no domain {lost[0]!r}, which the earlier study trained on; a domain that is "
                "gone needs a new search"
            )
        if not self.new:
            raise ConfigError(
                f"extend: the data has no new domain, as the earlier study trained on "
                f"{', '.join(self.earlier.domains)} already"
            )
        if VIRTUAL in self.new:
            raise ConfigError(f"extend: a domain is called {VIRTUAL!r}, which is the name of the old ones together")

    @property
    def new(self) -> tuple[str, ...]:
        """The q new domains."""
        return tuple(name for name in self.domains if name not in self.earlier.domains)

    @property
    def coordinates(self) -> tuple[str, ...]:
        """L names: the virtual domain and the new ones."""
        return (VIRTUAL, *self.new)

    @property
    def matrix(self) -> Floats:
        """(K, L) coordinates to weights."""
        matrix = np.zeros((len(self.domains), len(self.coordinates)))
        shares = self.earlier.to_dict()
        for row, name in enumerate(self.domains):
            if name in shares:
                matrix[row, 0] = shares[name]
            else:
                matrix[row, self.coordinates.index(name)] = 1.0
        return matrix

    def expand(self, mixture: Mixture) -> Mixture:
        """A mixture of coordinates as one of domains."""
        return self.named(mixture.ordered(self.coordinates).array)

    def whole(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Weights of coordinates, by name, as weights of domains."""
        return self.expand(Mixture.normalised(weights)).to_dict()

    def named(self, coordinates: Floats) -> Mixture:
        """Coordinates (L,) as a mixture of domains."""
        return Mixture.of_array(self.domains, self.matrix @ coordinates)

    def reduce(self, amounts: Mapping[str, float]) -> dict[str, float]:
        """Amounts by domain (tokens, shares) as amounts by coordinate, the old ones summed."""
        old = sum(amounts[name] for name in self.earlier.domains)
        return {VIRTUAL: old, **{name: amounts[name] for name in self.new}}

    def shares(self, weights: Floats) -> Floats:
        """(L,) coordinates of weights (K,) of all domains."""
        return np.array(list(self.reduce(dict(zip(self.domains, weights.tolist(), strict=True))).values()))

    def supply(self, tokens: Mapping[str, float]) -> dict[str, float]:
        """Tokens that there are of each coordinate: of the virtual one until its scarcest domain is used up."""
        shares = self.earlier.to_dict()
        old = min(tokens[name] / share for name, share in shares.items() if share > 0)
        return {VIRTUAL: old, **{name: tokens[name] for name in self.new}}

    def floors(self, floor: float) -> Floats:
        """(L,) least coordinates that give every domain `floor`.

        Raises:
            ConfigError: the earlier mixture has nothing of a domain.
        """
        shares = self.earlier.to_dict()
        nothing = [name for name, share in shares.items() if share <= 0]
        if floor > 0 and nothing:
            raise ConfigError(
                f"floor: the earlier mixture has nothing of {nothing[0]!r}, so no floor of it can be kept; leave "
                "--floor out, or search anew"
            )
        old = max((floor / share for share in shares.values() if share > 0), default=0.0)
        return np.array([old, *[floor] * len(self.new)])

    def histories(self, history: History) -> History:
        """A history of domains as one of coordinates.

        Raises:
            ConfigError: a run in which the old domains do not have the earlier shares.
        """
        if not len(history):
            return history
        order = [history.domains.index(name) for name in self.domains]
        seen = history.tokens_seen[:, order]
        old = [self.domains.index(name) for name in self.earlier.domains]
        virtual = seen[:, old].sum(axis=1)
        return replace(
            history,
            domains=self.coordinates,
            tokens_seen=np.column_stack([virtual, *(seen[:, self.domains.index(name)] for name in self.new)]),
        )


class Extension(Searcher):
    """A `Searcher` over the virtual domain and the new ones, which asks for and answers with whole mixtures."""

    def __init__(self, frozen: Frozen, inner: OneShot, notes: Sequence[str], extended: Extended) -> None:
        """Set up the search."""
        self.frozen, self.inner = frozen, inner
        self._notes, self._extended = tuple(notes), extended

    @property
    def bounds(self) -> Bounds:
        """Floors and caps of the answer."""
        matrix, ends = self.frozen.matrix, self.inner.bounds
        return Bounds(self.frozen.domains, matrix @ ends.floors, matrix @ ends.caps)

    def ask(self, history: History) -> list[Proposal]:
        """The swarm, every mixture with the earlier shares among the old domains; then those to confirm."""
        return [
            replace(proposal, mixture=self.frozen.expand(proposal.mixture))
            for proposal in self.inner.ask(self.frozen.histories(history))
        ]

    def recommend(self, history: History) -> Recommendation:
        """The best coordinates, expanded.

        Raises:
            ConfigError: as `OneShot.recommend`.
        """
        frozen = self.frozen
        answer = self.inner.recommend(frozen.histories(history))
        evidence, matrix = answer.evidence, frozen.matrix
        assert isinstance(evidence, SwarmEvidence)
        # Each domain is in one coordinate, with some share of it.
        at = dict(zip(frozen.domains, (frozen.coordinates[column] for column in matrix.argmax(axis=1)), strict=True))
        share = dict(zip(frozen.domains, matrix.max(axis=1).tolist(), strict=True))
        front = evidence.pareto
        return replace(
            answer,
            method=f"{answer.method}, extending study {self._extended.study}",
            mixture=frozen.expand(answer.mixture),
            intervals={
                name: (share[name] * low, share[name] * high)
                for name in frozen.domains
                for low, high in [answer.intervals[at[name]]]
            },
            other_objectives={name: frozen.whole(found) for name, found in answer.other_objectives.items()},
            warnings=(*self._notes, *answer.warnings),
            runs=(*answer.runs, *self._extended.runs),
            baselines={name: frozen.expand(mixture) for name, mixture in answer.baselines.items()},
            floors={name: share[name] * answer.floors[at[name]] for name in frozen.domains},
            caps={name: share[name] * answer.caps[at[name]] for name in frozen.domains},
            epochs={name: answer.epochs[at[name]] for name in frozen.domains} if answer.epochs else {},
            # The law and its checks stay those of coordinates.
            evidence=replace(
                evidence,
                swarm=tuple(replace(one, weights=frozen.whole(one.weights)) for one in evidence.swarm),
                pareto=front
                and replace(
                    front, points=tuple(replace(one, weights=frozen.whole(one.weights)) for one in front.points)
                ),
                extended=replace(self._extended, coordinates=answer.mixture.to_dict()),
            ),
        )


def extension(
    problem: Problem, study: str, asked: Callable[[int], OneShotSettings], floor: float | str | None, target: Scale
) -> Extension:
    """The search over the new domains and an earlier study's mixture as one.

    Args:
        problem: the new problem, which has the earlier study's domains and others.
        study: the earlier study, or as much of its id's start as is unique.

    Raises:
        ConfigError: the earlier study has no recommendation, or domains that the data does not have.
        StoreError: there is no such study.
    """
    training = problem.training
    if training is None or problem.natural is None or problem.corpus is None:
        raise ConfigError("extend: expected a study that trains, found a table of runs; leave it out")
    earlier = training.earlier(study)
    frozen = Frozen(problem.domains, earlier.mixture)
    settings = asked(len(frozen.coordinates))
    if settings.design.groups:
        raise ConfigError("extend: the earlier domains are one virtual domain, so there are no groups; leave them out")
    natural = Mixture.normalised(frozen.reduce(problem.corpus))
    regressors = settings.regressors
    swarm = Swarm.of(earlier.history) if not earlier.differences and len(earlier.history) else None
    if swarm is not None and regressors:
        runs = _on(frozen.domains, swarm.history.domains, swarm.weights)
        losses = _on(problem.measured, swarm.history.eval_domains, swarm.losses, missing=np.nan)
        regressors = [WithEarlierRuns(regressor, frozen.matrix, runs, losses) for regressor in regressors]
    settings = replace(
        settings,
        regressors=regressors,
        floor=frozen.floors(parse_floor(floor or 0.0, len(problem.domains))),
        run_supply=_reduced(frozen, settings.run_supply),
        supply=_reduced(frozen, settings.supply),
        seen=lambda row: frozen.shares(training.seen(frozen.matrix @ row, problem.tokens)),
    )
    alone = Mixture(frozen.coordinates, (1.0, *[0.0] * len(frozen.new)))
    baselines = {"natural share of new": natural, VIRTUAL: alone}
    inner = OneShot(natural, problem.tokens, settings, baselines, problem.domains, target=target)
    used = list(swarm.history.runs) if swarm is not None and regressors else []
    extended = Extended(
        study=earlier.study_id,
        runs=tuple(used),
        differences=tuple(earlier.differences),
        shares=earlier.mixture.to_dict(),
    )
    return Extension(frozen, inner, _notes(frozen, earlier, len(used)), extended)


def _notes(frozen: Frozen, earlier: Earlier, used: int) -> list[str]:
    old, new = ", ".join(frozen.earlier.domains), ", ".join(frozen.new)
    assumed = (
        f"assumed: the best shares among {old} are those of study {earlier.study_id}, however much {new} gets; "
        "only their sum is searched"
    )
    if earlier.differences:
        again = f"of study {earlier.study_id} its mixture is used and not its runs, as {'; '.join(earlier.differences)}"
    elif used:
        again = (
            f"{used} runs of study {earlier.study_id} count in the laws of {old}: tokenizer, text and training "
            "are the same"
        )
    else:
        again = f"of study {earlier.study_id} its mixture is used; without a law its runs say nothing of {new}"
    return [assumed, again]


def _reduced(frozen: Frozen, supply: Supply | None) -> Supply | None:
    return None if supply is None else replace(supply, available=frozen.supply(supply.available))


def _on(
    names: tuple[str, ...], have: tuple[str, ...], array: np.ndarray[Any, np.dtype[np.float64]], missing: float = 0.0
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Columns in the order of `names`; those that there are not hold `missing`."""
    found = np.full((len(array), len(names)), missing)
    for column, name in enumerate(names):
        if name in have:
            found[:, column] = array[:, have.index(name)]
    return found
