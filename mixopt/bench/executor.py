"""A table in an executor's place: it looks finished runs up, and hands out none that was not paid for."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np

from mixopt.errors import ConfigError
from mixopt.history import History
from mixopt.methods.simplex.candidates import Rows
from mixopt.methods.simplex.designs import SAME
from mixopt.mixture import Mixture, total_variation
from mixopt.result import DomainResult, Ended, RunResult
from mixopt.store.frames import with_curves
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.bench.base import Fidelity, Table
    from mixopt.methods.base import Proposal, Run


R = TypeVar("R", bound="Run")

# A run that nobody waited for.
looked_up = partial(RunResult, train_seconds=0.0, seconds=0.0, device="table")


class Ledger:
    """What was spent of a budget, in target runs.

    Raises:
        ConfigError: the budget does not pay for a single target run.
    """

    def __init__(self, budget: float = math.inf) -> None:
        if not budget >= 1:
            raise ConfigError(f"budget: expected at least 1 (one run at the target), found {budget:g}")
        self.budget, self.spent = budget, 0.0

    def charge(self, cost: float) -> bool:
        """Pay for a run if the budget does, within rounding of the sum; whether it was paid for."""
        affordable = self.spent + cost <= self.budget * (1 + 1e-9)
        self.spent += cost if affordable else 0.0
        return affordable


class TableExecutor:
    """An `Executor` whose runs were made long ago.

    A job that there is no run for, or that the budget does not cover, has failed; its numbers stay where they are.

    Args:
        find: the run of an id, and its cost in target runs; None where there is none.
        ledger: pays.
    """

    def __init__(self, find: Callable[[str], tuple[RunResult, float] | None], ledger: Ledger | None = None) -> None:
        self._find, self.ledger = find, ledger or Ledger()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""

    def workers(self) -> int:
        """One look-up at a time."""
        return 1

    def run(self, jobs: Sequence[R], on_event: Callable[..., None]) -> Generator[tuple[R, Ended]]:
        """Look `jobs` up in order; see `Executor.run`. A look-up has no events."""
        for job in jobs:
            found = self._find(job.run_id)
            if found is not None and self.ledger.charge(found[1]):
                yield job, Ended(found[0])
                continue
            left = self.ledger.budget - self.ledger.spent
            error = f"it costs {found[1]:g} target runs, and {left:g} are left" if found else "there is no such run"
            lost = looked_up(
                run_id=job.run_id, status="failed", domains={}, tokens=0, parameters=0, flops=0.0, error=error
            )
            yield job, Ended(lost)


def place_of(fidelity: Fidelity) -> tuple[str | None, int]:
    """How proposals name a fidelity: its size as the model's preset, and its tokens."""
    return str(fidelity.parameters), fidelity.tokens


def rows_of(table: Table, seed: int) -> Rows:
    """The table's mixtures to choose from."""
    places = [place_of(fidelity) for fidelity in table.fidelities]
    return Rows(table.domains, table.mixtures, dict(zip(places, table.available, strict=True)), places[-1], seed)


@dataclass(frozen=True)
class TableRun:
    """A run of a table: row of the mixture and index of the scale."""

    row: int
    fidelity: int

    @property
    def run_id(self) -> str:
        """Its name in histories."""
        return f"{self.row}@{self.fidelity}"


@dataclass(frozen=True, eq=False)
class TableRuns:
    """What a table has, as jobs, results and a history."""

    table: Table

    def run_of(self, proposal: Proposal) -> TableRun:
        """A proposal as a run of the table.

        Raises:
            ConfigError: it is of no mixture or of no scale that the table has.
        """
        table, place = self.table, (proposal.model, proposal.tokens)
        places = [place_of(fidelity) for fidelity in table.fidelities]
        if place not in places:
            raise ConfigError(
                f"table {table.name}: expected runs of {', '.join(f.name for f in table.fidelities)}, found one of "
                f"{proposal.model or 'no named size'} x {format_count(proposal.tokens)}; a method can be replayed "
                "if it chooses among its problem's sizes and candidates"
            )
        fidelity = places.index(place)
        return TableRun(self.row_of(proposal.mixture, fidelity, str(proposal.role)), fidelity)

    def row_of(self, mixture: Mixture, fidelity: int, role: str) -> int:
        """The row of a mixture that was run at a scale.

        Raises:
            ConfigError: there is none; the message says what the mixture is for (`role`).
        """
        table = self.table
        away = total_variation(table.mixtures, mixture.ordered(table.domains).array)
        away[~table.available[fidelity]] = np.inf
        row = int(away.argmin())
        if away[row] > SAME:
            raise ConfigError(
                f"table {table.name}: no run at {table.fidelities[fidelity].name} is of the mixture that a method "
                f"asked for ({role}); the nearest is {away[row]:.2g} away (total variation); a method can be "
                "replayed if it chooses among its problem's candidates"
            )
        return row

    def find(self, run_id: str) -> tuple[RunResult, float] | None:
        """The run of an id, and its cost."""
        row, index = map(int, run_id.split("@"))
        table, scale = self.table, self.table.fidelities[index]
        if not table.available[index, row]:
            return None
        seen = Mixture.of_array(table.domains, table.mixtures[row]).counts(scale.tokens)
        tokens = dict(zip(table.domains, seen.tolist(), strict=True))
        losses = dict(zip(table.eval_domains, table.losses[index, row].tolist(), strict=True))
        points, width = [at for at in table.points_of(index) if table.available[at, row]], len(losses)
        result = looked_up(
            run_id=run_id,
            status="finished",
            domains={
                name: DomainResult(
                    loss=losses.get(name),
                    bits_per_byte=None,
                    train_loss=None,
                    tokens_seen=tokens.get(name, 0),
                    unique_tokens=0,
                )
                for name in tokens | losses
            },
            tokens=scale.tokens,
            parameters=scale.parameters,
            flops=6.0 * scale.parameters * scale.tokens,
            curve={
                "tokens": np.repeat([table.fidelities[at].tokens for at in points], width).tolist(),
                "split": ["validation"] * (width * len(points)),
                "domain": list(losses) * len(points),
                "loss": table.losses[points, row].ravel().tolist(),
            },
        )
        return result, scale.cost

    def history(self, paid: Mapping[str, RunResult], run_ids: Sequence[str]) -> History:
        """Those of some runs that were paid for."""
        results = [paid[run] for run in run_ids if run in paid]
        domains, measured = self.table.domains, self.table.eval_domains
        seen = [[result.domains[name].tokens_seen for name in domains] for result in results]
        losses = [[result.domains[name].loss for name in measured] for result in results]
        history = History(
            runs=tuple(result.run_id for result in results),
            domains=domains,
            eval_domains=measured,
            tokens_seen=np.array(seen, dtype=np.float64).reshape(-1, len(domains)),
            losses=np.array(losses, dtype=np.float64).reshape(-1, len(measured)),
            seeds=np.zeros(len(results), dtype=np.int64),
            parameters=np.array([result.parameters for result in results], dtype=np.int64),
        )
        return with_curves(history, lambda run: paid[run].curve) if self.table.curves else history
