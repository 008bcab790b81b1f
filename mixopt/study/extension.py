"""`--extend STUDY`: a finished search's mixture is kept while domains are added, and its runs where they hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.data.manifest import Manifest
from mixopt.errors import ConfigError, DataError
from mixopt.methods.swarm.extension import VIRTUAL, Extension, Frozen
from mixopt.methods.swarm.extension_regression import WithEarlierRuns
from mixopt.methods.swarm.runs import Swarm
from mixopt.methods.swarm.searcher import OneShot
from mixopt.mixture import Mixture
from mixopt.score import TASK_PREFIX
from mixopt.solve import Supply, parse_floor
from mixopt.store import Store
from mixopt.store.task_errors import by_label
from mixopt.study.mixtures import mixture_of_study
from mixopt.study.resolution import shares_seen
from mixopt.study.tasks import needed_tasks

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.study.study import Study

# Parts of a resolved study that have to be the same for its runs to count beside new ones.
_SAME = ("model", "optim", "sequence_length", "tokens")


@dataclass(frozen=True)
class Earlier:
    """A finished study.

    Attributes:
        study_id: its identity.
        mixture: what it recommends.
        config: the resolved study.
        history: its runs that finished, of its length, with a fixed mixture.
    """

    study_id: str
    mixture: Mixture
    config: dict[str, Any]
    history: History


def extension_searcher(study: Study, prefix: str) -> Extension:
    """The search over the new domains and the earlier mixture as one.

    Args:
        study: the new study, whose data has the earlier study's domains and others.
        prefix: the earlier study, or as much of its id's start as is unique.

    Raises:
        ConfigError: the earlier study has no recommendation, or domains that the data does not have.
        StoreError: there is no such study.
    """
    from mixopt.study.search import confirmed_at, one_shot_settings

    earlier = read_earlier(study, prefix)
    frozen = Frozen(study.domains, earlier.mixture)
    differences = differs(study, earlier)
    settings = one_shot_settings(study, len(frozen.coordinates))
    if settings.design.groups:
        raise ConfigError(
            "extend: the earlier domains are one virtual domain, so there are no groups; leave them out"
        )
    natural = Mixture.normalised(frozen.reduce(study.corpus))
    regressors = settings.regressors
    tasks = by_label(needed_tasks(study))  # which earlier runs say nothing of
    measured = (
        *study.spec(study.natural, study.tokens, seed=0).measured,
        *(f"{TASK_PREFIX}{name}" for name in tasks),
    )
    swarm = Swarm.of(earlier.history) if not differences and len(earlier.history) else None
    if swarm is not None and regressors:
        runs = _on(frozen.domains, swarm.history.domains, swarm.weights)
        losses = _on(measured, swarm.history.eval_domains, swarm.losses, missing=np.nan)
        regressors = [WithEarlierRuns(regressor, frozen.matrix, runs, losses) for regressor in regressors]
    settings = replace(
        settings,
        regressors=regressors,
        floor=frozen.floors(parse_floor(study.config.method.floor or 0.0, len(study.domains))),
        run_supply=_reduced(frozen, settings.run_supply),
        supply=_reduced(frozen, settings.supply),
        seen=lambda row: frozen.shares(shares_seen(study, frozen.matrix @ row)),
    )
    alone = Mixture(frozen.coordinates, (1.0, *[0.0] * len(frozen.new)))
    inner = OneShot(
        natural,
        study.tokens,
        settings,
        {"natural share of new": natural, VIRTUAL: alone},
        study.domains,
        target=confirmed_at(study),
    )
    used = list(swarm.history.runs) if swarm is not None and regressors else []
    notes = _notes(frozen, earlier, differences, len(used))
    return Extension(frozen, inner, notes, {"study": earlier.study_id, "runs": used, "differences": differences})


def read_earlier(study: Study, prefix: str) -> Earlier:
    """The earlier study, from the results table.

    Raises:
        ConfigError: it has no recommendation.
        StoreError: there is no such study, or no results table.
    """
    with Store(study.config.results, read_only=True) as store:
        study_id = store.find_study(prefix)
        record = next(record for record in store.studies() if record["study_id"] == study_id)
        mixture = mixture_of_study(study_id, store, f"extend {prefix}")
        wanted = record["config"].get("tokens")
        runs = [run for run, _ in record["runs"] if store.has_finished(run)]
        same = [
            run
            for run in dict.fromkeys(runs)
            for spec in [store.get(run)[0]]
            if spec.policy.name == "static"
            and spec.tokens == wanted
            and set(spec.data.domains) == set(mixture.domains)
        ]
        return Earlier(study_id, mixture, record["config"], store.history(same))


def differs(study: Study, earlier: Earlier) -> list[str]:
    """Why the earlier runs' losses do not count beside new ones, in words; nothing where they do."""
    now = study.resolved()
    found = [f"{part.replace('_', ' ')} differs" for part in _SAME if earlier.config.get(part) != now[part]]
    if earlier.config.get("unique_tokens") or now["unique_tokens"]:
        found.append("distinct tokens are limited")
    tokens = "tokens_per_domain"
    if earlier.config.get("evaluation", {}).get(tokens) != now["evaluation"][tokens]:
        found.append("validation tokens of a domain differ")
    return found + _text(study, earlier)


def _text(study: Study, earlier: Earlier) -> list[str]:
    """Whether the old domains' text and tokens are the same, by the hashes of both data folders."""
    folder = Path(earlier.config.get("config", {}).get("data", {}).get("dir", ""))
    try:
        old = Manifest.load(folder)
    except DataError:
        return [f"the earlier data ({folder}) is not there to compare with"]
    if old.fingerprint != earlier.config.get("fingerprint"):
        return [f"the earlier data ({folder}) has changed since"]
    if old.tokenizer_hash != study.manifest.tokenizer_hash:
        return ["the tokenizer is another"]
    mine = {entry.name: entry for entry in study.manifest.domains}
    theirs = {entry.name: entry for entry in old.domains}
    changed = [
        f"the {kind} text of {name} is another"
        for name in earlier.mixture.domains
        for kind in ("validation", "train")
        if getattr(mine[name], kind).hash != getattr(theirs[name], kind).hash
    ]
    return changed[:2]


def _notes(frozen: Frozen, earlier: Earlier, differences: list[str], used: int) -> list[str]:
    old, new = ", ".join(frozen.earlier.domains), ", ".join(frozen.new)
    assumed = (
        f"assumed: the best shares among {old} are those of study {earlier.study_id}, however much {new} gets; "
        "only their sum is searched"
    )
    if differences:
        again = f"of study {earlier.study_id} its mixture is used and not its runs, as {'; '.join(differences)}"
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
