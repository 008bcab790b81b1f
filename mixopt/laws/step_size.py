"""Data Mixing Laws' step law and size law: losses of short runs of small models, carried to the target.

    L(x) = E + (x0 / x)^a        (Ye et al. 2024, "Data Mixing Laws"; x: tokens trained on, or parameters)

E and x0 are each curve's own; curves of one group share the exponent a, as published: the losses of one mixture in
steps, all losses of all mixtures in sizes. One curve alone hardly tells a from E.

For a given a the law is linear in E and B = x0^a, and both are solved in closed form within E ≥ 0, B ≥ 0 (variable
projection, Golub and Pereyra 1973); a is searched along its line. Huber's loss, by reweighting.

Symbols: N curves, T points of each, M mixtures, S sizes, V losses. Losses are in nats/token. float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Range of a: published exponents of steps and sizes are 0.05 to 0.8.
EXPONENTS = (0.01, 2.0)
_GRID = np.log(np.geomspace(*EXPONENTS, 41))
# 95 % as efficient as least squares under normal errors (Huber and Ronchetti 2009, section 4.5).
_HUBER = 1.345
_REWEIGHTINGS = 5


@dataclass(frozen=True, eq=False)
class ScalingLaw:
    """L(x) = E + B·x̂^(−a) of N curves, x̂ = x / unit.

    Attributes:
        floor: (N,) E ≥ 0.
        amplitude: (N,) B ≥ 0, the reducible loss at `unit`.
        exponent: a, of all curves.
        unit: of x, for the amplitude.
    """

    floor: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    exponent: float
    unit: float

    def predict(self, x: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) losses at one x, or (N, P) at x of shape (P,)."""
        power = (np.asarray(x, dtype=np.float64) / self.unit) ** -self.exponent
        return self.floor.reshape(-1, *[1] * power.ndim) + np.multiply.outer(self.amplitude, power)

    @property
    def x0(self) -> NDArray[np.float64]:
        """(N,) the paper's S0 or N0, in x's units: where the reducible loss is 1 nat/token."""
        return self.unit * self.amplitude ** (1 / self.exponent)


def fit_scaling_law(x: NDArray[np.float64], losses: NDArray[np.float64]) -> ScalingLaw:
    """Fit N curves that share an exponent.

    Args:
        x: (T,) tokens, steps or parameters, above 0.
        losses: (N, T) nats/token; NaN where a curve has no point. Each has two points at least, one of them three.

    Raises:
        ConfigError: too few points, or numbers that are not positive.
    """
    present = np.isfinite(losses)
    counts = present.sum(axis=1)
    if x.ndim != 1 or losses.ndim != 2 or losses.shape[1] != x.size:
        raise ConfigError(f"scaling law: expected losses (curves, {x.size}), found shape {losses.shape}")
    if not (np.isfinite(x).all() and (x > 0).all() and np.unique(x).size == x.size):
        raise ConfigError("scaling law: expected different amounts above 0")
    if counts.size == 0 or counts.min() < 2 or counts.max() < 3:
        fewest, most = (counts.min(), counts.max()) if counts.size else (0, 0)
        raise ConfigError(
            f"scaling law: needs two points of every curve and three of one, found {fewest} and {most}; measure at "
            "more amounts"
        )
    unit = float(np.exp(np.log(x).mean()))
    log_x = np.log(x / unit)
    y, weight = np.where(present, losses, 0.0), present.astype(np.float64)
    exponent, floor, amplitude = _search(log_x, y, weight)
    for _ in range(_REWEIGHTINGS):
        off = np.abs(y - floor[:, None] - amplitude[:, None] * np.exp(-exponent * log_x))
        scale = 1.4826 * np.nanmedian(np.where(present, off, np.nan))
        reweighted = present * np.minimum(1.0, _HUBER * scale / np.maximum(off, 1e-300))
        if scale < 1e-12 or np.abs(reweighted - weight).max() < 1e-6:
            break
        weight = reweighted
        exponent, floor, amplitude = _search(log_x, y, weight)
    return ScalingLaw(floor, amplitude, exponent, unit)


def _linear(
    power: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """E and B (N,) by weighted least squares within E, B ≥ 0, and the sum of squares."""
    total = weight.sum(axis=1)
    mean_y, mean_p = (weight * y).sum(axis=1) / total, (weight * power).sum(axis=1) / total
    centred = power - mean_p[:, None]
    slope = (weight * centred * y).sum(axis=1) / np.maximum((weight * centred**2).sum(axis=1), 1e-300)
    amplitude = np.maximum(slope, 0.0)
    floor = mean_y - amplitude * mean_p
    through_zero = (weight * power * y).sum(axis=1) / (weight * power**2).sum(axis=1)
    amplitude = np.where(floor < 0, np.maximum(through_zero, 0.0), amplitude)
    floor = np.maximum(floor, 0.0)
    rest = y - floor[:, None] - amplitude[:, None] * power
    return floor, amplitude, float((weight * rest**2).sum())


def _search(
    log_x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """The best exponent of a grid, refined between its neighbours there; with its E and B."""
    from scipy.optimize import minimize_scalar

    def cost(log_a: float) -> float:
        return _linear(np.exp(-np.exp(log_a) * log_x), y, weight)[2]

    best = int(np.argmin([cost(log_a) for log_a in _GRID]))
    between = (_GRID[max(best - 1, 0)], _GRID[min(best + 1, _GRID.size - 1)])
    found = minimize_scalar(cost, bounds=between, method="bounded", options={"xatol": 1e-9})
    exponent = float(np.exp(found.x))
    floor, amplitude, _ = _linear(np.exp(-exponent * log_x), y, weight)
    return exponent, floor, amplitude


def carried_losses(
    tokens: NDArray[np.float64],
    sizes: NDArray[np.float64],
    losses: NDArray[np.float64],
    target_tokens: float,
    target_size: float,
) -> NDArray[np.float64]:
    """Losses of each mixture at the target, for a mixing law to be fitted to: the paper's nested use of its laws.

    A step law for every mixture and size, whose losses share an exponent, gives each size's losses after
    `target_tokens`; a size law, whose exponent all mixtures and losses share, carries those to `target_size`.

    Args:
        tokens: (T,) at which losses were measured.
        sizes: (S,) parameters without embeddings.
        losses: (M, S, T, V) nats/token; NaN where there is none.
        target_tokens: how long the target is trained.
        target_size: its parameters.

    Returns:
        (M, V).

    Raises:
        ConfigError: too few points, or numbers that are not positive.
    """
    if losses.shape[1:3] != (sizes.size, tokens.size):
        raise ConfigError(
            f"scaling law: expected losses (mixtures, {sizes.size}, {tokens.size}, losses), found {losses.shape}"
        )
    mixtures, _, _, outputs = losses.shape
    longest = [
        [fit_scaling_law(tokens, curves.T).predict(target_tokens) for curves in by_size] for by_size in losses
    ]
    by_curve = np.swapaxes(np.array(longest), 1, 2).reshape(mixtures * outputs, sizes.size)
    return fit_scaling_law(sizes, by_curve).predict(target_size).reshape(mixtures, outputs)
