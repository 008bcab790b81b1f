"""Mixtures to choose from: drawn on the simplex within bounds, and finer around good ones.

Rejection would keep one draw in a million at twenty domains; these are drawn within bounds at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixopt.methods.swarm.sampling import dirichlet_within
from mixopt.solve.projection import project

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixopt.solve import Bounds

# Sums of Dirichlet parameters. About the natural shares those of RegMix's swarm, for each domain; about a centre
# they give standard deviations from a fifth of the root of a share down to a fiftieth.
_ABROAD, _NEAR = (0.1, 5.0), (30.0, 3000.0)
# Lengths of steps, in weight.
_STEPS = (0.01, 0.3)


def abroad(
    natural: NDArray[np.float64], bounds: Bounds, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Mixtures (count, m) from all over: half uniformly on the simplex, half about the natural shares.

    Args:
        natural: (m,) natural shares.
        bounds: floors and caps.
        count: how many.
        rng: source of randomness.
    """
    strengths = np.exp(rng.uniform(*np.log(_ABROAD), size=(count - count // 2, 1)))
    # Square roots of shares, as RegMix draws: small domains get their turn.
    tempered = np.sqrt(natural) / np.sqrt(natural).sum()
    parameters = np.vstack([np.ones((count // 2, len(natural))), strengths * len(natural) * tempered])
    return dirichlet_within(parameters, bounds.floors, bounds.caps, rng)


def near(centres: NDArray[np.float64], bounds: Bounds, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Mixtures (count, m) about some of the `centres` (c, m), close to them and farther off.

    Half are drawn from Dirichlet distributions, where a domain that a centre leaves out may come back with a
    thousandth of the mixture. The others are normal steps, projected onto the bounds, where the best often lies.
    """
    chosen = centres[rng.integers(len(centres), size=count)]
    half = count // 2
    strengths = np.exp(rng.uniform(*np.log(_NEAR), size=(half, 1)))
    parameters = strengths * (chosen[:half] + 1e-3) / (1 + 1e-3 * chosen.shape[1])
    drawn = dirichlet_within(parameters, bounds.floors, bounds.caps, rng)
    lengths = np.exp(rng.uniform(*np.log(_STEPS), size=(count - half, 1)))
    steps = lengths * rng.standard_normal((count - half, chosen.shape[1])) / np.sqrt(chosen.shape[1])
    return np.vstack([drawn, project(chosen[half:] + steps, bounds.floors, bounds.caps)])
