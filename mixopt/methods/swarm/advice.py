"""A one-shot search's answer in words, and the numbers behind its plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.methods.ddo.advice import warn_of_bounds
from mixopt.mixture import total_variation
from mixopt.units import format_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mixopt.methods.swarm.fit import OneShotFit
    from mixopt.methods.swarm.runs import Swarm
    from mixopt.mixture import Mixture
    from mixopt.objective import Objective
    from mixopt.solve import Bounds, Supply

_POOR_RANKS = 0.5


def warn(fit: OneShotFit, mixture: Mixture, tokens: int, target: int) -> list[str]:
    """Everything about the law and its optimum that should make a reader careful, a sentence each.

    Args:
        fit: the law and its optimum.
        mixture: what is recommended.
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
        return [
            f"the optimum lies outside the weights that were tested, where laws extrapolate: {', '.join(outside)}"
        ]
    away = total_variation(swarm.weights, mixture.array).min()
    nearest = (
        [np.sort(total_variation(swarm.weights, row))[1] for row in swarm.weights] if len(swarm) > 1 else [0.0]
    )
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


def describe_swarm(
    swarm: Swarm,
    values: NDArray[np.float64],
    noise: float | None,
    mixture: Mixture,
    bounds: Bounds,
    baselines: Mapping[str, Mixture],
    supply: Supply | None,
    objective: Objective,
) -> dict[str, Any]:
    """JSON values of any swarm: its mixtures with what was measured, bounds, epochs, baselines."""
    return {
        "units": objective.units,
        "swarm": [
            {"runs": swarm.runs_of(cell), "measured": float(values[cell]), "weights": swarm.weights[cell].tolist()}
            for cell in range(len(swarm))
        ],
        "noise": noise,
        "floors": dict(zip(mixture.domains, bounds.floors.tolist(), strict=True)),
        "caps": dict(zip(mixture.domains, bounds.caps.tolist(), strict=True)),
        "epochs": {d: e if np.isfinite(e) else None for d, e in supply.epochs(mixture).items()} if supply else {},
        "baselines": {name: baseline.to_dict() for name, baseline in baselines.items()},
    }


def describe(fit: OneShotFit, content: dict[str, Any]) -> dict[str, Any]:
    """`describe_swarm` and the law: its parameters, what it says of each mixture, and how it was checked."""
    surface = fit.surface(fit.objective).bare
    fitted = surface.value(fit.swarm.weights)[0]
    left_out = fit.evidence.chosen.left_out
    for cell, entry in enumerate(content["swarm"]):
        entry["fitted"] = float(fitted[cell])
        entry["left_out"] = float(left_out[cell])
    return {
        **content,
        "regressor": fit.evidence.regressor.name,
        "regression": {"losses": list(fit.swarm.history.eval_domains), **fit.fitted.describe()},
        "evidence": fit.evidence.to_dict(),
        "convex": fit.optimum.convex,
        "kl": fit.kl,
    }
