"""The searchers that a benchmark replays: those of `mixopt search`, asked about a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from mixopt.arrays import Floats
from mixopt.bench.executor import place_of, rows_of
from mixopt.errors import ConfigError, first_problem
from mixopt.history import empty_history
from mixopt.methods.adso.choice import runs_paid
from mixopt.methods.problem import Problem, Size
from mixopt.methods.registry import method_named
from mixopt.mixture import Mixture
from mixopt.objective import WeightedLoss
from mixopt.plugins import is_path

if TYPE_CHECKING:
    from mixopt.bench.base import Table
    from mixopt.methods.base import Searcher
    from mixopt.methods.method import Method

# What a table is replayed with where nobody names methods; those that it does not allow are left out.
USUAL = ("random", "single-fidelity", "tokens-only", "regmix", "loglinear", "mixing-law", "gp", "adso")


@dataclass(frozen=True)
class Asked:
    """A method as it was asked for."""

    text: str  # as it was written: `gp` or `gp:32`
    name: str  # of the method: `gp`, or `module:Class`
    settings: dict[str, Any] = field(default_factory=dict)  # its options by name, the runs of `gp:32` among them

    @classmethod
    def parse(cls, text: str) -> Asked:
        """From `NAME`, `NAME:RUNS` or `module:Class`.

        Raises:
            ConfigError: no such method, or a number of runs where it takes none.
        """
        name, colon, runs = text.rpartition(":")
        if not colon or is_path(text):
            method_named(text)
            return cls(text, text)
        takes = "runs" in method_named(name).Settings.model_fields
        if not (takes and runs.isdigit() and int(runs) > 0):
            wanted = f"a number of cheap runs such as {name}:32" if takes else "no number"
            raise ConfigError(f"method {name}: it takes {wanted}, found {text!r}")
        return cls(text, name, {"runs": int(runs)})

    def having(self, settings: Mapping[str, Any]) -> Asked:
        """The same with other options, where it has them."""
        own = {key: value for key, value in settings.items() if key in self.method.Settings.option_names()}
        return replace(self, settings={**own, **self.settings})

    @property
    def method(self) -> Method[Any]:
        """What is asked for."""
        return method_named(self.name)

    def searcher(self, table: Table, objective: tuple[str, Floats], seed: int, budget: float | None) -> Searcher:
        """The method's searcher of a table.

        Options that nobody set and that a benchmark has its own answer to: all of the budget may be spent, every
        candidate confirmed, and a swarm is no larger than leaves a run at the target to be paid for.

        Args:
            table: the runs, with the evaluation domains that count.
            objective: its name and its (V,) weights.
            seed: of the order in which rows come first.
            budget: most that it may spend, in target runs; None for all that the table has.

        Raises:
            ConfigError: an option out of its range, or a table that the method cannot search.
        """
        problem = problem_of(table, objective, seed)
        everything = float(np.array([fidelity.cost for fidelity in table.fidelities]) @ table.available.sum(axis=1))
        asked = {"budget": budget or everything, "confirm": len(table.candidates)}
        searcher = self._searcher(problem, asked)
        if budget is not None and "runs" in self.method.Settings.model_fields:
            cost = table.fidelities[0].cost
            affordable = max(1, runs_paid(cost, budget))
            if len(searcher.ask(empty_history())) > affordable:
                return replace(self, settings={**self.settings, "runs": affordable})._searcher(problem, asked)
        return searcher

    def _searcher(self, problem: Problem, chosen: dict[str, Any]) -> Searcher:
        fields = self.method.Settings.model_fields
        section = {key: value for key, value in chosen.items() if key in fields} | self.settings
        try:
            settings = self.method.Settings.model_validate({**section, "name": self.name})
        except ValidationError as error:
            raise ConfigError(f"--set {first_problem(error)}") from error
        return self.method.searcher(problem, settings)


def problem_of(table: Table, objective: tuple[str, Floats], seed: int) -> Problem:
    """What a table asks of a method: the best of its rows, whatever `--objective` a method's options name."""
    name, weights = objective
    loss = WeightedLoss(Mixture(table.eval_domains, tuple(weights.tolist())), name)
    return Problem(
        domains=table.domains,
        natural=None,
        tokens=table.fidelities[-1].tokens,
        objectives=lambda _: loss,
        measured=table.eval_domains,
        sizes=tuple(Size(*place_of(f)[:1], f.parameters, f.tokens, f.cost) for f in table.fidelities),
        candidates=rows_of(table, seed),
    )
