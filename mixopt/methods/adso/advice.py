"""ADSO's answer: the best mixture by the model, intervals from draws of the posterior, and warnings.

Symbols: P mixtures, B draws, K domains, V losses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh

from mixopt.arrays import Floats
from mixopt.methods.adso.evidence import AdsoEvidence, ScaleUse
from mixopt.methods.base import Recommendation, limits
from mixopt.methods.ddo.advice import warn_of_gains, warn_of_repetition
from mixopt.methods.intervals import Prediction, forecast, weight_intervals
from mixopt.mixture import Mixture
from mixopt.objective import tasks_of

if TYPE_CHECKING:
    from mixopt.methods.adso.choice import Belief
    from mixopt.methods.adso.state import State
    from mixopt.solve import Bounds, Supply

_DRAWS, _RIVALS = 400, 200
# A scale that ranks mixtures otherwise than the target does.
_POOR = 0.5


def advise(
    state: State, pool: Floats, bounds: Bounds, baselines: Mapping[str, Mixture], supply: Supply | None, seed: int
) -> Recommendation:
    """The mixture of `pool` (P, K) with the least posterior mean at the target, and what to think of it.

    Intervals hold what the model does not know, from joint draws of the losses of the most promising mixtures; the
    noise of the run that they will be trained with comes on top.
    """
    means = state.belief(pool).mean
    rivals = pool[np.argsort(means, kind="stable")[:_RIVALS]]
    named = np.array([mixture.array for mixture in baselines.values()])
    together = state.belief(np.vstack([rivals, named]))
    draws = posterior_draws(together, np.random.default_rng(seed))
    winners = rivals[np.argmin(draws[:, : len(rivals)], axis=1)]
    mixture = Mixture.of_array(state.history.domains, rivals[0])
    said = [
        Prediction(weights, float(mean), drawn)
        for weights, mean, drawn in zip(together.candidates.weights, together.mean, draws.T, strict=True)
    ]
    predicted, gains = forecast(said[0], dict(zip(baselines, said[len(rivals) :], strict=True)))
    scales = _scales(state, mixture)
    return Recommendation(
        method="ADSO" if len(state.ladder.scales) > 1 else "Bayesian optimisation at the target",
        objective=state.objective.name,
        tokens=state.ladder.target.tokens,
        mixture=mixture,
        intervals=weight_intervals(mixture, winners),
        predicted=predicted,
        gains=gains,
        warnings=(
            *warn_of_gains(mixture, baselines, gains),
            *_of_scales(state, scales),
            *_of_curves(state),
            *_of_bounds(mixture, bounds),
            *warn_of_repetition(mixture, supply),
        ),
        runs=state.history.runs,
        **limits(mixture, bounds, supply),
        units=state.objective.units,
        baselines=dict(baselines),
        evidence=AdsoEvidence(scales=scales, spent=float(state.costs.sum()), best_measured=state.best),
    )


def posterior_draws(belief: Belief, rng: np.random.Generator) -> Floats:
    """(B, P) joint draws of the objective of a belief's candidates."""
    losses, _ = belief.model.predict(belief.candidates)
    drawn = np.zeros((_DRAWS, *losses.shape))
    for v, process in enumerate(belief.model.processes):
        covariance = process.covariance(belief.candidates.inputs, belief.candidates.inputs)
        # Close mixtures make it singular, where a Cholesky factor would need a jitter.
        values, vectors = eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        noise = rng.standard_normal((_DRAWS, len(values)))
        drawn[:, :, v] = losses[:, v] + process.output_scaling.scale[0] * noise @ root.T
    return belief.objective(drawn)


def _scales(state: State, mixture: Mixture) -> tuple[ScaleUse, ...]:
    """Each scale, with what was spent on it and how it agrees with the target about `mixture`."""
    agreement = state.agreement(mixture.array)
    return tuple(
        ScaleUse(
            model=scale.model,
            parameters=scale.parameters,
            tokens=scale.tokens,
            cost=scale.cost,
            runs=int((state.measured.scale == index).sum()),
            correlation=float(agreement[index]),
        )
        for index, scale in enumerate(state.ladder.scales)
    )


def _of_scales(state: State, scales: Sequence[ScaleUse]) -> list[str]:
    warnings = []
    if state.best is None:
        warnings.append(
            f"nothing was trained at the target ({state.ladder.target}): its losses are extrapolated; a larger "
            "budget or `--verify` trains there"
        )
    for scale, use in zip(state.ladder.scales[:-1], scales, strict=False):
        if use.runs and use.correlation < _POOR and state.best is not None:
            warnings.append(
                f"{scale}: it ranks mixtures otherwise than the target does (correlation "
                f"{use.correlation:.2f}), so its {use.runs} runs told little; leave this scale out"
            )
    return warnings


def _of_curves(state: State) -> list[str]:
    """Scores of tasks are measured at the end of a run, so that its learning curve says nothing of them."""
    if len(state.ladder.scales) < 2 or not tasks_of(state.objective, state.history.eval_domains):
        return []
    return [
        f"points of learning curves are not used: {state.objective.name} needs scores of tasks, which are measured "
        "at the end of a run only"
    ]


def _of_bounds(mixture: Mixture, bounds: Bounds) -> list[str]:
    capped = bounds.at_cap(mixture.array) & (bounds.caps < 1)
    at_cap = [domain for domain, at in zip(mixture.domains, capped, strict=True) if at]
    if not at_cap:
        return []
    return [f"at the cap that the available text sets: {', '.join(at_cap)}; more text of it would allow more"]
