"""Laws of losses on mixtures, by the name that `--method` and `--regressor` take."""

from mixopt.methods.swarm.regressors.base import Regressor
from mixopt.plugins import Registry

# Simplest first: of laws that predict alike, the first is chosen (see `mixopt.methods.swarm.law_choice`).
LAWS: Registry[type[Regressor]] = Registry(
    "law",
    "mixopt.laws",
    {
        "loglinear": "mixopt.methods.swarm.regressors.exponential:LogLinear",
        "mixing-law": "mixopt.methods.swarm.regressors.exponential:MixingLawRegressor",
        "ddo": "mixopt.methods.swarm.regressors.ddo:AdditiveRegressor",
        "gp": "mixopt.methods.swarm.regressors.gp:GaussianProcessRegressor",
        "regmix": "mixopt.methods.swarm.regressors.regmix:RegMix",
    },
    Regressor,
)

__all__ = ["LAWS", "Regressor"]
