"""A joint law's answer in words, and the numbers behind its plots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.methods.ddo.advice import warn_of_bounds, warn_of_gains, warn_of_repetition
from mixopt.methods.ddo.evidence import Curve, Line, Points
from mixopt.methods.intervals import Prediction, forecast
from mixopt.methods.joint.evidence import JointEvidence, OwnLoss
from mixopt.mixture import total_variation
from mixopt.units import format_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixopt.arrays import Floats, Ints
    from mixopt.methods.base import Estimate
    from mixopt.methods.ddo.design import Design
    from mixopt.methods.joint.law_of_runs import JointFit, JointReplicates
    from mixopt.mixture import Mixture
    from mixopt.solve import Bounds, Supply


_CURVE_POINTS = 60
# A run that counts for less than this in the robust fit is far from the law.
_OUTLIER = 0.35
_POOR_RANKS = 0.5


@dataclass(frozen=True, eq=False)
class Advice:
    """What an answer rests on.

    Attributes:
        fit: the law.
        replicates: laws of resampled runs.
        design: DDO's runs.
        mixture: what is recommended.
        bounds: floors and caps.
        prices: (K,) change of the objective for one more unit of weight, at bounds.
        supply: how much text there is.
        missing: roles of the design's cells that no run fills.
    """

    fit: JointFit
    replicates: JointReplicates
    design: Design
    mixture: Mixture
    bounds: Bounds
    prices: Floats
    supply: Supply | None
    missing: tuple[str, ...]

    def warnings(self, baselines: Mapping[str, Mixture], gains: Mapping[str, Estimate]) -> tuple[str, ...]:
        """Everything that should make a reader careful, a sentence each, the weightiest first."""
        return (
            *warn_of_gains(self.mixture, baselines, gains),
            *self._poor(),
            *self._outliers(),
            *warn_of_bounds(self.mixture, self.bounds, self.prices, self.fit.fit.objective.units),
            *self._extrapolation(),
            *warn_of_repetition(self.mixture, self.supply),
            *self._noise(),
            *self._error(),
            *self._flat(),
            *([f"runs are missing: {', '.join(self.missing)}"] if self.missing else []),
        )

    def _poor(self) -> list[str]:
        rank = self.fit.checked.spearman
        if rank is not None and rank >= _POOR_RANKS:
            return []
        found = "it predicts the same for all" if rank is None else f"rank correlation {rank:.2f}"
        return [
            f"the law does not rank runs that it has not seen ({found}): noise, or a law of the wrong shape; "
            "longer runs or more seeds would tell"
        ]

    def _outliers(self) -> list[str]:
        fit = self.fit.fit
        far = np.flatnonzero(fit.law.weight[0].min(axis=1) < _OUTLIER)
        if not far.size:
            return []
        names = [fit.cells.runs.runs[int(np.flatnonzero(fit.cells.index == cell)[0])] for cell in far]
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        return [f"these runs are far from the law in some domain, and count less: {shown}"]

    def _extrapolation(self) -> list[str]:
        tokens = self.fit.fit.cells.tokens
        wanted = self.mixture.array * self.design.tokens
        outside = [
            f"{domain} ({format_count(amount)} tokens, tested {format_count(least)} to {format_count(most)})"
            for domain, amount, least, most in zip(
                self.mixture.domains, wanted, tokens.min(axis=0), tokens.max(axis=0), strict=True
            )
            if amount < least * 0.97 or amount > most * 1.03
        ]
        if not outside:
            return []
        return [
            f"the optimum lies outside the amounts that were tested, where laws extrapolate: {', '.join(outside)}"
        ]

    def _noise(self) -> list[str]:
        noise = self.fit.fit.noise
        said = f"{100 * self.fit.noise:.2g} % of the objective"
        if noise.source == "repeats":
            return []
        if noise.source == "assumed":
            return [
                f"the noise of a run is assumed ({said}), as no run is repeated and the law misses them by less; "
                "--seeds 3 measures it"
            ]
        repeats = "more than repeats differ" if self.fit.fit.cells.layout.freedom else "as no run is repeated"
        return [
            f"the noise of a run is taken from the law's own residuals ({said}, {noise.freedom:.0f} degrees of "
            f"freedom), {repeats}"
        ]

    def _error(self) -> list[str]:
        return [
            f"the law {self.fit.form} is off by {self.fit.words}; intervals of predictions and gains include it"
        ]

    def _flat(self) -> list[str]:
        fit = self.fit.fit
        if self.fit.form == "additive":
            return []
        names = [d for d, size in zip(fit.cells.runs.eval_domains, fit.law.amplitude[0], strict=True) if size <= 0]
        if not names:
            return []
        return [f"the loss on {', '.join(names)} falls with no domain's tokens; the law cannot rise, so it is flat"]

    def evidence(self) -> JointEvidence:
        """The joint law, and curves of the objective along each domain's tokens, in multiples of the base run's."""
        base = self.design.reference.array * self.design.tokens
        joint = self.fit.describe()
        first = np.searchsorted(self.fit.fit.cells.index, np.arange(len(self.fit.fit.cells)))
        role = self.design.match(self.fit.fit.cells.runs)[first]
        return JointEvidence(
            joint=joint,
            perturb=self.design.perturb,
            base_objective=float(self.fit.predict(base)),
            base_tokens=self.design.tokens,
            misfit=self.fit.misfit(self.design.tokens),
            domains={
                domain: self._line(
                    index, base, role, joint.parameters[domain].numbers if domain in joint.parameters else {}
                )
                for index, domain in enumerate(self.mixture.domains)
            },
            losses=self._own_losses(),
        )

    def _line(self, index: int, base: Floats, role: Ints, law: dict[str, float]) -> Line:
        """The law along one domain's tokens, with the runs of the design on that line."""
        fit = self.fit.fit
        on_line = [i for i, cell in enumerate(self.design.cells) if cell.domain in (None, index)]
        cells = np.flatnonzero(np.isin(role, on_line))
        best = float(self.mixture.weights[index] / self.design.reference.weights[index])
        points = fit.cells.tokens[cells, index] / base[index]
        ends = [*points.tolist(), max(best, 0.05), 1.0]
        x = np.geomspace(min(ends) / 1.2, max(ends) * 1.2, _CURVE_POINTS)
        tokens = np.tile(base, (_CURVE_POINTS, 1))
        if self.design.perturb == "replace":
            share = self.design.reference.weights[index]
            x = np.minimum(x, 1 / share)
            tokens *= ((1 - x * share) / (1 - share))[:, None]
        tokens[:, index] = x * base[index]
        low, high = np.quantile(self.replicates.predict(tokens), [0.025, 0.975], axis=0)
        measured, runs = fit.measured[cells], fit.cells.runs.runs
        return Line(
            law=law,
            points=Points(
                x=tuple(points.tolist()),
                y=tuple(measured.tolist()),
                sd=tuple((self.fit.noise * fit.cells.layout.spread[cells] * measured).tolist()),
                runs=tuple(tuple(runs[row] for row in np.flatnonzero(fit.cells.index == cell)) for cell in cells),
            ),
            curve=Curve.of(x, self.fit.predict(tokens), low, high),
            recommended_x=best,
        )

    def _own_losses(self) -> dict[str, OwnLoss]:
        """For the law by domain: effective tokens, measured and fitted loss of each domain in every cell."""
        fit = self.fit.fit
        if self.fit.form == "additive":
            return {}
        fitted = self.fit.losses(fit.cells.tokens)
        effective = fit.cells.tokens @ np.exp(fit.law.theta[0, :, 1:]).T
        return {
            domain: OwnLoss(
                tokens=tuple(effective[:, v].tolist()),
                measured=tuple(fit.y[:, v].tolist()),
                fitted=tuple(fitted[:, v].tolist()),
            )
            for v, domain in enumerate(fit.cells.runs.eval_domains)
        }


