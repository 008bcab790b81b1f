"""The mixtures that a one-shot search trains: drawn around the natural one, spread evenly, or on a lattice.

Symbols: n mixtures, m domains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from mixopt.arrays import Floats, Indices, Ints
from mixopt.errors import ConfigError
from mixopt.methods.simplex.sampling import dirichlet_within, uniform_within
from mixopt.mixture import Mixture, total_variation
from mixopt.solve.bounds import SLACK, project

if TYPE_CHECKING:
    from mixopt.solve import Bounds


# Nobody trains more, and a step too small for many domains would fill the memory.
MOST_POINTS = 10_000
_FINEST = 1000


def parts_of_step(step: float) -> int:
    """S for a step of 1/S.

    Raises:
        ConfigError: the step does not divide 1.
    """
    parts = round(1 / step) if 1 / _FINEST <= step <= 1 else 0
    if not parts or abs(parts * step - 1) > 1e-9 * parts:
        near = f"; nearest: {1 / max(1, min(_FINEST, round(1 / step))):.4g}" if step > 0 else ""
        raise ConfigError(f"step: expected a share that divides 1, such as 0.1 or 0.25, found {step:g}{near}")
    return parts


def lattice_size(parts: int, bounds: Bounds) -> int:
    """Mixtures of the lattice 1/`parts` between bounds; without bounds C(S + m − 1, m − 1)."""
    low, high = _whole(parts, bounds)
    ways = [1] + [0] * parts  # of Python's integers, which do not overflow
    for least, most in zip(low.tolist(), high.tolist(), strict=True):
        ways = [sum(ways[max(0, total - most) : total - least + 1]) if total >= least else 0
                for total in range(parts + 1)]  # fmt: skip
    return ways[parts]


def lattice(parts: int, bounds: Bounds) -> Floats:
    """The simplex lattice (Scheffé 1958) between bounds: mixtures (n, m) of multiples of 1/S, in lexicographic order.

    Raises:
        ConfigError: there are none, or more than anybody would train.
    """
    size, domains = lattice_size(parts, bounds), len(bounds.domains)
    step = f"{1 / parts:.4g}"
    if size == 0:
        raise ConfigError(f"grid: no mixture of step {step} lies between floors and caps; use a smaller step")
    if size > MOST_POINTS:
        raise ConfigError(
            f"grid: step {step} makes {_count(size)} mixtures of {domains} domains; use a larger step, or --count"
        )
    low, high = _whole(parts, bounds)
    return np.array(list(_compositions(parts, low.tolist(), high.tolist())), dtype=np.float64) / parts


def parts_of_count(count: int, bounds: Bounds) -> int:
    """S of the finest lattice with at most `count` mixtures between bounds.

    Raises:
        ConfigError: every lattice has more.
    """
    best, least = 0, None
    for parts in range(1, _FINEST + 1):
        size = lattice_size(parts, bounds)
        if 0 < size <= count:
            best = parts
        if size:
            least = min(size, least or size)
        # Finer lattices have more points; floors and caps off the lattice upset that only among the coarse ones.
        if size > 4 * count and parts > 4:
            break
    if not best:
        raise ConfigError(
            f"grid: the coarsest lattice between floors and caps has {_count(least or 0)} mixtures, found a count "
            f"of {count}; allow more runs, or use `mixopt search --method random`"
        )
    return best


def _whole(parts: int, bounds: Bounds) -> tuple[Ints, Ints]:
    """Bounds in parts of 1/S, inwards to whole ones."""
    low = np.ceil(bounds.floors * parts - SLACK * parts).astype(np.int64)
    high = np.floor(np.minimum(bounds.caps, 1) * parts + SLACK * parts).astype(np.int64)
    return np.maximum(low, 0), high


def _compositions(total: int, low: list[int], high: list[int]) -> Iterator[tuple[int, ...]]:
    """Every way to share `total` parts within bounds; branches that lead nowhere are not entered."""
    if len(low) == 1:
        yield (total,)
        return
    rest_low, rest_high = sum(low[1:]), sum(high[1:])
    for first in range(max(low[0], total - rest_high), min(high[0], total - rest_low) + 1):
        for rest in _compositions(total - first, low[1:], high[1:]):
            yield (first, *rest)


def _count(size: int) -> str:
    return f"{size:,}" if size < 10**9 else f"about 10^{math.log10(size):.0f}"


Kind = Literal["dirichlet", "two-level", "sobol", "lattice"]

# Mixtures nearer than this (total variation) are one and the same to a run of a few hundred sequences.
SAME = 0.005
# RegMix's and Olmix's number of strengths between the least and the greatest.
_STRENGTHS = 15
_BLOCK = 64
_BLOCKS = 60
_NOTHING = 1e-12  # a source with less than this has no topics to share it


@dataclass(frozen=True, kw_only=True)
class DesignSettings:
    """Which mixtures a swarm holds.

    Raises:
        ConfigError: a number outside its range, or settings that do not go together.
    """

    # `dirichlet`: around the natural shares (RegMix, Liu et al. 2024, section 3.1); `two-level`: the same, first over
    # sources and then over the topics of each (Olmix, Chen et al. 2026); `sobol`: evenly over all that bounds allow;
    # `lattice`: the finest simplex lattice with at most `runs` mixtures.
    kind: Kind = "dirichlet"
    runs: int = 64  # n mixtures; on a lattice at most
    # least and greatest sum of a Dirichlet's parameters, 15 in all, evenly in logarithm: small ones give mixtures of a
    # few domains, large ones keep near the shares
    strengths: tuple[float, float] = (0.1, 5.0)
    # the shares are raised to this power (and normalised) first: 1 for the natural ones, 0 for uniform
    temperature: float = 0.5
    # for `two-level` the domains of each source; a domain that none names is a source of its own
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    step: float | None = None  # for `lattice` its step, in place of `runs`
    seed: int = 0  # of the draws. The first n mixtures are the same whatever number is asked for.

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"design: expected {', '.join(get_args(Kind))}, found {self.kind!r}")
        if self.runs < 1:
            raise ConfigError(f"runs: expected at least 1, found {self.runs}")
        if not (len(self.strengths) == 2 and 0 < self.strengths[0] <= self.strengths[1] < math.inf):
            raise ConfigError(
                f"strengths: expected the least and the greatest, such as 0.1,5, found {list(self.strengths)}"
            )
        if not 0 <= self.temperature <= 1:
            raise ConfigError(f"temperature: expected a power from 0 to 1, found {self.temperature:g}")
        if self.kind == "two-level" and not self.groups:
            raise ConfigError("design two-level: expected the domains of each source under method.groups, found none")
        if self.step is not None and self.kind != "lattice":
            raise ConfigError(f"step: only a lattice has one, and the design is {self.kind}; leave one of them out")


def make_design(
    settings: DesignSettings,
    natural: Mixture,
    bounds: Bounds,
    anchors: Sequence[Mixture] = (),
    seen: Callable[[Floats], Floats] | None = None,
) -> tuple[Mixture, ...]:
    """The mixtures to train on.

    Args:
        natural: the natural mixture, over the m domains of `bounds`.
        anchors: mixtures to have in any case, first, as near as bounds allow. They count in `runs`, but come on top
            of a lattice.
        seen: the shares (m,) that a run really sees of weights (m,) asked for; None for the same. A short run
            holds few whole sequences, so that mixtures which differ may train the same.

    Returns:
        Mixtures within bounds, no two within `SAME` of each other (on a finer lattice, half its step), as asked for
        or as seen.

    Raises:
        ConfigError: a group names an unknown domain or one twice; bounds hold too few different mixtures.
    """
    domains = bounds.domains
    natural = natural.ordered(domains)
    parts = 0
    if settings.kind == "lattice":
        parts = parts_of_count(settings.runs, bounds) if settings.step is None else parts_of_step(settings.step)
    # Neighbours on a fine lattice are as near as its step.
    kept = _Distinct(len(domains), min(SAME, 0.5 / parts) if parts else SAME, seen)
    first: list[Mixture] = []
    for anchor in anchors:
        given = anchor.ordered(domains)
        near = project(given.array, bounds.floors, bounds.caps)
        # Where bounds let it be, the anchor to the last bit, so that others share its run.
        mixture = given if np.abs(near - given.array).max() < 1e-9 else _mixture(domains, near)
        if kept.takes(mixture.array):
            first.append(mixture)
    if parts:
        points = (_mixture(domains, row) for row in lattice(parts, bounds))
        return (*first, *(point for point in points if kept.takes(point.array)))
    rest: list[Mixture] = []
    for row in _rows(settings, natural, bounds):
        if len(kept) >= settings.runs:
            break
        mixture = _mixture(domains, row)
        if kept.takes(mixture.array):
            rest.append(mixture)
    if len(kept) < settings.runs:
        raise ConfigError(
            f"design: floors and caps leave room for {len(kept)} different mixtures ({settings.kind}), "
            f"{settings.runs} were asked for; ask for fewer runs, allow more epochs, lower floors, or train each "
            "run for more tokens"
        )
    return (*first, *rest)[: settings.runs]


class _Distinct:
    """Rows (n, m) that are all different, as asked for and as runs see them."""

    def __init__(self, width: int, near: float, seen: Callable[[Floats], Floats] | None) -> None:
        self._near, self._seen = near, seen
        self._asked, self._trained = np.empty((_BLOCK, width)), np.empty((_BLOCK, width))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def takes(self, row: Floats) -> bool:
        """Keep a row (m,) if there is none like it; whether it was kept."""
        if not self._is_new(row, self._asked):
            return False
        trained = row if self._seen is None else self._seen(row)
        if self._seen is not None and not self._is_new(trained, self._trained):
            return False
        if self._count == len(self._asked):
            self._asked, self._trained = (np.concatenate([rows, rows]) for rows in (self._asked, self._trained))
        self._asked[self._count], self._trained[self._count] = row, trained
        self._count += 1
        return True

    def _is_new(self, row: Floats, rows: Floats) -> bool:
        there = rows[: self._count]
        return not len(there) or float(total_variation(there, row).min()) > self._near


def _mixture(domains: tuple[str, ...], row: Floats) -> Mixture:
    return Mixture.of_array(domains, row)


def _rows(settings: DesignSettings, natural: Mixture, bounds: Bounds) -> Iterator[Floats]:
    """Draws one by one, as many as it may take to find different ones."""
    if settings.kind == "sobol":
        from scipy.stats import qmc

        size = max(1, len(bounds.domains) - 1)
        sobol = qmc.Sobol(size, rng=np.random.default_rng(settings.seed))
        yield from uniform_within(sobol.random_base2(max(1, math.ceil(math.log2(4 * settings.runs)))), bounds)
        return
    # Typed, as a power of floats might be complex.
    shares: Floats = np.power(natural.array, settings.temperature, dtype=np.float64)
    shares = np.where(natural.array > 0, shares, 0.0)
    sources = _sources(settings.groups, bounds.domains) if settings.kind == "two-level" else None
    levels = np.geomspace(*settings.strengths, _STRENGTHS, dtype=np.float64)
    for block in range(_BLOCKS + 2 * settings.runs // _BLOCK):
        rng = np.random.default_rng([settings.seed, block])
        # Each strength is drawn as often as any other.
        strengths = levels[rng.permutation(_BLOCK) % _STRENGTHS]
        if sources is None:
            yield from dirichlet_within(_outer(strengths, shares / shares.sum()), bounds.floors, bounds.caps, rng)
        else:
            yield from _two_level(strengths, shares, sources, bounds, rng)


def _outer(strengths: Floats, shares: Floats) -> Floats:
    return strengths[:, None] * shares


def _sources(groups: Mapping[str, tuple[str, ...]], domains: tuple[str, ...]) -> list[Indices]:
    """Domains of each source, by position."""
    seen: dict[str, str] = {}
    for source, names in groups.items():
        if not names:
            raise ConfigError(f"groups: source {source!r} has no domain; leave it out")
        for name in names:
            if name not in domains:
                raise ConfigError(
                    f"groups: {source!r} names an unknown domain {name!r}; there are {', '.join(domains)}"
                )
            if name in seen:
                raise ConfigError(f"groups: domain {name!r} is in {seen[name]!r} and again in {source!r}")
            seen[name] = source
    alone = [(name,) for name in domains if name not in seen]
    return [np.array([domains.index(name) for name in names]) for names in (*groups.values(), *alone)]


def _two_level(
    strengths: Floats, shares: Floats, sources: list[Indices], bounds: Bounds, rng: np.random.Generator
) -> Floats:
    """(n, m): weights of sources, each within what its topics can take, and of topics within their source's."""
    totals = np.array([shares[topics].sum() for topics in sources])
    floors = np.array([bounds.floors[topics].sum() for topics in sources])
    caps = np.array([min(1.0, bounds.caps[topics].sum()) for topics in sources])
    outer = dirichlet_within(_outer(strengths, totals / totals.sum()), floors, np.maximum(caps, floors), rng)
    weights = np.zeros((len(strengths), len(shares)))
    for source, topics in enumerate(sources):
        amount = outer[:, source]
        has = amount > _NOTHING
        scale = amount[has, None]
        inner = _outer(strengths[has], shares[topics] / max(totals[source], np.finfo(float).tiny))
        low, high = bounds.floors[topics] / scale, np.minimum(bounds.caps[topics] / scale, 1.0)
        weights[np.ix_(has, topics)] = scale * dirichlet_within(inner, np.minimum(low, high), high, rng)
    return project(weights, bounds.floors, bounds.caps)
