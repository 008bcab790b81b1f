"""The log-linear law L_v = exp(c_v) + exp(t_v·w) of Olmix (2026), by least squares.

Of the regressors here it carries over best from the smallest models to the largest: see docs/search.md.
"""

from __future__ import annotations

from mixopt.methods.swarm.regressors.exponential import ExponentialRegressor


class LogLinear(ExponentialRegressor):
    """Least squares from four starts; the published recipe takes Huber's loss and 300 starts of L-BFGS."""

    name = "loglinear"
    title = "log-linear law"
