"""Regressors of losses on mixtures, by the name that `--method` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.errors import ConfigError
from mixopt.methods.swarm.regressors.ddo import AdditiveRegressor
from mixopt.methods.swarm.regressors.gp import GaussianProcessRegressor
from mixopt.methods.swarm.regressors.loglinear import LogLinear
from mixopt.methods.swarm.regressors.mixing_law import MixingLawRegressor
from mixopt.methods.swarm.regressors.regmix import RegMix

if TYPE_CHECKING:
    from mixopt.methods.swarm.regressors.base import Regressor

# Simplest first: of laws that predict alike, the first is chosen (see `mixopt.methods.swarm.evidence`).
REGRESSORS: dict[str, Regressor] = {
    regressor.name: regressor
    for regressor in (
        LogLinear(),
        MixingLawRegressor(),
        AdditiveRegressor(),
        GaussianProcessRegressor(),
        RegMix(),
    )
}


def regressor_named(name: str) -> Regressor:
    """The regressor of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in REGRESSORS:
        raise ConfigError(f"method: expected {', '.join(REGRESSORS)} or auto, found {name!r}")
    return REGRESSORS[name]
