"""One-shot search: train a swarm of mixtures, fit every domain's loss, minimise the objective within bounds.

Grid and random search, RegMix (Liu et al. 2024), data mixing laws (Ye et al. 2024), Olmix (Chen et al. 2026) and
Gaussian processes differ in their swarm and in their regressor; the rest is the same.

Symbols: C mixtures, K domains, V evaluation domains, B replicates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mixopt.errors import ConfigError
from mixopt.methods.base import Proposal, Recommendation
from mixopt.methods.ddo.advice import warn_of_gains, warn_of_repetition
from mixopt.methods.intervals import weight_intervals
from mixopt.methods.swarm.advice import describe, describe_swarm, warn, warn_of_scale
from mixopt.methods.swarm.best_measured import BestMeasured
from mixopt.methods.swarm.designs import SAME, DesignSettings, make_design
from mixopt.methods.swarm.fit import OneShotFit, least_runs
from mixopt.methods.swarm.pareto import pareto_front
from mixopt.methods.swarm.runs import Swarm, check_varied
from mixopt.mixture import Mixture
from mixopt.objective import MeanPerplexity, Objective, other_objectives, score_noise
from mixopt.solve import Supply, make_bounds
from mixopt.units import format_count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from mixopt.history import History
    from mixopt.methods.swarm.regressors.base import Regressor

BEST_RUN = "best run"


@dataclass(frozen=True, kw_only=True)
class OneShotSettings:
    """How a one-shot search draws, fits and solves.

    Attributes:
        design: the swarm's mixtures.
        regressors: the laws to fit; of several the one that predicts left-out runs best. None for no law: the best
            measured mixture is recommended.
        objective: what is minimised.
        seeds: repeats of every mixture; two or more measure the noise.
        floor: least weight of every domain, in runs and at the target: an option (`mixopt.solve.parse_floor`), or
            (K,) weights.
        run_supply: how much text there is for a run, which caps the swarm's weights; None for no caps.
        supply: the same for the target, which caps the answer's.
        kl: pull of the answer towards the natural mixture (`mixopt.methods.swarm.predicted_objective.Pull`).
        pareto: two objectives to trade off besides.
        noise: standard deviation of one run's objective, relative, assumed where seeds are not repeated and no law
            shows more.
        replicates: B behind every interval.
        seen: the shares (K,) that a run really sees of weights (K,) asked for, as it holds whole sequences; None
            for the same.

    Raises:
        ConfigError: no seed or one twice, or a number outside its range.
    """

    design: DesignSettings = field(default_factory=DesignSettings)
    regressors: Sequence[Regressor] | None = None
    objective: Objective = field(default_factory=MeanPerplexity)
    seeds: tuple[int, ...] = (0,)
    floor: str | float | NDArray[np.float64] = 0.0
    run_supply: Supply | None = None
    supply: Supply | None = None
    kl: float = 0.0
    pareto: tuple[Objective, Objective] | None = None
    noise: float = 0.003
    replicates: int = 200
    seen: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ConfigError(f"seeds: expected one or more different numbers, found {list(self.seeds)}")
        if not self.kl >= 0:
            raise ConfigError(f"kl: expected a strength of at least 0, found {self.kl}")
        if self.regressors is None and self.kl > 0:
            raise ConfigError(
                "kl: the best measured mixture is not pulled anywhere; choose a law with --regressor auto"
            )
        if self.regressors is None and self.pareto:
            raise ConfigError("pareto: a front is one of predicted objectives; choose a law with --regressor auto")
        if not 0 < self.noise < 1:
            raise ConfigError(f"noise: expected a share above 0 and below 1, found {self.noise}")


class OneShot:
    """A `Searcher`: asks for its whole swarm at once.

    Attributes:
        natural: the natural mixture.
        tokens: of every run.
        settings: the settings.
        baselines: mixtures to compare with, by name: `uniform`, and `natural` and others as given.
        bounds: floors and caps of the answer.
        trained: domains trained on.
    """

    def __init__(
        self,
        natural: Mixture,
        tokens: int,
        settings: OneShotSettings,
        baselines: Mapping[str, Mixture] | None = None,
        trained: Sequence[str] | None = None,
    ) -> None:
        """Set up the search.

        Args:
            natural: the natural mixture, around which designs are drawn.
            tokens: of every run.
            settings: how.
            baselines: mixtures to train and to compare with, by name; None for natural and uniform.
            trained: domains trained on, where the mixture is one of other things; None for the mixture's own.

        Raises:
            ConfigError: bounds that leave no mixture.
        """
        self.natural, self.tokens, self.settings = natural, tokens, settings
        domains = natural.domains
        given = {"natural": natural, "uniform": Mixture.uniform(domains)} if baselines is None else baselines
        if BEST_RUN in given or "recommended" in given:
            raise ConfigError(f"baselines: the names `recommended` and `{BEST_RUN}` are taken")
        self.baselines = {name: mixture.ordered(domains) for name, mixture in given.items()}
        self.trained = tuple(trained or domains)
        self.bounds = make_bounds(domains, settings.floor, settings.supply)
        self._run_bounds = make_bounds(domains, settings.floor, settings.run_supply)
        self._design: tuple[Mixture, ...] | None = None

    @property
    def design(self) -> tuple[Mixture, ...]:
        """The swarm's mixtures.

        Raises:
            ConfigError: too few runs for the law, or bounds or runs so short that too few mixtures are different.
        """
        if self._design is None:
            anchors = tuple(self.baselines.values())
            design = make_design(self.settings.design, self.natural, self._run_bounds, anchors, self.settings.seen)
            self._check_enough(len(design))
            if self.settings.regressors is not None:
                rows = np.array([mixture.weights for mixture in design])
                check_varied("design", self.natural.domains, rows, self.bounds.caps)
            self._design = design
        return self._design

    def ask(self, history: History) -> list[Proposal]:  # noqa: ARG002 (a one-shot design)
        """Every mixture of the swarm under every seed: the same whatever there is already."""
        names = {mixture: name for name, mixture in reversed(self.baselines.items())}
        return [
            Proposal(mixture, self.tokens, seed, names.get(mixture) or f"mixture {number}")
            for seed in self.settings.seeds
            for number, mixture in enumerate(self.design, start=1)
        ]

    def recommend(self, history: History) -> Recommendation:
        """The optimum of the law that predicts left-out runs best, or the best measured mixture.

        Raises:
            ConfigError: too few runs; runs that cannot be of one law; a constant objective; no law predicts better
                than the mean.
        """
        if len(history) and history.domains != self.natural.domains:
            raise ConfigError(
                f"history: expected runs on {', '.join(self.natural.domains)}, found {', '.join(history.domains)}"
            )
        swarm = Swarm.of(history, self.trained)
        if self.settings.regressors is None:
            return self._measured(swarm)
        self._check_enough(len(swarm))
        check_varied("history", self.natural.domains, swarm.weights, self.bounds.caps)
        return self._fitted(swarm, self.settings.regressors)

    def _check_enough(self, mixtures: int) -> None:
        regressors = self.settings.regressors
        if regressors is None:
            return
        domains = len(self.natural.domains)
        least, name = least_runs(regressors, domains)
        if mixtures < least:
            raise ConfigError(
                f"{name}: a law of {domains} domains needs at least {least} runs of different mixtures, found "
                f"{mixtures}; train {least - mixtures} more (--runs), or choose another --method"
            )

    def _fitted(self, swarm: Swarm, regressors: Sequence[Regressor]) -> Recommendation:
        settings, objective = self.settings, self.settings.objective
        fit = OneShotFit.of(swarm, regressors, objective, self.bounds, self.natural.array, settings.kl)
        mixture = self._named(fit.optimum.weights)
        replicates = fit.replicates(settings.replicates)
        baselines = {**self.baselines, BEST_RUN: self._named(swarm.weights[int(fit.values.argmin())])}
        predicted, gains = replicates.forecast(mixture, baselines)
        noise = swarm.noise(objective)
        details = describe(
            fit,
            describe_swarm(swarm, fit.values, noise, mixture, self.bounds, baselines, settings.supply, objective),
        )
        if settings.pareto:
            one, other = settings.pareto
            front = pareto_front(fit.surface(one), fit.surface(other), self.bounds, self.natural.array)
            details["pareto"] = front.to_dict(
                (one.name, other.name), (one.units, other.units), self.natural.domains
            ) | {"baselines": fit.predictions((one, other), {"recommended": mixture, **baselines})}
        return Recommendation(
            method=f"{fit.evidence.chosen.title} of {len(swarm)} mixtures{fit.evidence.chosen_from}",
            objective=objective.name,
            tokens=self.target,
            mixture=mixture,
            intervals=weight_intervals(mixture, replicates.drawn),
            predicted=predicted,
            gains=gains,
            multipliers=fit.multipliers(),
            other_objectives={other.name: self._named(fit.under(other)).to_dict() for other in self._others(swarm)},
            warnings=(
                *warn_of_gains(mixture, self.baselines, gains),
                *warn(fit, mixture, self.tokens, self.target),
                *warn_of_repetition(mixture, settings.supply),
            ),
            runs=swarm.history.runs,
            details=details,
        )

    def _measured(self, swarm: Swarm) -> Recommendation:
        settings, objective = self.settings, self.settings.objective
        values, noise = swarm.objective(objective), swarm.noise(objective)
        allowed = self._allowed(swarm)
        assumed = float(np.hypot(settings.noise * np.abs(values).mean(), score_noise(objective, swarm.history)))
        best = BestMeasured.of(swarm, values, assumed if noise is None else noise, allowed, settings.replicates)
        mixture = self._named(swarm.weights[best.cell])
        predicted, gains = best.forecast(swarm, self.baselines)
        return Recommendation(
            method=f"best of {int(allowed.sum())} measured mixtures",
            objective=objective.name,
            tokens=self.target,
            mixture=mixture,
            intervals=weight_intervals(mixture, best.drawn),
            predicted=predicted,
            gains=gains,
            other_objectives={
                other.name: self._named(
                    swarm.weights[np.where(allowed, swarm.objective(other), np.inf).argmin()]
                ).to_dict()
                for other in self._others(swarm)
            },
            warnings=(
                *warn_of_gains(mixture, self.baselines, gains),
                *best.warnings(objective.units, assumed=noise is None),
                *warn_of_scale(self.tokens, self.target),
                *warn_of_repetition(mixture, settings.supply),
            ),
            runs=swarm.history.runs,
            details=describe_swarm(
                swarm, values, noise, mixture, self.bounds, self.baselines, settings.supply, objective
            ),
        )

    @property
    def target(self) -> int:
        """Tokens that the answer is for: the target's where they are known, else a run's."""
        return int(self.settings.supply.target_tokens) if self.settings.supply else self.tokens

    def _allowed(self, swarm: Swarm) -> NDArray[np.bool_]:
        """(C,) the mixtures within the target's bounds, to a run's rounding.

        Raises:
            ConfigError: none is.
        """
        weights, bounds = swarm.weights, self.bounds
        within = (weights >= bounds.floors - SAME) & (weights <= bounds.caps + SAME)
        allowed = np.asarray(within.all(axis=1))
        if not allowed.any():
            raise ConfigError(
                f"none of {len(swarm)} trained mixtures is within the floors and caps of a training of "
                f"{format_count(self.target)} tokens; choose a law with --regressor auto, or allow more epochs"
            )
        return allowed

    def _others(self, swarm: Swarm) -> list[Objective]:
        return other_objectives(self.settings.objective, swarm.history.eval_domains)

    def _named(self, weights: NDArray[np.float64]) -> Mixture:
        return Mixture.normalised(dict(zip(self.natural.domains, weights.tolist(), strict=True)))
