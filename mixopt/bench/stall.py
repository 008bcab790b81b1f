"""A table's runs as jobs, results and a history: what stands between a searcher and the numbers.

Symbols: M mixtures, K training domains, V evaluation domains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.bench.ledger import Offer
from mixopt.errors import ConfigError
from mixopt.history import History
from mixopt.methods.candidates import SAME, Rows
from mixopt.mixture import Mixture
from mixopt.result import DomainResult, RunResult
from mixopt.store.points import with_curves
from mixopt.units import format_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mixopt.bench.base import Fidelity, Table
    from mixopt.methods.base import Proposal


def place_of(fidelity: Fidelity) -> tuple[str, int]:
    """How proposals name a fidelity: its size as the model's preset, and its tokens."""
    return str(fidelity.parameters), fidelity.tokens


def rows_of(table: Table, seed: int) -> Rows:
    """The table's mixtures to choose from."""
    places = [place_of(fidelity) for fidelity in table.fidelities]
    return Rows(table.domains, table.mixtures, dict(zip(places, table.available, strict=True)), places[-1], seed)


@dataclass(frozen=True)
class TableRun:
    """A run of a table.

    Attributes:
        row: of the mixture.
        fidelity: index of the scale.
    """

    row: int
    fidelity: int

    @property
    def run_id(self) -> str:
        """Its name in histories."""
        return f"{self.row}@{self.fidelity}"


@dataclass(frozen=True, eq=False)
class Stall:
    """What a table has for sale.

    Attributes:
        table: the runs.
    """

    table: Table

    def planned(self, proposals: Iterable[Proposal]) -> list[TableRun]:
        """Proposals as runs of the table.

        Raises:
            ConfigError: a proposal is of no mixture or of no scale that the table has.
        """
        return [self._planned(proposal) for proposal in proposals]

    def _planned(self, proposal: Proposal) -> TableRun:
        table = self.table
        places = [place_of(fidelity) for fidelity in table.fidelities]
        if (proposal.model, proposal.tokens) not in places:
            raise ConfigError(
                f"table {table.name}: expected runs of {', '.join(f.name for f in table.fidelities)}, found one of "
                f"{proposal.model or 'no named size'} x {format_count(proposal.tokens)}; a method can be replayed "
                "if it chooses among its problem's sizes and candidates"
            )
        fidelity = places.index((proposal.model, proposal.tokens))
        return TableRun(self._row(proposal.mixture, fidelity, str(proposal.role)), fidelity)

    def recommended(self, mixture: Mixture) -> int:
        """The row of a recommended mixture, which can be run at the target.

        Raises:
            ConfigError: there is none.
        """
        return self._row(mixture, len(self.table.fidelities) - 1, "recommended")

    def _row(self, mixture: Mixture, fidelity: int, role: str) -> int:
        table = self.table
        away = 0.5 * np.abs(table.mixtures - mixture.ordered(table.domains).array).sum(axis=1)
        away[~table.available[fidelity]] = np.inf
        row = int(away.argmin())
        if away[row] > SAME:
            raise ConfigError(
                f"table {table.name}: no run at {table.fidelities[fidelity].name} is of the mixture that a method "
                f"asked for ({role}); the nearest is {away[row]:.2g} away (total variation); a method can be "
                "replayed if it chooses among its problem's candidates"
            )
        return row

    def find(self, run_id: str) -> Offer | None:
        """The run of an id, with its price."""
        row, _, fidelity = run_id.partition("@")
        run = TableRun(int(row), int(fidelity))
        if not self.table.available[run.fidelity, run.row]:
            return None
        return Offer(self._result(run), self.table.fidelities[run.fidelity].cost)

    def _result(self, run: TableRun) -> RunResult:
        table, scale = self.table, self.table.fidelities[run.fidelity]
        seen = Mixture.normalised(dict(zip(table.domains, table.mixtures[run.row].tolist(), strict=True)))
        tokens = dict(zip(table.domains, seen.counts(scale.tokens).tolist(), strict=True))
        losses = dict(zip(table.eval_domains, table.losses[run.fidelity, run.row].tolist(), strict=True))
        points = [at for at in table.points_of(run.fidelity) if table.available[at, run.row]]
        width = len(table.eval_domains)
        return RunResult(
            run_id=run.run_id,
            status="finished",
            domains={
                name: DomainResult(
                    loss=losses.get(name),
                    bits_per_byte=None,
                    train_loss=None,
                    tokens_seen=tokens.get(name, 0),
                    unique_tokens=0,
                )
                for name in dict.fromkeys((*table.domains, *table.eval_domains))
            },
            tokens=scale.tokens,
            parameters=scale.parameters,
            flops=6.0 * scale.parameters * scale.tokens,
            train_seconds=0.0,
            seconds=0.0,
            device="table",
            curve={
                "tokens": np.repeat([table.fidelities[at].tokens for at in points], width).tolist(),
                "split": ["validation"] * (width * len(points)),
                "domain": list(table.eval_domains) * len(points),
                "loss": table.losses[points, run.row].ravel().tolist(),
            },
        )

    def history(self, results: Mapping[str, RunResult], run_ids: Sequence[str]) -> History:
        """Runs that were paid for, of the ids given."""
        paid = [results[run] for run in run_ids if run in results]
        domains, measured = self.table.domains, self.table.eval_domains
        seen = [[result.domains[name].tokens_seen for name in domains] for result in paid]
        losses = [[result.domains[name].loss for name in measured] for result in paid]
        history = History(
            runs=tuple(result.run_id for result in paid),
            domains=domains,
            eval_domains=measured,
            tokens_seen=np.array(seen, dtype=np.float64).reshape(-1, len(domains)),
            losses=np.array(losses, dtype=np.float64).reshape(-1, len(measured)),
            seeds=np.zeros(len(paid), dtype=np.int64),
            parameters=np.array([result.parameters for result in paid], dtype=np.int64),
        )
        return with_curves(history, lambda run: results[run].curve) if self.table.curves else history
