"""DDO's runs under one joint law: the same design, all runs fitted at once (`mixopt.methods.joint.law_of_runs`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mixopt.errors import ConfigError
from mixopt.methods.base import Recommendation, limits
from mixopt.methods.ddo.searcher import Ddo, DdoSettings
from mixopt.methods.intervals import weight_intervals
from mixopt.methods.joint.advice import Advice
from mixopt.methods.joint.forecast import Forecast
from mixopt.methods.joint.law_of_runs import JointFit
from mixopt.mixture import Mixture
from mixopt.objective import other_objectives

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixopt.arrays import Floats
    from mixopt.history import History
    from mixopt.methods.joint.fit import FormName


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
            reference: the base run's mixture.
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