@dataclass(frozen=True)
class Forecast:
    """Predictions at the target.

    Attributes:
        predicted: the objective of `recommended` and of each other mixture, by name; none if `impossible`.
        gains: relative improvement of the recommended mixture over each other one, by name.
        impossible: the law's least value where it cannot be right (a loss not above 0, a perplexity not above 1),
            for whichever of the mixtures; else None.
    """

    predicted: dict[str, Estimate]
    gains: dict[str, Estimate]
    impossible: float | None = None

    @classmethod
    def of(
        cls,
        fit: JointFit,
        laws: JointReplicates,
        drawn: Floats,
        target: int,
        recommended: Mixture,
        others: Mapping[str, Mixture],
    ) -> Forecast:
        """Predict, with 95 % intervals: the law's replicates, and what it missed of runs that it had not seen.

        A mixture chosen on noisy runs promises too much; the optimism is Efron's (2004), as in
        `mixopt.methods.ddo.fit.resample`: what each replicate promises for its own optimum, less what the law
        says of it. It widens the recommended mixture's intervals to the worse side.

        Args:
            fit: the law.
            laws: its replicates.
            drawn: (B, K) the optimum at the target under each of them.
            target: tokens.
            recommended: the mixture advised.
            others: mixtures to compare with, by name.
        """
        promised = laws.predict_own(drawn, target)
        optimism = max(0.0, float((fit.predict(target * drawn) - promised).mean()))
        misfit, between = fit.misfit(target), fit.misfit(target, differences=True)
        # That of differences is of runs as far apart as the law's own; of nearer mixtures it is less in proportion.
        shares = fit.fit.cells.tokens / fit.fit.cells.totals[:, None]
        usual = float(total_variation(shares, shares.mean(axis=0)).mean())

        def prediction(mixture: Mixture) -> Prediction:
            amounts = target * mixture.array
            value = float(fit.predict(amounts))
            return Prediction(mixture.array, value, laws.predict(amounts), misfit * value)

        best, found = prediction(recommended), {name: prediction(mixture) for name, mixture in others.items()}
        lowest = min(one.value for one in (best, *found.values()))
        if lowest <= (1.0 if fit.fit.objective.units == "perplexity" else 0.0):
            return cls({}, {}, lowest)
        return cls(*forecast(best, found, optimism=optimism, between=dict.fromkeys(found, between), usual=usual))
