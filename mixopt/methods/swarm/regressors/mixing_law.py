"""Data Mixing Laws' exponential law L_v = c_v + k_v exp(t_v·w) (Ye et al. 2024, the form M4), with Huber's loss."""

from __future__ import annotations

from mixopt.methods.swarm.regressors.exponential import ExponentialRegressor


class MixingLawRegressor(ExponentialRegressor):
    """The log-linear law where k_v > 0; a loss may also flatten as it rises (k_v < 0), and outliers count less."""

    name = "mixing-law"
    title = "Data Mixing Laws' exponential law"
    negative = True
    robust = True
