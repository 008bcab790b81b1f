"""What DDO found out: a law of each domain's tokens, with the runs that it was fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mixopt.methods.base import Evidence, record

if TYPE_CHECKING:
    from mixopt.arrays import Floats

    Array = Floats


@record
class Points:
    """Measured runs along a domain's tokens.

    Attributes:
        x: (P,) tokens, multiples of the base run's.
        y: (P,) objectives.
        sd: (P,) their standard deviations.
        runs: ids behind each.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    sd: tuple[float, ...]
    runs: tuple[tuple[str, ...], ...]


@record
class Curve:
    """A law along a domain's tokens.

    Attributes:
        x: (P,) tokens, multiples of the base run's.
        y: (P,) objectives.
        low: (P,) lower ends of their 95 % band.
        high: (P,) upper ends.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, x: Array, y: Array, low: Array, high: Array) -> Curve:
        """From (P,) arrays; the band is made to hold the law."""
        arrays = {"x": x, "y": y, "low": np.minimum(low, y), "high": np.maximum(high, y)}
        return cls(**{name: tuple(array.tolist()) for name, array in arrays.items()})


@record
class Line:
    """What is known of one domain.

    Attributes:
        law: parameters by name.
        points: what was measured.
        curve: the law.
        recommended_x: the amount advised, in multiples of the base run's.
    """

    law: dict[str, float]
    points: Points
    curve: Curve
    recommended_x: float


@record
class DdoEvidence(Evidence):
    """Behind DDO's answer.

    Attributes:
        law: in words.
        perturb: `add` or `replace`.
        balanced: whether curves are of runs that hold the total.
        base_objective: of the base run.
        base_tokens: of the base run.
        optimism: by how much the least of noisy predictions is too low, in the objective's units.
        domains: by name.
    """

    kind: Literal["ddo"] = "ddo"
    law: str
    perturb: str
    balanced: bool
    base_objective: float
    base_tokens: int
    optimism: float
    domains: dict[str, Line]
