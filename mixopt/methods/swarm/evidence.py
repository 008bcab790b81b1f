"""What a one-shot search found out: its swarm, its law on mixtures left out, and the front of two objectives."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from pydantic import JsonValue

from mixopt.methods.base import Evidence, record


@record
class SwarmPoint:
    """A mixture that was trained.

    Attributes:
        runs: ids.
        weights: by domain.
        measured: the objective, mean over seeds.
        fitted: by the law; None without a law.
        left_out: by the law without this mixture.
    """

    runs: tuple[str, ...]
    weights: dict[str, float]
    measured: float
    fitted: float | None = None
    left_out: float | None = None


@record
class LawScore:
    """Predictions of mixtures left out.

    Attributes:
        rmse: root mean square error, in the units of what is predicted.
        relative: the same, of the measured values' mean.
        mean_rmse: that of predicting the mean of the others.
        spearman: rank correlation; None where predicted or measured are constant.
    """

    rmse: float
    relative: float
    mean_rmse: float
    spearman: float | None


@record
class LearningPoint:
    """The law's error with fewer mixtures.

    Attributes:
        runs: mixtures that it was fitted to.
        rmse: on the others.
    """

    runs: int
    rmse: float


@record
class SwarmLaw:
    """The law and how it was checked.

    Attributes:
        name: of the regressor.
        title: in words.
        score: of the objective.
        losses: by evaluation domain.
        learning_curve: fewest mixtures first.
        more_runs: what the curve says of more runs; None where it is too short.
        tried: every law by name, or why it was refused.
        parameters: the law in words under `law`, and its parameters.
        convex: whether the optimum is the only one.
        kl: pull towards the natural mixture.
    """

    name: str
    title: str
    score: LawScore
    losses: dict[str, LawScore]
    learning_curve: tuple[LearningPoint, ...]
    more_runs: str | None
    tried: dict[str, LawScore | str]
    parameters: dict[str, JsonValue]
    convex: bool
    kl: float


@record
class FrontPoint:
    """A mixture that no other beats in both objectives.

    Attributes:
        values: the two, predicted.
        weights: by domain.
    """

    values: tuple[float, float]
    weights: dict[str, float]


@record
class FrontEvidence:
    """The front of two objectives.

    Attributes:
        objectives: their names.
        units: their units.
        convex: whether none of it is missed.
        points: from the best for the first objective to the best for the second.
        baselines: both objectives of other mixtures, by name.
    """

    objectives: tuple[str, str]
    units: tuple[str, str]
    convex: bool
    points: tuple[FrontPoint, ...]
    baselines: dict[str, tuple[float, float]]


@record
class Extended:
    """The earlier study that was extended by new domains.

    Attributes:
        study: its id.
        runs: ids of its runs that count.
        differences: why they do not, in words.
        shares: of the earlier domains among themselves.
        coordinates: the answer in the earlier mixture and the new domains.
    """

    study: str
    runs: tuple[str, ...]
    differences: tuple[str, ...]
    shares: dict[str, float]
    coordinates: dict[str, float] = field(default_factory=dict)


@record
class SwarmEvidence(Evidence):
    """Behind the answer of a one-shot search.

    Attributes:
        swarm: its mixtures.
        law: None where the best measured mixture is advised.
        pareto: None where one objective was asked for.
        extended: None for a search of its own.
    """

    kind: Literal["swarm"] = "swarm"
    swarm: tuple[SwarmPoint, ...]
    law: SwarmLaw | None = None
    pareto: FrontEvidence | None = None
    extended: Extended | None = None
