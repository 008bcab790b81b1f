"""Searches on a study: the searcher that its config asks for. A method is a line in `SEARCHERS`."""

from __future__ import annotations

import difflib
from functools import partial
from typing import TYPE_CHECKING, Any

from mixopt.errors import ConfigError
from mixopt.methods.adso.scales import Scale
from mixopt.methods.names import ONE_SHOT, SEQUENTIAL
from mixopt.methods.swarm.designs import DesignSettings
from mixopt.methods.swarm.fit import regressors_of
from mixopt.methods.swarm.searcher import OneShot, OneShotSettings
from mixopt.solve import Supply
from mixopt.store import Store
from mixopt.study.adso import adso_searcher, at_target
from mixopt.study.config import StudyConfig
from mixopt.study.ddo import ddo_searcher
from mixopt.study.loop import run_study
from mixopt.study.resolution import shares_seen
from mixopt.study.tasks import study_objective, study_pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mixopt.methods.base import Recommendation, Searcher
    from mixopt.methods.swarm.extension import Extension
    from mixopt.report.progress import Watch
    from mixopt.study.study import Study

# Four runs a domain, as the log-linear law needs on RegMix's tables (64 runs of 17 domains); no fewer than these.
_RUNS_A_DOMAIN, _LEAST_RUNS = 4, 16


def search_config(path: str | Path | None, flags: dict[str, Any]) -> StudyConfig:
    """The study of `mixopt search` and `mixopt grid`: `auto`, unless file or flags name another search.

    A study file's `name: ddo` is what `mixopt init` writes; `--method ddo` asks for it.

    Raises:
        ConfigError: the file cannot be read, something in it is wrong, or the method is no search.
    """
    asked = flags.get("method.name")
    if asked is not None and asked not in SEARCHERS:
        near = difflib.get_close_matches(str(asked), SEARCHERS, n=1, cutoff=0.5)
        raise ConfigError(f"--method: expected {', '.join(near or SEARCHERS)}, found {asked!r}")
    config = StudyConfig.load(path, flags)
    if asked is None and (config.method.name == "ddo" or config.method.name not in SEARCHERS):
        return StudyConfig.load(path, {**flags, "method.name": "auto"})
    return at_target(config) if config.method.name in SEQUENTIAL else config


def searcher_of(study: Study) -> Searcher:
    """The searcher of a study's `method` section.

    Raises:
        ConfigError: settings that do not go together, or bounds that no mixture satisfies.
    """
    return SEARCHERS[study.config.method.name](study)


def one_shot_searcher(study: Study) -> OneShot | Extension:
    """The one-shot search of a study's `method` section: a grid, or a swarm and a law.

    Raises:
        ConfigError: settings that do not go together, or bounds that no mixture satisfies.
    """
    method = study.config.method
    if method.extend:
        from mixopt.study.extension import extension_searcher

        return extension_searcher(study, method.extend)
    # First, as it says more than the bounds would about a data set that is too small.
    study.check_epochs(study.spec(study.natural, study.tokens, seed=0), "natural")
    settings = one_shot_settings(study, len(study.domains))
    return OneShot(study.natural, study.tokens, settings, target=confirmed_at(study))


def one_shot_settings(study: Study, domains: int) -> OneShotSettings:
    """Settings of a one-shot search from the `method` section.

    Args:
        study: the study.
        domains: how many weights the search varies.
    """
    method, epochs = study.config.method, study.config.training.max_epochs
    name = method.regressor or (None if method.name in ("grid", "random") else method.name)
    return OneShotSettings(
        design=_design(study, domains),
        regressors=None if name is None else regressors_of(name),
        objective=study_objective(study),
        seeds=study.seeds,
        floor=method.floor or 0.0,
        run_supply=Supply(study.available, study.tokens, epochs),
        supply=Supply(
            # The limits on distinct tokens are the proxies'; the target has all the text.
            available=study.corpus if method.target_tokens else study.available,
            target_tokens=method.target_tokens or study.tokens,
            max_epochs=epochs,
        ),
        kl=method.kl,
        pareto=study_pair(study),
        seen=partial(shares_seen, study),
        confirm=method.confirm,
    )


def confirmed_at(study: Study) -> Scale:
    """Where a one-shot search runs the mixtures that it confirms: the study's model, for the target's tokens."""
    spec = study.spec(study.natural, study.config.method.target_tokens or study.tokens, seed=0)
    unit = study.spec(study.natural, study.tokens, seed=0)
    return Scale(None, spec.model.parameters, spec.tokens, spec.flops / unit.flops)


def _design(study: Study, domains: int) -> DesignSettings:
    method = study.config.method
    kind = method.design or ("two-level" if method.groups else "dirichlet")
    if method.name == "grid":
        if method.design not in (None, "lattice"):
            raise ConfigError(
                f"grid: its design is a lattice, found {method.design!r}; use `mixopt search` for others"
            )
        kind = "lattice"
    if method.step is not None and method.runs is not None:
        raise ConfigError("grid: a step says how many mixtures there are; leave --step or --count out")
    return DesignSettings(
        kind=kind,
        runs=method.runs or max(_LEAST_RUNS, _RUNS_A_DOMAIN * domains),
        strengths=method.strengths,
        temperature=method.temperature,
        groups=method.groups or {},
        step=method.step,
    )


def search(study: Study, watch: Watch | None = None) -> Recommendation:
    """The best mixture by the search that the study's `method` section names.

    Runs that the results table has are used again; the others are trained and recorded.

    Args:
        study: what to train, on what data, where.
        watch: who is told how it goes.

    Raises:
        MixoptError: something in the study, the data, the table or the executor has to be mended.
    """
    searcher = searcher_of(study)
    with Store(study.config.results) as store, study.executor() as executor:
        return run_study(study, searcher, store, executor, watch)


# A method is a line here: a searcher set up for the study.
SEARCHERS: dict[str, Callable[[Study], Searcher]] = {
    **dict.fromkeys((*ONE_SHOT, "grid"), one_shot_searcher),
    **dict.fromkeys(SEQUENTIAL, adso_searcher),
    "ddo": ddo_searcher,
}
