"""A one-shot search's answer in words, and the numbers behind its plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats
from mixopt.methods.ddo.advice import warn_of_bounds
from mixopt.methods.swarm.evidence import FrontEvidence, FrontPoint, LearningPoint, SwarmLaw, SwarmPoint
from mixopt.mixture import Mixture, total_variation
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.methods.swarm.fit import OneShotFit
    from mixopt.methods.swarm.pareto import Front
    from mixopt.methods.swarm.runs import Swarm
    from mixopt.objective import Objective

_POOR_RANKS = 0.5


def warn(fit: OneShotFit, mixture: Mixture, tokens: int, target: int) -> list[str]:
    """Everything about the law and its optimum that should make a reader careful, a sentence each.

    Args:
        tokens: of a run of the swarm.
        target: tokens that the answer is for.
    """
    return [
        *_poor(fit),
        *_more_runs(fit),
        *_bounds(fit, mixture),
        *_extrapolation(fit.swarm, mixture),
        *_noise(fit),
        *_not_convex(fit),
        *warn_of_scale(tokens, target),
    ]


def warn_of_scale(tokens: int, target: int) -> list[str]:
    """That a swarm of short runs says more about ranks than about values."""
    if target <= tokens:
        return []
    return [
        f"losses are those of runs of {format_count(tokens)} tokens, not of the {format_count(target)} that the "
        "mixture is for: ranks carry over better than values, and text runs out; `mixopt autoscale` extrapolates"
    ]


def _poor(fit: OneShotFit) -> list[str]:
    rank = fit.evidence.chosen.spearman
    if rank is None or rank >= _POOR_RANKS:
        return []
    return [
        f"the law ranks runs that it has not seen poorly (Spearman {rank:.2f}): more runs, longer ones or more "
        "seeds would tell whether that is noise"
    ]


def _more_runs(fit: OneShotFit) -> list[str]:
    """What the learning curve says of more runs."""
    said = fit.evidence.more_runs
    return [said] if said else []


def _bounds(fit: OneShotFit, mixture: Mixture) -> list[str]:
    prices = fit.multipliers()
    bounds = fit.bounds
    if prices:
        array = np.array([prices.get(domain, 0.0) for domain in mixture.domains])
        return warn_of_bounds(mixture, bounds, array, fit.objective.units)
    at_cap = [
        f"{domain} ({cap:.3g})"
        for domain, at, cap in zip(mixture.domains, bounds.at_cap(mixture.array), bounds.caps, strict=True)
        if at
    ]
    return [f"at their caps: {', '.join(at_cap)}; more text of them might help"] if at_cap else []


def _extrapolation(swarm: Swarm, mixture: Mixture) -> list[str]:
    low, high = swarm.weights.min(axis=0), swarm.weights.max(axis=0)
    outside = [
        f"{domain} ({weight:.3f}, tested {least:.3f} to {most:.3f})"
        for domain, weight, least, most in zip(mixture.domains, mixture.weights, low, high, strict=True)
        if weight < least - 0.01 or weight > most + 0.01
    ]
    if outside:
        return [f"the optimum lies outside the weights that were tested, where laws extrapolate: {', '.join(outside)}"]
    away = total_variation(swarm.weights, mixture.array).min()
    nearest = [np.sort(total_variation(swarm.weights, row))[1] for row in swarm.weights] if len(swarm) > 1 else [0.0]
    farthest = max(nearest)
    if away <= farthest:
        return []
    return [
        f"no trained mixture is near the optimum (the nearest at {away:.2f} total variation, those of the swarm at "
        f"most {farthest:.2f} from each other's nearest): --verify measures it"
    ]


def _noise(fit: OneShotFit) -> list[str]:
    if fit.swarm.noise(fit.objective) is not None:
        return []
    return ["no run is repeated, so that noise and the law's own error cannot be told apart; --seeds 2 measures it"]


def _not_convex(fit: OneShotFit) -> list[str]:
    if fit.optimum.convex:
        return []
    how = (
        "the best of several descents"
        if fit.fitted.jacobian(fit.prior[None]) is not None
        else "the mean of the best of many drawn mixtures"
    )
    return [f"the law is not convex: the optimum is {how}, and another may be as good"]


def swarm_points(swarm: Swarm, values: Floats, fit: OneShotFit | None = None) -> tuple[SwarmPoint, ...]:
    """Every mixture of a swarm, with what was measured (C,) and what the law says of it."""
    fitted = left_out = [None] * len(swarm)
    if fit is not None:
        fitted = fit.surface(fit.objective).bare.value(swarm.weights)[0].tolist()
        left_out = fit.evidence.chosen.left_out.tolist()
    return tuple(
        SwarmPoint(
            runs=tuple(swarm.runs_of(cell)),
            weights=dict(zip(swarm.history.domains, swarm.weights[cell].tolist(), strict=True)),
            measured=float(values[cell]),
            fitted=fitted[cell],
            left_out=left_out[cell],
        )
        for cell in range(len(swarm))
    )


def describe(fit: OneShotFit) -> SwarmLaw:
    """The law: its parameters, and how it was checked."""
    choice = fit.evidence
    return SwarmLaw(
        name=choice.regressor.name,
        title=choice.chosen.title,
        score=choice.chosen.objective.evidence(),
        losses={domain: score.evidence() for domain, score in choice.chosen.losses.items()},
        learning_curve=tuple(LearningPoint(runs=runs, rmse=rmse) for runs, rmse in choice.curve),
        more_runs=choice.more_runs,
        tried={
            name: found if isinstance(found, str) else found.objective.evidence()
            for name, found in choice.tried.items()
        },
        parameters={"losses": list(fit.swarm.history.eval_domains), **fit.fitted.describe()},
        convex=fit.optimum.convex,
        kl=fit.kl,
    )


def describe_front(
    front: Front, objectives: tuple[Objective, Objective], fit: OneShotFit, mixtures: Mapping[str, Mixture]
) -> FrontEvidence:
    """The front, and where other mixtures are beside it, by name."""
    one, other = objectives
    arrays = np.stack([mixture.array for mixture in mixtures.values()])
    values = [fit.surface(objective).bare.value(arrays)[0].tolist() for objective in objectives]
    domains = fit.swarm.history.domains
    return FrontEvidence(
        objectives=(one.name, other.name),
        units=(one.units, other.units),
        convex=front.convex,
        points=tuple(
            FrontPoint(values=tuple(value), weights=dict(zip(domains, row, strict=True)))
            for value, row in zip(front.values.tolist(), front.weights.tolist(), strict=True)
        ),
        baselines=dict(zip(mixtures, zip(*values, strict=True), strict=True)),
    )
