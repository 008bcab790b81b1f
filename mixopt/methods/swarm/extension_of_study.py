"""`--extend STUDY`: a finished search's mixture is kept while domains are added, and its runs where they hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.errors import ConfigError
from mixopt.methods.swarm.evidence import Extended
from mixopt.methods.swarm.extension import VIRTUAL, Extension, Frozen
from mixopt.methods.swarm.extension_regression import WithEarlierRuns
from mixopt.methods.swarm.runs import Swarm
from mixopt.methods.swarm.searcher import OneShot
from mixopt.mixture import Mixture
from mixopt.solve import parse_floor

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixopt.methods.adso.scales import Scale
    from mixopt.methods.problem import Earlier, Problem
    from mixopt.methods.swarm.searcher import OneShotSettings
    from mixopt.solve import Supply


def extension(
    problem: Problem, study: str, asked: Callable[[int], OneShotSettings], floor: float | str | None, target: Scale
) -> Extension:
    """The search over the new domains and an earlier study's mixture as one.

    Args:
        problem: the new problem, which has the earlier study's domains and others.
        study: the earlier study, or as much of its id's start as is unique.
        asked: settings of a search over so many weights.
        floor: least weight of a domain.
        target: the scale that mixtures are confirmed at.

    Raises:
        ConfigError: the earlier study has no recommendation, or domains that the data does not have.
        StoreError: there is no such study.
    """
    training = problem.training
    if training is None or problem.natural is None or problem.corpus is None:
        raise ConfigError("extend: expected a study that trains, found a table of runs; leave it out")
    earlier = training.earlier(study)
    frozen = Frozen(problem.domains, earlier.mixture)
    settings = asked(len(frozen.coordinates))
    if settings.design.groups:
        raise ConfigError(
            "extend: the earlier domains are one virtual domain, so there are no groups; leave them out"
        )
    natural = Mixture.normalised(frozen.reduce(problem.corpus))
    regressors = settings.regressors
    swarm = Swarm.of(earlier.history) if not earlier.differences and len(earlier.history) else None
    if swarm is not None and regressors:
        runs = _on(frozen.domains, swarm.history.domains, swarm.weights)
        losses = _on(problem.measured, swarm.history.eval_domains, swarm.losses, missing=np.nan)
        regressors = [WithEarlierRuns(regressor, frozen.matrix, runs, losses) for regressor in regressors]
    settings = replace(
        settings,
        regressors=regressors,
        floor=frozen.floors(parse_floor(floor or 0.0, len(problem.domains))),
        run_supply=_reduced(frozen, settings.run_supply),
        supply=_reduced(frozen, settings.supply),
        seen=lambda row: frozen.shares(training.seen(frozen.matrix @ row, problem.tokens)),
    )
    alone = Mixture(frozen.coordinates, (1.0, *[0.0] * len(frozen.new)))
    baselines = {"natural share of new": natural, VIRTUAL: alone}
    inner = OneShot(natural, problem.tokens, settings, baselines, problem.domains, target=target)
    used = list(swarm.history.runs) if swarm is not None and regressors else []
    extended = Extended(
        study=earlier.study_id,
        runs=tuple(used),
        differences=tuple(earlier.differences),
        shares=earlier.mixture.to_dict(),
    )
    return Extension(frozen, inner, _notes(frozen, earlier, len(used)), extended)


def _notes(frozen: Frozen, earlier: Earlier, used: int) -> list[str]:
    old, new = ", ".join(frozen.earlier.domains), ", ".join(frozen.new)
    assumed = (
        f"assumed: the best shares among {old} are those of study {earlier.study_id}, however much {new} gets; "
        "only their sum is searched"
    )
    if earlier.differences:
        again = (
            f"of study {earlier.study_id} its mixture is used and not its runs, as {'; '.join(earlier.differences)}"
        )
    elif used:
        again = (
            f"{used} runs of study {earlier.study_id} count in the laws of {old}: tokenizer, text and training "
            "are the same"
        )
    else:
        again = f"of study {earlier.study_id} its mixture is used; without a law its runs say nothing of {new}"
    return [assumed, again]


def _reduced(frozen: Frozen, supply: Supply | None) -> Supply | None:
    return None if supply is None else replace(supply, available=frozen.supply(supply.available))


def _on(
    names: tuple[str, ...],
    have: tuple[str, ...],
    array: np.ndarray[Any, np.dtype[np.float64]],
    missing: float = 0.0,
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Columns in the order of `names`; those that there are not hold `missing`."""
    found = np.full((len(array), len(names)), missing)
    for column, name in enumerate(names):
        if name in have:
            found[:, column] = array[:, have.index(name)]
    return found
