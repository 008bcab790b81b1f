"""Regressors of losses on mixtures, by the name that `--method` takes."""
