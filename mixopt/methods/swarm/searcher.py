"""One-shot search: train a swarm of mixtures, fit every domain's loss, minimise the objective within bounds.

Grid and random search, RegMix (Liu et al. 2024), data mixing laws (Ye et al. 2024), Olmix (Chen et al. 2026) and
Gaussian processes differ in their swarm and in their regressor; the rest is the same.

Symbols: C mixtures, K domains, V evaluation domains, B replicates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Bools, Floats
from mixopt.errors import ConfigError
from mixopt.methods.adso.scales import Scale
from mixopt.methods.base import Noise, Proposal, Recommendation, Searcher, limits
from mixopt.methods.ddo.advice import warn_of_gains, warn_of_repetition
from mixopt.methods.intervals import weight_intervals
from mixopt.methods.simplex.candidates import Candidates, Simplex, was_run
from mixopt.methods.simplex.designs import SAME, DesignSettings
from mixopt.methods.swarm.advice import describe, describe_front, swarm_points, warn, warn_of_scale
from mixopt.methods.swarm.best_measured import BestMeasured
from mixopt.methods.swarm.evidence import SwarmEvidence
from mixopt.methods.swarm.fit import OneShotFit, least_runs
from mixopt.methods.swarm.pareto import pareto_front
from mixopt.methods.swarm.runs import Swarm, check_varied
from mixopt.mixture import Mixture
from mixopt.objective import MeanPerplexity, Objective, other_objectives, score_noise
from mixopt.role import Role
from mixopt.solve import Supply, make_bounds
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.methods.swarm.regressors.base import Regressor

BEST_RUN = "best run"


@dataclass(frozen=True, kw_only=True)
class OneShotSettings:
    """How a one-shot search draws, fits and solves.

    Raises:
        ConfigError: no seed or one twice, or a number outside its range.
    """

    design: DesignSettings = field(default_factory=DesignSettings)  # the swarm's mixtures
    # the laws to fit; of several the one that predicts left-out runs best. None for no law: the best measured mixture
    # is recommended.
    regressors: Sequence[Regressor] | None = None
    objective: Objective = field(default_factory=MeanPerplexity)  # what is minimised
    seeds: tuple[int, ...] = (0,)  # repeats of every mixture; two or more measure the noise
    # least weight of every domain, in runs and at the target: an option (`mixopt.solve.parse_floor`), or (K,) weights
    floor: str | float | Floats = 0.0
    # how much text there is for a run, which caps the swarm's weights; None for no caps
    run_supply: Supply | None = None
    supply: Supply | None = None  # the same for the target, which caps the answer's
    kl: float = 0.0  # pull of the answer towards the natural mixture (`mixopt.methods.swarm.predicted_objective.Pull`)
    pareto: tuple[Objective, Objective] | None = None  # two objectives to trade off besides
    # standard deviation of one run's objective, relative, assumed where seeds are not repeated and no law shows more
    noise: float = 0.003
    replicates: int = 200  # B behind every interval
    # the shares (K,) that a run really sees of weights (K,) asked for, as it holds whole sequences; None for the same
    seen: Callable[[Floats], Floats] | None = None
    # runs at the target of the best predicted mixtures, one after the other, of which the best measured is recommended;
    # 0 to recommend the best prediction
    confirm: int = 0

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
        if self.confirm < 0:
            raise ConfigError(f"confirm: expected a number of mixtures, 0 for none, found {self.confirm}")


class OneShot(Searcher):
    """A `Searcher`: asks for its whole swarm at once, then for what it is to confirm.

    Attributes:
        natural: the natural mixture.
        tokens: of every run of the swarm.
        model: preset of its model; None for the study's.
        settings: the settings.
        baselines: mixtures to compare with, by name: `uniform`, and `natural` and others as given.
        candidates: what can be run and recommended.
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
        candidates: Candidates | None = None,
        model: str | None = None,
        target: Scale | None = None,
    ) -> None:
        """Set up the search.

        Args:
            natural: the natural mixture, around which designs are drawn.
            tokens: of every run.
            baselines: mixtures to train and to compare with, by name; None for natural and uniform.
            trained: domains trained on, where the mixture is one of other things; None for the mixture's own.
            candidates: what can be run; None for all mixtures within the settings' bounds.
            model: preset of the swarm's model; None for the study's.
            target: the scale that mixtures are confirmed at; None for the swarm's own.

        Raises:
            ConfigError: bounds that leave no mixture.
        """
        self.natural, self.tokens, self.model, self.settings = natural, tokens, model, settings
        domains = natural.domains
        given = {"natural": natural, "uniform": Mixture.uniform(domains)} if baselines is None else baselines
        if BEST_RUN in given or "recommended" in given:
            raise ConfigError(f"baselines: the names `recommended` and `{BEST_RUN}` are taken")
        self.baselines = {name: mixture.ordered(domains) for name, mixture in given.items()}
        self.trained = tuple(trained or domains)
        self.candidates = candidates or Simplex(
            natural,
            make_bounds(domains, settings.floor, settings.supply),
            make_bounds(domains, settings.floor, settings.run_supply),
        )
        self.bounds = self.candidates.bounds
        self._target = target or Scale(model, 0, tokens, 1.0)
        self._design: tuple[Mixture, ...] | None = None
        self._last: tuple[bytes, OneShotFit] | None = None

    @property
    def design(self) -> tuple[Mixture, ...]:
        """The swarm's mixtures.

        Raises:
            ConfigError: too few runs for the law, or bounds or runs so short that too few mixtures are different.
        """
        if self._design is None:
            anchors, place = tuple(self.baselines.values()), (self.model, self.tokens)
            design = self.candidates.swarm(self.settings.design, anchors, place, self.settings.seen)
            self._check_enough(len(design))
            if self.settings.regressors is not None:
                rows = np.array([mixture.weights for mixture in design])
                check_varied("design", self.natural.domains, rows, self.bounds.caps)
            self._design = design
        return self._design

    def ask(self, history: History) -> list[Proposal]:
        """Every mixture of the swarm under every seed; then, where asked for, one by one those to confirm."""
        if len(history) and self.settings.confirm:
            return self._confirmation(history)
        names = {mixture: name for name, mixture in reversed(self.baselines.items())}
        return [
            Proposal(mixture, self.tokens, seed, _role(names.get(mixture), number), model=self.model)
            for seed in self.settings.seeds
            for number, mixture in enumerate(self.design, start=1)
        ]

    def _confirmation(self, history: History) -> list[Proposal]:
        """The best predicted mixture that was not run at the target; nothing when enough were."""
        target, at_target = self._target, self._at_target(history)
        own = was_run(history.weights, np.array([mixture.weights for mixture in self.design]))
        there = at_target & ~own if self._is_own_scale else at_target
        number = len(Swarm.of(history.select(there), self.trained)) + 1 if there.any() else 1
        if number > self.settings.confirm:
            return []
        row = self._next_best(self._swarm(history), history.weights[at_target])
        if row is None:
            return []
        return [
            Proposal(self._named(row), target.tokens, seed, Role("confirmed", str(number)), model=target.model)
            for seed in self.settings.seeds
        ]

    def predict(self, history: History, weights: Floats) -> Floats:
        """(P,) the objective of mixtures (P, K) at the swarm's scale, by its law.

        Raises:
            ConfigError: there is no law, or none for these runs.
        """
        if self.settings.regressors is None:
            raise ConfigError("a swarm without a law predicts nothing; choose one with --regressor auto")
        fit = self._fit(self._swarm(history), self.settings.regressors)
        return fit.surface(self.settings.objective).bare.value(weights)[0]

    def _next_best(self, swarm: Swarm, ran: Floats) -> Floats | None:
        """(K,) the mixture to confirm next, by the law or, without one, by the swarm's own measurements."""
        if self.settings.regressors is not None:
            fit = self._fit(swarm, self.settings.regressors)
            return self.candidates.next_best(fit.surface(self.settings.objective), ran)
        order = swarm.objective(self.settings.objective).argsort(kind="stable")
        rows = np.array([self.candidates.closest(self._named(row), self._target.place) for row in swarm.weights[order]])
        left = rows[~was_run(rows, ran)]
        return left[0] if len(left) else None

    @property
    def _is_own_scale(self) -> bool:
        """Whether mixtures are confirmed at the swarm's own scale."""
        return self._target.place == (self.model, self.tokens)

    def _at_target(self, history: History) -> Bools:
        """(R,) which runs are at the scale that mixtures are confirmed at."""
        return np.array(list(map(self._target.holds, history.parameters, history.tokens)), dtype=np.bool_)

    def _swarm(self, history: History) -> Swarm:
        """The runs that the law is of."""
        cheap = history if self._is_own_scale else history.select(~self._at_target(history))
        return Swarm.of(cheap, self.trained)

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
        if self.settings.confirm and len(history) and (at_target := self._at_target(history)).any():
            return self._confirmed(history, Swarm.of(history.select(at_target), self.trained))
        swarm = Swarm.of(history, self.trained)
        if self.settings.regressors is None:
            return self._measured(swarm, self.tokens)
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

    def _fit(self, swarm: Swarm, regressors: Sequence[Regressor]) -> OneShotFit:
        """The law of a swarm, kept for as long as the swarm stays the same: confirming asks for it again."""
        key = b"".join(part.tobytes() for part in (swarm.weights, swarm.losses))
        if self._last is None or self._last[0] != key:
            self._check_enough(len(swarm))
            check_varied("history", self.natural.domains, swarm.weights, self.bounds.caps)
            settings, natural = self.settings, self.natural.array
            fit = OneShotFit.of(swarm, regressors, settings.objective, self.candidates, natural, settings.kl)
            self._last = key, fit
        return self._last[1]

    def _confirmed(self, history: History, swarm: Swarm) -> Recommendation:
        """The best of the mixtures that were run at the target (`swarm`)."""
        answer = self._measured(swarm, self.target)
        law = "" if self.settings.regressors is None else f" of a law of {len(self._swarm(history))} mixtures"
        return replace(
            answer,
            method=f"best of {len(swarm)} mixtures that were run at the target, the best predicted{law} first",
            runs=tuple(sorted(history.runs)),
        )

    def _fitted(self, swarm: Swarm, regressors: Sequence[Regressor]) -> Recommendation:
        settings, objective = self.settings, self.settings.objective
        fit = self._fit(swarm, regressors)
        mixture = self._named(fit.optimum.weights)
        replicates = fit.replicates(settings.replicates)
        baselines = {**self.baselines, BEST_RUN: self._named(swarm.weights[int(fit.values.argmin())])}
        predicted, gains = replicates.forecast(mixture, baselines)
        front = None
        if settings.pareto:
            one, other = (fit.surface(objective) for objective in settings.pareto)
            front = describe_front(
                pareto_front(one, other, self.bounds, self.natural.array),
                settings.pareto,
                fit,
                {"recommended": mixture, **baselines},
            )
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
            **limits(mixture, self.bounds, settings.supply),
            units=objective.units,
            baselines=baselines,
            noise=swarm.run_noise(objective),
            evidence=SwarmEvidence(swarm=swarm_points(swarm, fit.values, fit), law=describe(fit), pareto=front),
        )

    def _measured(self, swarm: Swarm, tokens: int) -> Recommendation:
        """The best of the mixtures that were trained for so many tokens."""
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
                *warn_of_scale(tokens, self.target),
                *warn_of_repetition(mixture, settings.supply),
            ),
            runs=swarm.history.runs,
            **limits(mixture, self.bounds, settings.supply),
            units=objective.units,
            baselines=self.baselines,
            noise=swarm.run_noise(objective) or Noise(assumed / float(np.abs(values).mean()), 0, "assumed"),
            evidence=SwarmEvidence(swarm=swarm_points(swarm, values)),
        )

    @property
    def target(self) -> int:
        """Tokens that the answer is for: the target's where they are known, else a run's."""
        return int(self.settings.supply.target_tokens) if self.settings.supply else self.tokens

    def _allowed(self, swarm: Swarm) -> Bools:
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

    def _named(self, weights: Floats) -> Mixture:
        return Mixture.of_array(self.natural.domains, weights)


def _role(baseline: str | None, number: int) -> Role:
    return Role("baseline", baseline, baseline) if baseline else Role("mixture", str(number))
