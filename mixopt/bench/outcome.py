"""What came of replaying several methods on one table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixopt.arrays import Floats
    from mixopt.bench.base import Table
    from mixopt.bench.replay import Replay
    from mixopt.methods.base import Estimate


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one method did.

    Attributes:
        name: as it was asked for.
        title: in words.
        reach: mean cost until a mixture of the true top was measured, in target runs, with its 95 % bootstrap
            interval over seeds; without one where it is known exactly.
        missed: seeds that never got there; they count with all that they spent, so `reach` is too low then.
        regret: mean regret of the recommendation at each of `COSTS`, in the objective's units.
        against: by another method, its cost to reach the top over this one's: 6 is six times ahead.
        rank_correlation: median over seeds of Spearman's between prediction and truth; None without a prediction.
        curve: (4, n) costs, mean regret, and the ends of its interval; NaN before every seed has a recommendation.
        replays: one a seed; none for what is known exactly.
    """

    name: str
    title: str
    reach: Estimate
    missed: int
    regret: dict[float, Estimate]
    against: dict[str, Estimate]
    rank_correlation: float | None
    curve: Floats
    replays: tuple[Replay, ...]


@dataclass(frozen=True, eq=False)
class Bench:
    """All methods on one table.

    Attributes:
        table: that was replayed.
        objective: as it was asked for.
        top: how many of the best candidates count as the top.
        seeds: S.
        budget: most that each replay could spend; None for as much as it took.
        outcomes: one a method, in the order asked for.
    """

    table: Table
    objective: str
    top: int
    seeds: int
    budget: float | None
    outcomes: tuple[Outcome, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON values: settings, every method's figures, every purchase and recommendation of every replay."""
        table = self.table
        return {
            "table": table.name,
            "source": table.source,
            "notes": list(table.notes),
            "fidelities": [
                {
                    "name": fidelity.name,
                    "parameters": fidelity.parameters,
                    "tokens": fidelity.tokens,
                    "cost": fidelity.cost,
                    "runs": int(there.sum()),
                }
                for fidelity, there in zip(table.fidelities, table.available, strict=True)
            ],
            "objective": self.objective,
            "top": self.top,
            "seeds": self.seeds,
            "budget": self.budget,
            "methods": {outcome.name: _outcome_dict(outcome) for outcome in self.outcomes},
        }


def _outcome_dict(outcome: Outcome) -> dict[str, Any]:
    def estimate(found: Estimate) -> dict[str, float | None]:
        return {"value": found.value, "low": found.low, "high": found.high}

    return {
        "title": outcome.title,
        "cost_to_reach": estimate(outcome.reach),
        "seeds_that_missed": outcome.missed,
        "regret": {f"{cost:g}": estimate(found) for cost, found in outcome.regret.items()},
        "times_ahead_of": {name: estimate(found) for name, found in outcome.against.items()},
        "rank_correlation": outcome.rank_correlation,
        "replays": [
            {
                "seed": replay.seed,
                "reached": replay.reached if math.isfinite(replay.reached) else None,
                "spent": replay.spent.tolist(),
                "mixture": replay.mixture.tolist(),
                "fidelity": replay.fidelity.tolist(),
                "advised": replay.advised.tolist(),
                "recommended": replay.recommended.tolist(),
                "regret": replay.regret.tolist(),
                "refused": replay.refused,
            }
            for replay in outcome.replays
        ],
    }
