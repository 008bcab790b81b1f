"""What AutoScale found out: an optimum at each scale, and how they go on to the target by either predictor."""

from __future__ import annotations

from typing import Literal

from mixopt.methods.base import Estimate, Evidence, Noise, record
from mixopt.methods.joint.evidence import JointLaw


@record
class ScaleOptimum:
    """DDO's answer at a scale; of an optimum found elsewhere, only tokens, weights and pinned domains are known.

    Attributes:
        tokens: of the base run.
        weights: the optimum.
        intervals: 95 %, by domain.
        pinned: domains at a bound.
        predicted: objective of the optimum, by the scale's own laws.
        base_objective: of the base run.
        noise: of a run.
        runs: ids.
    """

    tokens: int
    weights: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    pinned: tuple[str, ...]
    predicted: float | None = None
    base_objective: float | None = None
    noise: Noise | None = None
    runs: tuple[str, ...] = ()


@record
class Advised:
    """The target's mixture by one predictor.

    Attributes:
        weights: by domain.
        intervals: 95 %, by domain.
        predicted: its objective; None where no law predicts one.
    """

    weights: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    predicted: Estimate | None


@record
class Why:
    """Why a predictor advises.

    Attributes:
        reason: for a reader.
        measure: what `errors` are.
        errors: of each predictor, relative.
    """

    reason: str
    measure: str
    errors: dict[str, float]


@record
class PathLine:
    """A domain's weight along the path from the smallest scale to the target.

    Attributes:
        weights: (P,).
        low: (P,) lower ends of 95 % intervals; None where there are none.
        high: (P,) upper ends.
    """

    weights: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None


@record
class Path:
    """The advising predictor's mixtures along the way.

    Attributes:
        tokens: (P,).
        domains: by name.
    """

    tokens: tuple[float, ...]
    domains: dict[str, PathLine]


@record
class GuessEvidence:
    """A mixture predicted for the scale held out.

    Attributes:
        weights: by domain.
        distance: total variation to the optimum found there.
        predicted: its objective by that scale's own laws; None without runs.
        excess: by how much that is above the optimum's, relative; None without runs.
    """

    weights: dict[str, float]
    distance: float
    predicted: float | None
    excess: float | None


@record
class HoldOutEvidence:
    """The largest scale predicted from the others.

    Attributes:
        tokens: of that scale.
        source: tokens of the others.
        optimum: found there.
        predicted: its objective; None without runs.
        spread: mean total variation of its replicates; None without runs.
        guesses: by name.
    """

    tokens: int
    source: tuple[int, ...]
    optimum: dict[str, float]
    predicted: float | None
    spread: float | None
    guesses: dict[str, GuessEvidence]


@record
class GrowthEvidence:
    """The geometric law.

    Attributes:
        law: in words.
        steps: from the largest scale to the target; None where nothing grows.
        factors: growth of each domain's tokens a step.
        held: domains that keep the largest scale's share.
        residuals: of log tokens, by scale and domain.
        residual_rms: of those that lines go through.
    """

    law: str
    steps: float | None
    factors: dict[str, float]
    held: tuple[str, ...]
    residuals: tuple[dict[str, float], ...]
    residual_rms: float


@record
class AutoScaleEvidence(Evidence):
    """Behind AutoScale's answer.

    Attributes:
        scales: smallest first.
        predictors: by name: `geometric`, and `joint` where there are runs.
        chosen: the one that advises.
        choice: why; None of optima that were found elsewhere.
        path: of the one that advises.
        holdout: None with two scales.
        geometric: the law of the optima.
        joint: the law of all runs; None without runs.
    """

    kind: Literal["autoscale"] = "autoscale"
    scales: tuple[ScaleOptimum, ...]
    predictors: dict[str, Advised]
    chosen: str
    choice: Why | None
    path: Path
    holdout: HoldOutEvidence | None
    geometric: GrowthEvidence
    joint: JointLaw | None
