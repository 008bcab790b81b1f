"""AutoScale: DDO at two or more scales, and the best mixture for a target beyond them.

Source: Kang et al. 2024 (AutoScale, v1), section 3. Two predictors work on the same runs: `geometric` (Theorem 1,
on the scales' optima) and `joint` (one law for all runs of all scales, minimised at the target).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats
from mixopt.errors import ConfigError
from mixopt.methods.autoscale.choice import Choice, cross_validate, hold_out
from mixopt.methods.autoscale.outcome import Outcome, warn
from mixopt.methods.autoscale.scales import Geometric, Joint, Predictor, Scale
from mixopt.methods.base import Proposal, Recommendation, Searcher, limits
from mixopt.methods.ddo.searcher import Ddo, DdoSettings
from mixopt.methods.joint.forecast import Forecast
from mixopt.methods.joint.law_of_runs import JointFit
from mixopt.mixture import Mixture
from mixopt.objective import Objective, other_objectives
from mixopt.solve import Bounds, make_bounds
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.methods.ddo.design import Design

PREDICTORS = ("auto", "geometric", "joint")

# Nearer scales would share runs within DDO's tolerance, and their ratio would be noise.
LEAST_RATIO = 1.25
_TAKEN = ("recommended", "geometric", "joint", "nearest scale")


class AutoScale(Searcher):
    """A `Searcher`: DDO's runs at every scale.

    Attributes:
        ddos: DDO at each scale, smallest first.
        target: tokens that the mixture is for.
        settings: DDO's settings, the same at every scale; `supply` is the target's.
        predictor: `geometric`, `joint`, or `auto` for the better one (see `mixopt.methods.autoscale.choice`).
        bounds: floors and caps at the target. Floors hold at the scales too; caps are the target's alone.
    """

    def __init__(
        self,
        designs: Sequence[Design],
        target: int,
        settings: DdoSettings | None = None,
        *,
        predictor: str = "auto",
        baselines: Mapping[str, Mixture] | None = None,
        match_epochs: bool = False,
    ) -> None:
        """Set up the search.

        Args:
            designs: DDO's runs at each scale, over the same domains.
            target: tokens of the training that the mixture is for.
            settings: None for the defaults; factors and perturbation are the designs'.
            predictor: which one advises; both are computed.
            baselines: mixtures to predict beside the uniform one, by name (`natural`).
            match_epochs: let proxies see, of each domain, the share of its text that their scale is of the target,
                so that they repeat it as often as the target will; `settings.supply` says how much there is.

        Raises:
            ConfigError: fewer than two different scales, other domains at one, or settings that do not fit.
        """
        self.settings = settings or DdoSettings()
        self.target, self.predictor, self.match_epochs = target, predictor, match_epochs
        if predictor not in PREDICTORS:
            raise ConfigError(f"predictor: expected {', '.join(PREDICTORS)}, found {predictor!r}")
        if match_epochs and self.settings.supply is None:
            raise ConfigError("match-epochs: it needs to know how much text there is of each domain")
        ordered = sorted(designs, key=lambda design: design.tokens)
        _check_scales(ordered)
        self.ddos = [Ddo(design.reference, design.tokens, self._of(design)) for design in ordered]
        self.domains = ordered[0].reference.domains
        given = {name: mixture.ordered(self.domains) for name, mixture in (baselines or {}).items()}
        for name in given:
            if name in _TAKEN:
                raise ConfigError(f"baselines: the name `{name}` is taken")
        self._baselines = {"uniform": Mixture.uniform(self.domains), **given}
        self.bounds = self.bounds_at(target)

    def _of(self, design: Design) -> DdoSettings:
        return replace(self.settings, factors=design.factors, perturb=design.perturb, supply=None)

    def bounds_at(self, total: float) -> Bounds:
        """Floors and caps for a training of `total` tokens.

        Raises:
            ConfigError: no mixture satisfies them: every domain is at its cap, say.
        """
        floors = np.min([ddo.bounds.floors for ddo in self.ddos], axis=0)
        supply = self.settings.supply
        floor = floors if self.settings.floor is None else self.settings.floor
        return make_bounds(self.domains, floor, replace(supply, target_tokens=total) if supply else None)

    def ask(self, history: History) -> list[Proposal]:
        """DDO's runs of every scale and seed: the same whatever there is already."""
        return [
            replace(
                proposal,
                role=replace(proposal.role, words=f"{proposal.role} at {format_count(ddo.design.tokens)}"),
                unique_tokens=self.unique_tokens(ddo.design.tokens),
            )
            for ddo in self.ddos
            for proposal in ddo.ask(history)
        ]

    def unique_tokens(self, tokens: int) -> tuple[int | None, ...] | None:
        """Most distinct tokens of each domain, (K,), in a proxy of this scale; None for all that there are."""
        supply = self.settings.supply
        if not self.match_epochs or supply is None or tokens >= self.target:
            return None
        return tuple(int(supply.available[domain] * tokens / self.target) for domain in self.domains)

    def recommend(self, history: History) -> Recommendation:
        """The best mixture for the target by either predictor, with intervals, the hold-out check and warnings.

        Runs that are part of no scale's design are ignored.

        Raises:
            ConfigError: runs are missing without which there is no law; the message names scale and runs.
        """
        settings = self.settings
        scales = [Scale.of(ddo, history, seed) for seed, ddo in enumerate(self.ddos)]
        runs = _used(history, scales)
        fit = JointFit.of(runs, settings.objective, noise=settings.noise)
        geometric, joint = Geometric(scales), Joint(fit, settings.replicates)
        predictors: dict[str, Predictor] = {"geometric": geometric, "joint": joint}
        held = hold_out(scales, history, settings) if len(scales) > 2 else None
        errors = {"geometric": cross_validate(scales), "joint": fit.checked.error}
        choice = Choice.of(self.predictor, held, errors)
        advised = {name: self._mixture(p.at(self.target, self.bounds)) for name, p in predictors.items()}
        drawn = {name: p.drawn(self.target, self.bounds) for name, p in predictors.items()}
        mixture = advised[choice.name]
        nearest = min(scales, key=lambda scale: abs(np.log(scale.tokens / self.target)))
        baselines = {**self._baselines, "nearest scale": self._mixture(nearest.weights)}
        forecast = Forecast.of(fit, joint.replicates, drawn["joint"], self.target, mixture, {**baselines, **advised})
        found = Outcome(
            scales=scales,
            geometric=geometric,
            joint=joint,
            target=self.target,
            bounds_at=self.bounds_at,
            supply=settings.supply,
            advised=advised,
            drawn=drawn,
            choice=choice,
            held=held,
            baselines=baselines,
            forecast=forecast,
        )
        return Recommendation(
            method=f"AutoScale, {choice.name} predictor, from {', '.join(scale.name for scale in scales)}",
            objective=settings.objective.name,
            tokens=self.target,
            mixture=mixture,
            intervals=found.intervals(choice.name),
            predicted=forecast.predicted,
            gains={name: gain for name, gain in forecast.gains.items() if name in baselines},
            other_objectives={
                other.name: self._under(other, found).to_dict()
                for other in other_objectives(settings.objective, history.eval_domains)
            },
            warnings=warn(found),
            runs=runs.runs,
            **limits(mixture, self.bounds, settings.supply),
            units=settings.objective.units,
            baselines=baselines,
            noise=fit.run_noise,
            evidence=found.evidence(),
        )

    def _under(self, objective: Objective, found: Outcome) -> Mixture:
        """The target's optimum under another objective, by the predictor that advises."""
        if found.choice.name == "joint":
            return self._mixture(found.joint.fit.under(objective).optimum(self.target, self.bounds)[0])
        changed = Geometric([scale.under(objective, self.settings) for scale in found.scales])
        return self._mixture(changed.at(self.target, self.bounds))

    def _mixture(self, weights: Floats) -> Mixture:
        return Mixture.of_array(self.domains, weights)


