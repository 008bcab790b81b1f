"""Losses that are known functions of the mixture."""

from __future__ import annotations

import numpy as np


def mixtures(runs: int, domains: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(domains), runs)


def exponential(weights: np.ndarray, losses: int, noise: float = 0.0, seed: int = 1) -> np.ndarray:
    """(R, V): floor + exp(slope · w), every slope below 0.5."""
    rng = np.random.default_rng(seed)
    slope = 0.5 - 2.5 * rng.random((losses, weights.shape[1]))
    truth = rng.uniform(1, 2, losses) + np.exp(weights @ slope.T)
    return truth + noise * np.random.default_rng(seed + 1).standard_normal(truth.shape)
