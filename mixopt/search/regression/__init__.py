"""Regressors of losses on mixtures, by the name that `--method` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.errors import ConfigError
from mixopt.search.regression.ddo import AdditiveRegressor
from mixopt.search.regression.gp import GaussianProcessRegressor
from mixopt.search.regression.loglinear import LogLinear
from mixopt.search.regression.mixing_law import MixingLawRegressor
from mixopt.search.regression.regmix import RegMix

if TYPE_CHECKING:
    from mixopt.search.regression.base import Regressor

# Simplest first: of laws that predict alike, the first is chosen (see `mixopt.search.one_shot_evidence`).
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
