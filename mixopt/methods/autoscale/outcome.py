"""What AutoScale found, as one value, and the evidence that tables, figures and reports show of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.methods.autoscale.evidence import (
    Advised,
    AutoScaleEvidence,
    GrowthEvidence,
    Path,
    PathLine,
    ScaleOptimum,
    Why,
)
from mixopt.methods.intervals import weight_intervals
from mixopt.mixture import Mixture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mixopt.arrays import Floats
    from mixopt.methods.autoscale.choice import Choice, HoldOut
    from mixopt.methods.autoscale.extrapolate import Growth
    from mixopt.methods.autoscale.scales import Geometric, Joint, Predictor, Scale
    from mixopt.methods.joint.advice import Forecast
    from mixopt.solve import Bounds, Supply

# Along the path from the smallest scale to the target.
_PATH_POINTS = 16


@dataclass(frozen=True, eq=False)
class Outcome:
    """Everything behind a recommendation of AutoScale.

    Attributes:
        scales: DDO's answers, smallest scale first.
        geometric: the predictor on the scales' optima.
        joint: the predictor on all runs.
        target: tokens.
        bounds_at: floors and caps for a training of so many tokens.
        supply: how much text there is; None if nobody said.
        advised: the target's optimum by predictor.
        drawn: (B, K) replicates of it by predictor.
        choice: which predictor advises.
        held: the hold-out check; None with two scales.
        baselines: mixtures to compare with, by name.
        forecast: what each mixture is predicted to reach.
    """

    scales: Sequence[Scale]
    geometric: Geometric
    joint: Joint
    target: int
    bounds_at: Callable[[float], Bounds]
    supply: Supply | None
    advised: Mapping[str, Mixture]
    drawn: Mapping[str, Floats]
    choice: Choice
    held: HoldOut | None
    baselines: Mapping[str, Mixture]
    forecast: Forecast

    @property
    def mixture(self) -> Mixture:
        """The recommended one."""
        return self.advised[self.choice.name]

    @property
    def bounds(self) -> Bounds:
        """At the target."""
        return self.bounds_at(self.target)

    def intervals(self, name: str) -> dict[str, tuple[float, float]]:
        """95 % interval of each weight by a predictor."""
        return weight_intervals(self.advised[name], self.drawn[name])

    def evidence(self) -> AutoScaleEvidence:
        """Weights are shares, losses in the objective's units."""
        domains, choice = self.mixture.domains, self.choice
        return AutoScaleEvidence(
            scales=tuple(self._scale(scale) for scale in self.scales),
            predictors={
                name: Advised(
                    weights=mixture.to_dict(),
                    intervals=self.intervals(name),
                    predicted=self.forecast.predicted.get(name),
                )
                for name, mixture in self.advised.items()
            },
            chosen=choice.name,
            choice=Why(reason=choice.reason, measure=choice.measure, errors=choice.errors),
            path=self._path(),
            holdout=self.held.evidence(domains) if self.held else None,
            geometric=growth_evidence(self.geometric.growth, domains, self.target),
            joint=self.joint.fit.describe(),
        )

    def _scale(self, scale: Scale) -> ScaleOptimum:
        domains, analysis = self.mixture.domains, scale.analysis
        best, pinned = Mixture(domains, tuple(scale.weights.tolist())), scale.pinned(scale.weights)
        return ScaleOptimum(
            tokens=scale.tokens,
            weights=best.to_dict(),
            intervals=weight_intervals(best, scale.replicates.weights),
            pinned=tuple(domain for domain, at in zip(domains, pinned, strict=True) if at),
            predicted=scale.value(scale.weights),
            base_objective=analysis.base,
            noise=analysis.run_noise,
            runs=tuple(scale.runs),
        )

    def _path(self) -> Path:
        predictor: Predictor = self.joint if self.choice.name == "joint" else self.geometric
        totals = path_totals([scale.tokens for scale in self.scales], self.target)
        bounds = [self.bounds_at(total) for total in totals]
        weights = np.stack([predictor.at(total, b) for total, b in zip(totals, bounds, strict=True)])
        ends = [
            np.quantile(predictor.drawn(total, b), [0.025, 0.975], axis=0)
            for total, b in zip(totals, bounds, strict=True)
        ]
        return path_of(self.mixture.domains, totals, weights, np.stack(ends, axis=1))


def path_totals(scales: Sequence[int], target: int) -> list[float]:
    """Tokens from the smallest of scales and target to the greatest, evenly in logarithms.

    It begins a millionth above the smallest scale: there the law's lines do, at it stands the scale's own optimum.
    """
    ends = [float(total) for total in (*scales, target)]
    low = min(ends) * (1 + 1e-6)
    return sorted({low, *np.geomspace(low, max(ends), _PATH_POINTS)[1:-1].tolist(), *(e for e in ends if e > low)})


def path_of(domains: Sequence[str], totals: Sequence[float], weights: Floats, ends: Floats | None) -> Path:
    """(P, K) weights along P totals, with (2, P, K) ends of their intervals."""
    low = None if ends is None else np.minimum(ends[0], weights)
    high = None if ends is None else np.maximum(ends[1], weights)

    def column(array: Floats, index: int) -> tuple[float, ...]:
        return tuple(array[:, index].tolist())

    lines = {
        domain: PathLine(
            weights=column(weights, index),
            low=None if low is None else column(low, index),
            high=None if high is None else column(high, index),
        )
        for index, domain in enumerate(domains)
    }
    return Path(tokens=tuple(totals), domains=lines)


def growth_evidence(growth: Growth, domains: Sequence[str], target: int) -> GrowthEvidence:
    """The geometric law in numbers: steps to the target, growth a step, residuals of log amounts by scale.

    An optimum that no line goes through has a residual of 0, and does not count in their root mean square.
    """
    steps = float(growth.steps(target))
    residuals = growth.residuals
    fitted = residuals[growth.used]
    return GrowthEvidence(
        law="tokens(t) = exp(level + rate * t), t = 0 at the largest scale, a step the mean distance of scales",
        steps=steps if np.isfinite(steps) else None,
        factors=dict(zip(domains, np.exp(growth.rate).tolist(), strict=True)),
        held=tuple(domain for domain, held in zip(domains, growth.held, strict=True) if held),
        residuals=tuple(dict(zip(domains, row.tolist(), strict=True)) for row in residuals),
        residual_rms=float(np.sqrt(np.mean(fitted**2))) if fitted.size else 0.0,
    )