def _check_scales(designs: Sequence[Design]) -> None:
    found = ", ".join(format_count(design.tokens) for design in designs) or "none"
    if len(designs) < 2:
        raise ConfigError(f"scales: autoscale needs two or more, found {found}; give --scales 200k,800k")
    for one, other in pairwise(designs):
        if other.tokens < LEAST_RATIO * one.tokens:
            raise ConfigError(
                f"scales: expected each {LEAST_RATIO:g} times the one before or more, found {found}; equal scales "
                "say nothing about growth"
            )
        if set(one.reference.domains) != set(other.reference.domains):
            raise ConfigError(
                f"scales: expected the same domains at every scale, found {', '.join(one.reference.domains)} at "
                f"{format_count(one.tokens)} and {', '.join(other.reference.domains)} at "
                f"{format_count(other.tokens)}"
            )


def _used(history: History, scales: Sequence[Scale]) -> History:
    """The runs that the scales rest on, by scale.

    Raises:
        ConfigError: the scales are of models of different size: Theorem 1 is about tokens alone.
    """
    names = dict.fromkeys(name for scale in scales for name in scale.runs)
    row = {name: index for index, name in enumerate(history.runs)}
    used = history.select(np.array([row[name] for name in names]))
    sizes = sorted(set(used.parameters.tolist()))
    if len(sizes) > 1:
        raise ConfigError(
            f"history: the runs are of models with {sizes[0]} and {sizes[1]} parameters; choose one with --params"
        )
    return used
