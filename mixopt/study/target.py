"""Target runs: a mixture trained for many tokens, measured so often and so well that its curve can be compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mixopt.study.loop import Planned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixopt.mixture import Mixture
    from mixopt.spec import EvalSpec
    from mixopt.study.study import Study

# Enough points for the tokens at which a curve reaches a given loss to be read off between two of them.
POINTS = 20


def plan_targets(study: Study, mixtures: Mapping[str, Mixture], tokens: int, seeds: Sequence[int]) -> list[Planned]:
    """The runs that train each of `mixtures` for `tokens` with each of `seeds`.

    Args:
        study: what to train, on what; its model and training settings are the target's. Its limits of distinct
            tokens are not: they are for proxies.
        mixtures: mixtures over the study's training domains, by name.
        tokens: training tokens of a run, rounded to whole batches.
        seeds: initialisations and data orders; the same ones for every mixture, so that seeds pair up.

    Returns:
        The runs, mixture by mixture; `role` is `target NAME`. `study.loop.train_missing` trains them.

    Raises:
        ConfigError: a mixture names a domain that the study does not train on, or repeats one more often than
            `training.max_epochs` allows.
    """
    evaluation = target_evaluation(study.evaluation)
    planned = []
    for name, mixture in mixtures.items():
        for seed in seeds:
            spec = study.spec(mixture, tokens, seed)
            # Limits of distinct tokens are the proxies'; the target has all the text.
            spec = replace(spec, data=replace(spec.data, unique_tokens=None), evaluation=evaluation)
            study.check_epochs(spec, f"target {name}")
            planned.append(Planned(spec, f"target {name}"))
    return planned


def target_evaluation(evaluation: EvalSpec) -> EvalSpec:
    """`evaluation` with at least `POINTS` points, each on the tokens of a final loss.

    Every point of a curve is then a loss that can be held against another run's final one: tokens to reach a loss
    rest on that.
    """
    return replace(
        evaluation,
        points=max(POINTS, evaluation.points),
        point_tokens_per_domain=evaluation.tokens_per_domain,
    )
