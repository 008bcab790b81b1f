"""DDO's runs under one joint law (`mixopt.methods.joint.law_of_runs`): the same design, all runs fitted at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mixopt.arrays import Floats, Ints
from mixopt.errors import ConfigError
from mixopt.methods.base import Estimate, Recommendation, limits
from mixopt.methods.ddo.advice import warn_of_bounds, warn_of_gains, warn_of_repetition
from mixopt.methods.ddo.evidence import Curve, JointEvidence, Line, Points
from mixopt.methods.ddo.searcher import Ddo, DdoSettings
from mixopt.methods.intervals import weight_intervals
from mixopt.methods.joint.evidence import OwnLoss
from mixopt.methods.joint.forecast import Forecast
from mixopt.methods.joint.law_of_runs import JointFit
from mixopt.mixture import Mixture
from mixopt.objective import other_objectives
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.methods.ddo.design import Design
    from mixopt.methods.joint.fit import FormName
    from mixopt.methods.joint.law_of_runs import JointReplicates
    from mixopt.solve import Bounds, Supply

_CURVE_POINTS = 60
# A run that counts for less than this in the robust fit is far from the law.
_OUTLIER = 0.35
_POOR_RANKS = 0.5


@dataclass(frozen=True, eq=False)
class Advice:
    """What an answer rests on."""

    fit: JointFit  # the law
    replicates: JointReplicates  # laws of resampled runs
    design: Design  # DDO's runs
    mixture: Mixture  # what is recommended
    bounds: Bounds  # floors and caps
    prices: Floats  # (K,) change of the objective for one more unit of weight, at bounds
    supply: Supply | None  # how much text there is
    missing: tuple[str, ...]  # roles of the design's cells that no run fills

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
        return [f"the optimum lies outside the amounts that were tested, where laws extrapolate: {', '.join(outside)}"]

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
        return [f"the law {self.fit.form} is off by {self.fit.words}; intervals of predictions and gains include it"]

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


class JointDdo(Ddo):
    """A `Searcher` that asks for DDO's runs and answers from a law of all runs that there are.

    Where DDO fits a law to each domain's own line of runs, this one fits them together, and runs that are on no
    line (verified mixtures, other scales) count too.
    """

    def __init__(
        self,
        reference: Mixture,
        tokens: int,
        settings: DdoSettings | None = None,
        baselines: Mapping[str, Mixture] | None = None,
        form: Literal["auto"] | FormName = "auto",
    ) -> None:
        """Set up the search; see `mixopt.methods.ddo.searcher.Ddo`.

        Args:
            tokens: the base run's tokens, and those that the answer is for.
            settings: None for the defaults; the preset must be `default`, as the joint law has priors of its own.
            baselines: mixtures to predict beside the reference and the uniform one, by name.
            form: of the law, `auto` for the one that predicts left-out runs better.

        Raises:
            ConfigError: settings, bounds or mixtures that do not fit together.
        """
        super().__init__(reference, tokens, settings, baselines)
        if self.settings.preset != "default":
            raise ConfigError(
                f"preset: {self.settings.preset!r} is of laws fitted line by line; with fit joint leave it out, or "
                "choose fit lines"
            )
        self.form: Literal["auto"] | FormName = form

    def recommend(self, history: History) -> Recommendation:
        """The optimum at the base's total tokens, with intervals and warnings; every run of the history counts.

        Raises:
            ConfigError: too few runs for a law, other domains, or models of several sizes.
        """
        settings, total = self.settings, self.design.tokens
        found = self.design.match(history, settings.seeds)  # refuses other domains
        fit = JointFit.of(history, settings.objective, form=self.form, noise=settings.noise)
        replicates = fit.replicates(settings.replicates)
        solution = fit.solve(total, self.bounds)
        mixture = self._named(solution.weights)
        drawn = replicates.optima(total, self.bounds)
        forecast = Forecast.of(fit, replicates, drawn, total, mixture, self.baselines)
        roles = [str(cell.role) for index, cell in enumerate(self.design.cells) if index not in found]
        advice = Advice(
            fit=fit,
            replicates=replicates,
            design=self.design,
            mixture=mixture,
            bounds=self.bounds,
            prices=solution.bound_multipliers,
            supply=settings.supply,
            missing=tuple(roles),
        )
        return Recommendation(
            method=f"DDO, joint law {fit.form}, perturb {self.design.perturb}",
            objective=settings.objective.name,
            tokens=total,
            mixture=mixture,
            intervals=weight_intervals(mixture, drawn),
            predicted=forecast.predicted,
            gains=forecast.gains,
            multipliers=self.bounds.prices(mixture.array, solution.bound_multipliers),
            other_objectives={
                other.name: self._named(fit.under(other).optimum(total, self.bounds)[0]).to_dict()
                for other in other_objectives(settings.objective, history.eval_domains)
            },
            warnings=advice.warnings(self.baselines, forecast.gains),
            runs=fit.fit.cells.runs.runs,
            **limits(mixture, self.bounds, settings.supply),
            units=settings.objective.units,
            baselines=self.baselines,
            noise=fit.run_noise,
            evidence=advice.evidence(),
        )

    def _named(self, weights: Floats) -> Mixture:
        return Mixture.of_array(self.design.reference.domains, weights)
