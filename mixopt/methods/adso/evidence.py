"""What ADSO found out: how far each scale goes with the target, and what was spent on it."""

from __future__ import annotations

from typing import Literal

from mixopt.methods.base import Evidence, record


@record
class ScaleUse:
    """A scale.

    Attributes:
        model: preset; None for the study's own model.
        parameters: of the model.
        tokens: of each run.
        cost: of a run, in target runs.
        runs: that were made.
        correlation: over mixtures, of the objective here with that at the target.
    """

    model: str | None
    parameters: int
    tokens: int
    cost: float
    runs: int
    correlation: float


@record
class AdsoEvidence(Evidence):
    """Behind ADSO's answer.

    Attributes:
        scales: cheapest first, the target last.
        spent: in target runs.
        best_measured: least objective measured at the target; None without a run there.
    """

    kind: Literal["adso"] = "adso"
    scales: tuple[ScaleUse, ...]
    spent: float
    best_measured: float | None
