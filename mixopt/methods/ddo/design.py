"""DDO's runs: which are wanted, and which of a history are they.

Symbols: K domains, C cells (one base, and one for each domain and factor), R runs. A cell is trained once a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mixopt.arrays import Bools, Floats, Indices, Ints
from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.role import Role

if TYPE_CHECKING:
    from mixopt.history import History


Perturb = Literal["add", "replace"]

# Runs hold whole batches and sequences, so realised amounts differ a little from those asked for. A run belongs to
# the nearest cell if no domain's amount is off by more than this, in logarithms; amounts of a thousandth of the
# run's tokens are added on both sides, so that one sequence more or less of a tiny domain does not count.
TOLERANCE = 0.1
SMALL = 1e-3
# Factors nearer to 1 than this could be taken for the base run.
LEAST_FACTOR = 1.25


@dataclass(frozen=True, eq=False)
class Cell:
    """One row of the design."""

    role: Role  # `base`, `code x3`, `code x1/3`
    domain: int | None  # index of the domain whose tokens are multiplied; None for the base
    factor: float  # by how much; 1 for the base
    tokens: Floats  # (K,) tokens asked of each domain

    @property
    def total(self) -> int:
        """Tokens of the run."""
        return round(float(self.tokens.sum()))


@dataclass(frozen=True)
class Design:
    """A base run, and runs with one domain's tokens multiplied.

    Raises:
        ConfigError: a factor or weight with which there is no such run.
    """

    reference: Mixture  # the base run's mixture; every weight above 0
    tokens: int  # the base run's tokens
    factors: tuple[float, ...] = (1 / 3, 3.0)  # multiples of a domain's tokens
    # `add` changes that domain's tokens and so the total (AutoScale's Algorithm 1); `replace` holds the total, and the
    # other domains shrink or grow in proportion (the paper's text)
    perturb: Perturb = "add"

    def __post_init__(self) -> None:
        if self.perturb not in ("add", "replace"):
            raise ConfigError(f"perturb: expected add or replace, found {self.perturb!r}")
        if not self.factors or len(set(self.factors)) != len(self.factors):
            raise ConfigError(f"factors: expected one or more different numbers, found {list(self.factors)}")
        for factor in self.factors:
            if not (np.isfinite(factor) and factor > 0 and max(factor, 1 / factor) >= LEAST_FACTOR):
                raise ConfigError(
                    f"factors: expected numbers above 0 that differ from 1 by {LEAST_FACTOR:g} times or more, "
                    f"found {factor:g}"
                )
        if len(self.reference.domains) < 2:
            raise ConfigError(f"reference: a mixture needs two domains or more, found {self.reference.to_json()}")
        for domain, weight in self.reference.to_dict().items():
            if weight <= 0:
                raise ConfigError(f"reference: {domain!r} has weight 0, which no factor changes; give it a share")
            if self.perturb == "replace" and weight * max(self.factors) >= 1:
                raise ConfigError(
                    f"factors: {max(self.factors):g} times the share of {domain!r} ({weight:.3g}) is the whole "
                    "run; use a smaller factor or perturb=add"
                )

    @property
    def cells(self) -> list[Cell]:
        """The base, then for each domain one cell a factor, greatest factor first."""
        base = self.reference.array * self.tokens
        cells = [Cell(Role("base"), None, 1.0, base)]
        for index, domain in enumerate(self.reference.domains):
            for factor in sorted(self.factors, reverse=True):
                tokens = base.copy()
                if self.perturb == "replace":
                    share = self.reference.weights[index]
                    tokens *= (1 - factor * share) / (1 - share)
                tokens[index] = factor * base[index]
                role = Role("perturbed", domain, f"{domain} {factor_name(factor)}")
                cells.append(Cell(role, index, factor, tokens))
        return cells

    def match(self, history: History, seeds: Sequence[int] | None = None) -> Ints:
        """Which cell each run fills: (R,) indices into `cells`, −1 for runs that are no part of this design.

        Where several runs of one seed are near the same cell (a recommended mixture near the base, say), the
        nearest one fills it.

        Args:
            history: runs over the reference's domains, in its order.
            seeds: the seeds that count; None for all.

        Raises:
            ConfigError: no runs or other domains; two runs of one seed that fill a cell equally well; models of
                several sizes.
        """
        if not len(history):
            roles = ", ".join(str(cell.role) for cell in self.cells)
            raise ConfigError(f"history: no run is finished, and the laws need {roles}")
        if history.domains != self.reference.domains:
            raise ConfigError(
                f"history: its domains are {', '.join(history.domains)}; the reference mixture's are "
                f"{', '.join(self.reference.domains)}"
            )
        cells = self.cells
        asked = np.stack([cell.tokens for cell in cells])  # (C, K)
        small = SMALL * self.tokens
        logs = np.log(history.tokens_seen + small)[:, None] - np.log(asked + small)
        distance = np.abs(logs).max(axis=2)  # (R, C)
        nearest = distance.argmin(axis=1)
        off = distance[np.arange(len(history)), nearest]
        found = np.where(off <= TOLERANCE, nearest, -1)
        if seeds is not None:
            found = np.where(np.isin(history.seeds, list(seeds)), found, -1)
        for cell, seed in {(int(c), int(s)) for c, s in zip(found, history.seeds, strict=True) if c >= 0}:
            rivals = np.flatnonzero((found == cell) & (history.seeds == seed))
            rivals = rivals[np.argsort(off[rivals], kind="stable")]
            if rivals.size > 1 and off[rivals[1]] - off[rivals[0]] < 1e-9:
                names = f"{history.runs[rivals[0]]!r} and {history.runs[rivals[1]]!r}"
                raise ConfigError(
                    f"history: runs {names} are both `{cells[cell].role}` with seed {seed}; give repeats different "
                    "seeds, and models of different size or settings histories of their own"
                )
            found[rivals[1:]] = -1
        sizes = sorted(set(history.parameters[found >= 0].tolist()))
        if len(sizes) > 1:
            raise ConfigError(f"history: the runs are of models with {sizes[0]} and {sizes[1]} parameters; choose one")
        return found


def factor_name(factor: float) -> str:
    """`x3`, `x1/3`, `x2.5`."""
    inverse = 1 / factor
    if factor < 1 and abs(inverse - round(inverse)) < 1e-6 * inverse:
        return f"x1/{round(inverse)}"
    return f"x{factor:.4g}"


def find_design(history: History) -> Design:
    """The DDO design that a table of runs holds, when nobody says which it is.

    The base is the run nearest to the median run: any one domain's amount is perturbed in a few runs only. A run
    belongs to the design if it differs from the base in one domain (`add`), or in one domain with the others in
    proportion at the same total (`replace`).

    Raises:
        ConfigError: there is no such design.
    """
    amounts = history.tokens_seen
    positive = np.all(amounts > 0, axis=1)
    if not positive.any():
        raise ConfigError(f"history: no run has tokens of every domain; {_EXPECTED}")
    logs = np.log(np.where(positive[:, None], amounts, 1.0))
    median = np.median(logs[positive], axis=0)
    base = int(np.where(positive, np.abs(logs - median).max(axis=1), np.inf).argmin())
    related = _Related.of(history, base)
    perturb: Perturb = "add" if related.added.sum() >= related.replaced.sum() else "replace"
    runs = related.added if perturb == "add" else related.replaced
    if not runs.any():
        raise ConfigError(f"history: no design of DDO is in it; {_EXPECTED}")
    reference = Mixture.of_array(history.domains, amounts[base])
    return Design(reference, round(float(history.tokens[base])), _distinct(related.factor[runs].tolist()), perturb)


def find_designs(history: History) -> list[Design]:
    """The DDO designs of every scale that a table of runs holds, smallest first.

    A base is told from a perturbed run by its relatives: every domain is perturbed in some run that differs from it
    in that domain alone. The run with the most relatives is a base; its design is set aside, and so on.

    Raises:
        ConfigError: there is none.
    """
    designs: list[Design] = []
    left = history.select(np.all(history.tokens_seen > 0, axis=1))
    while len(left):
        families = [_Related.of(left, row) for row in range(len(left))]
        wide = [len(set(family.domain[family.member].tolist())) for family in families]
        best = max(range(len(left)), key=lambda row: (wide[row], families[row].member.sum(), -row))
        if wide[best] < len(history.domains):
            break
        family = families[best].member | families[best].same
        designs.append(find_design(left.select(family)))
        left = left.select(~family)
    if not designs:
        raise ConfigError(f"history: no design of DDO is in it; {_EXPECTED}")
    return sorted(designs, key=lambda design: design.tokens)


_EXPECTED = "expected a base run, and runs that differ from it in one domain's tokens"


@dataclass(frozen=True, eq=False)
class _Related:
    """How the runs of a history differ from one of them."""

    domain: Ints  # (R,) the domain in which each differs most from the rest of its difference
    factor: Floats  # (R,) ratio of that domain's tokens
    added: Bools  # (R,) it differs in that domain alone
    replaced: Bools  # (R,) it has the same total, and its other domains are in proportion
    same: Bools  # (R,) it has the same amounts: a repeat, or the run itself

    @property
    def member(self) -> Bools:
        """(R,) it is a perturbed run of one kind or the other."""
        return self.added | self.replaced

    @classmethod
    def of(cls, history: History, base: int) -> _Related:
        amounts = history.tokens_seen
        positive = np.all(amounts > 0, axis=1)
        logs = np.log(np.where(positive[:, None], amounts, 1.0))
        ratio = logs - logs[base]
        # Where others stay, the greatest change is the domain's; where they shrink together, that which is apart.
        alone = np.abs(ratio).argmax(axis=1)
        apart = np.abs(ratio - np.median(ratio, axis=1, keepdims=True)).argmax(axis=1)
        added = positive & (np.abs(_without(ratio, alone)).max(axis=1) <= TOLERANCE)
        held = np.abs(np.log(history.tokens / history.tokens[base])) <= TOLERANCE / 2
        replaced = positive & held & (np.ptp(_without(ratio, apart), axis=1) <= TOLERANCE / 2)
        domain = np.where(added, alone, apart)
        change = ratio[np.arange(len(history)), domain]
        enough = np.abs(change) >= np.log(LEAST_FACTOR)
        same = positive & (np.abs(ratio).max(axis=1) <= TOLERANCE)
        return cls(domain, np.exp(change), added & enough, replaced & enough & ~added, same)


def _without(array: Floats, columns: Indices) -> Floats:
    """(R, K − 1) of (R, K): each row without one of its entries."""
    keep = np.arange(array.shape[1]) != columns[:, None]
    return array[keep].reshape(len(array), -1)


def _distinct(factors: list[float]) -> tuple[float, ...]:
    """Factors that rounding alone keeps apart, merged into their median; near whole multiples are taken as such."""
    groups: list[list[float]] = []
    for factor in sorted(factors):
        if groups and np.log(factor / groups[-1][0]) <= TOLERANCE:
            groups[-1].append(factor)
        else:
            groups.append([factor])
    merged = []
    for group in groups:
        middle = float(np.median(group))
        whole = round(middle) if middle > 1 else 1 / round(1 / middle)
        merged.append(float(whole) if abs(np.log(middle / whole)) <= TOLERANCE / 2 else middle)
    return tuple(merged)
