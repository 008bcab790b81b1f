"""A finished search extended by new domains, without searching the old ones again (Olmix's mixture reuse).

The old domains keep the shares among themselves that the earlier study found best, as one virtual domain; a small
swarm varies that one and the new domains; the answer is expanded. What it assumes: the best shares among the old
domains do not depend on how much is given to the new ones.

Symbols: K domains, q of them new, L = 1 + q coordinates, C mixtures, V evaluation domains.

Source: Chen et al. 2026 (Olmix), section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixopt.history import History
    from mixopt.methods.base import Proposal, Recommendation
    from mixopt.methods.swarm.searcher import OneShot

VIRTUAL = "earlier mixture"


@dataclass(frozen=True, eq=False)
class Frozen:
    """Old domains as one virtual domain.

    Attributes:
        domains: K names, old and new.
        earlier: the earlier optimum, over the old ones.
    """

    domains: tuple[str, ...]
    earlier: Mixture

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
    def matrix(self) -> NDArray[np.float64]:
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

    def named(self, coordinates: NDArray[np.float64]) -> Mixture:
        """Coordinates (L,) as a mixture of domains."""
        return Mixture.of_array(self.domains, self.matrix @ coordinates)

    def reduce(self, amounts: Mapping[str, float]) -> dict[str, float]:
        """Amounts by domain (tokens, shares) as amounts by coordinate, the old ones summed."""
        old = sum(amounts[name] for name in self.earlier.domains)
        return {VIRTUAL: old, **{name: amounts[name] for name in self.new}}

    def shares(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(L,) coordinates of weights (K,) of all domains."""
        return np.array(list(self.reduce(dict(zip(self.domains, weights.tolist(), strict=True))).values()))

    def supply(self, tokens: Mapping[str, float]) -> dict[str, float]:
        """Tokens that there are of each coordinate: of the virtual one until its scarcest domain is used up."""
        shares = self.earlier.to_dict()
        old = min(tokens[name] / share for name, share in shares.items() if share > 0)
        return {VIRTUAL: old, **{name: tokens[name] for name in self.new}}

    def floors(self, floor: float) -> NDArray[np.float64]:
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
        order = [history.domains.index(name) for name in self.domains]
        seen = history.tokens_seen[:, order]
        old = [self.domains.index(name) for name in self.earlier.domains]
        virtual = seen[:, old].sum(axis=1)
        return replace(
            history,
            domains=self.coordinates,
            tokens_seen=np.column_stack([virtual, *(seen[:, self.domains.index(name)] for name in self.new)]),
        )


class Extension:
    """A `Searcher` over the virtual domain and the new ones, which asks for and answers with whole mixtures."""

    def __init__(self, frozen: Frozen, inner: OneShot, notes: Sequence[str], earlier: Mapping[str, Any]) -> None:
        """Set up the search.

        Args:
            frozen: the old domains.
            inner: the search over coordinates.
            notes: what it assumes and what it could use again, a sentence each.
            earlier: JSON values that say what was extended.
        """
        self.frozen, self.inner = frozen, inner
        self._notes, self._earlier = tuple(notes), dict(earlier)

    def ask(self, history: History) -> list[Proposal]:
        """The swarm, every mixture with the earlier shares among the old domains; then those to confirm."""
        reduced = self.frozen.histories(history) if len(history) else history
        return [
            replace(proposal, mixture=self.frozen.expand(proposal.mixture)) for proposal in self.inner.ask(reduced)
        ]

    def recommend(self, history: History) -> Recommendation:
        """The best coordinates, expanded.

        Raises:
            ConfigError: as `OneShot.recommend`.
        """
        frozen = self.frozen
        answer = self.inner.recommend(frozen.histories(history))
        shares = frozen.earlier.to_dict()
        intervals = {}
        for name in frozen.domains:
            coordinate, share = (VIRTUAL, shares[name]) if name in shares else (name, 1.0)
            low, high = answer.intervals[coordinate]
            intervals[name] = (share * low, share * high)

        def whole(weights: Mapping[str, float]) -> dict[str, float]:
            return frozen.expand(Mixture.normalised(weights)).to_dict()

        details = dict(answer.details)
        # What is told by domain and cannot be told of coordinates.
        details["baselines"] = {name: whole(weights) for name, weights in details["baselines"].items()}
        for entry in details["swarm"]:
            entry["weights"] = (frozen.matrix @ np.array(entry["weights"])).tolist()
        if "pareto" in details:
            for point in details["pareto"]["points"]:
                point["weights"] = whole(point["weights"])
        details["extended"] = {**self._earlier, "shares": shares, "coordinates": answer.mixture.to_dict()}
        return replace(
            answer,
            method=f"{answer.method}, extending study {self._earlier['study']}",
            mixture=frozen.expand(answer.mixture),
            intervals=intervals,
            other_objectives={name: whole(weights) for name, weights in answer.other_objectives.items()},
            warnings=(*self._notes, *answer.warnings),
            runs=(*answer.runs, *self._earlier.get("runs", ())),
            details=details,
        )
