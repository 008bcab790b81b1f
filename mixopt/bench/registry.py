"""Search methods for replays, by name. A new one is a class with `next` and `recommend`, and a line here."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mixopt.bench.methods.adso import Adso
from mixopt.bench.methods.one_shot import OneShot
from mixopt.bench.methods.random_search import RandomSearch
from mixopt.errors import ConfigError
from mixopt.methods.swarm.regressors.gp import GaussianProcessRegressor
from mixopt.methods.swarm.regressors.loglinear import LogLinear
from mixopt.methods.swarm.regressors.mixing_law import MixingLawRegressor
from mixopt.methods.swarm.regressors.regmix import RegMix

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixopt.bench.base import Method, Problem
    from mixopt.methods.swarm.regressors.base import Regressor


@dataclass(frozen=True)
class Entry:
    """A method as the command line offers it.

    Attributes:
        title: in words, for tables and plots.
        make: a new method of a problem; the number is that of cheap runs, for methods that take one.
        runs: that number, unless `name:runs` gives another; None for methods that choose by themselves.
        learns_from: what it needs beside target runs: nothing, cheaper runs, or shorter runs of the target's size.
    """

    title: str
    make: Callable[[Problem, int], Method]
    runs: int | None = None
    learns_from: Literal["nothing", "cheaper", "shorter"] = "cheaper"

    def possible(self, problem: Problem) -> bool:
        """Whether the problem has what it learns from."""
        *below, target = problem.fidelities
        if self.learns_from == "shorter":
            return any(fidelity.parameters == target.parameters for fidelity in below)
        return self.learns_from == "nothing" or bool(below)


def _one_shot(regressor: type[Regressor], runs: int) -> Entry:
    return Entry(regressor.title, lambda _, count: OneShot(regressor(), count), runs)


def _screen(_: Problem, runs: int) -> Method:
    return OneShot(GaussianProcessRegressor(), runs, by_domain=False)


METHODS: dict[str, Entry] = {
    "random": Entry("random search", lambda *_: RandomSearch(), learns_from="nothing"),
    "single-fidelity": Entry(
        "Bayesian optimisation at the target",
        lambda problem, _: Adso(problem, "single-fidelity"),
        learns_from="nothing",
    ),
    "tokens-only": Entry(
        "ADSO over tokens only", lambda problem, _: Adso(problem, "tokens-only"), learns_from="shorter"
    ),
    "screen": Entry("screening: a Gaussian process of the objective alone", _screen, 64),
    "regmix": _one_shot(RegMix, 128),
    "loglinear": _one_shot(LogLinear, 64),
    "mixing-law": _one_shot(MixingLawRegressor, 64),
    "gp": _one_shot(GaussianProcessRegressor, 64),
    "adso": Entry("ADSO", lambda problem, _: Adso(problem)),
}


@dataclass(frozen=True)
class Chosen:
    """A method with its number of cheap runs.

    Attributes:
        name: as it was written: `gp` or `gp:32`.
        entry: what the registry has.
        runs: cheap runs; 0 for methods that take no number.
    """

    name: str
    entry: Entry
    runs: int

    def make(self, problem: Problem) -> Method:
        """A new one."""
        return self.entry.make(problem, self.runs)


def find_method(text: str) -> Chosen:
    """The method called `name`, or `name:runs` with another number of cheap runs.

    Raises:
        ConfigError: no such method, or a number where it takes none.
    """
    name, colon, runs = text.partition(":")
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1, cutoff=0.4)
        raise ConfigError(f"method: expected {', '.join(near or METHODS)}, found {text!r}")
    entry = METHODS[name]
    if not colon:
        return Chosen(text, entry, entry.runs or 0)
    if entry.runs is None or not (runs.isdigit() and int(runs) > 0):
        takes = f"a number of cheap runs such as {name}:32" if entry.runs else "no number"
        raise ConfigError(f"method {name}: it takes {takes}, found {text!r}")
    return Chosen(text, entry, int(runs))
