"""What a joint law says: its parameters, every run measured and fitted, and what it missed of runs left out."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from mixopt.methods.base import Evidence, Noise, record
from mixopt.methods.ddo.evidence import Line


@record
class LargestScale:
    """The largest scale predicted from the others.

    Attributes:
        tokens: of that scale.
        reach: logarithm of how much larger it is than the largest of the others.
        error: root mean square of what was missed, relative.
        error_of_differences: the same of differences between mixtures.
    """

    tokens: float
    reach: float
    error: float
    error_of_differences: float


@record
class Checked:
    """A form of the law on runs that it was not fitted to.

    Attributes:
        error: root mean square, relative to the objective.
        spearman: rank correlation of predicted and measured; None where either is constant.
        predicted: (C,) objectives, each without its cell.
        largest_scale: None with a single scale.
    """

    error: float
    spearman: float | None
    predicted: tuple[float, ...]
    largest_scale: LargestScale | None


@record
class CellEvidence:
    """Runs of one mixture and length.

    Attributes:
        runs: ids.
        tokens: by domain.
        measured: the objective, mean over seeds.
        fitted: by the law.
        left_out: by the law without these runs.
    """

    runs: tuple[str, ...]
    tokens: dict[str, float]
    measured: float
    fitted: float
    left_out: float


@record
class DomainLaw:
    """Parameters of one domain.

    Attributes:
        amplitude: of the part that falls.
        exponent: how fast it falls.
        offset: tokens already had, of the additive form; None of the other.
        floor: what remains, of the form per domain; None of the other.
        transfer: what a token of each domain is worth to this one; none of the additive form.
    """

    amplitude: float
    exponent: float
    offset: float | None = None
    floor: float | None = None
    transfer: dict[str, float] = field(default_factory=dict)

    @property
    def numbers(self) -> dict[str, float]:
        """Its own parameters by name."""
        parts = {"floor": self.floor, "amplitude": self.amplitude, "offset": self.offset, "exponent": self.exponent}
        return {name: value for name, value in parts.items() if value is not None}


@record
class JointLaw:
    """A law of all runs.

    Attributes:
        form: `additive` or `per_domain`.
        law: in words.
        unit_tokens: unit of each domain's tokens in the parameters.
        parameters: of each domain.
        floor: of the additive form, which has one for all domains; else None.
        noise: of a run.
        cross_validation: by form that was tried.
        cells: the runs.
    """

    form: Literal["additive", "per_domain"]
    law: str
    unit_tokens: dict[str, float]
    parameters: dict[str, DomainLaw]
    floor: float | None
    noise: Noise
    cross_validation: dict[str, Checked]
    cells: tuple[CellEvidence, ...]


@record
class OwnLoss:
    """A domain's own loss in every cell.

    Attributes:
        tokens: (C,) effective tokens: all domains' by what a token of each is worth.
        measured: (C,) nats/token.
        fitted: (C,) by the law.
    """

    tokens: tuple[float, ...]
    measured: tuple[float, ...]
    fitted: tuple[float, ...]


@record
class JointEvidence(Evidence):
    """Behind the answer of a joint law of DDO's runs.

    Attributes:
        joint: the law.
        perturb: `add` or `replace`.
        base_objective: of the base run, by the law.
        base_tokens: of the base run.
        misfit: relative standard error of predictions at the target.
        domains: the law along each domain's tokens.
        losses: each domain's own; none of an additive law.
    """

    kind: Literal["joint"] = "joint"
    joint: JointLaw
    perturb: str
    base_objective: float
    base_tokens: int
    misfit: float
    domains: dict[str, Line]
    losses: dict[str, OwnLoss]
