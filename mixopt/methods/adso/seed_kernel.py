"""Covariance of runs that share a seed: initialisation and data order shift the losses of all mixtures alike.

With one seed that shift is the same for all runs and says nothing about mixtures. With several it must be told from
what mixtures do; and what a seed does to one mixture and not to others is then noise, as it is in truth.

Symbols: n points, J axes of scale. Inputs are those of a kernel of mixtures and scales, then a column of seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.methods.gp.kernels import Prior, Pullback

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixopt.methods.adso.fidelity_kernel import FidelityKernel
    from mixopt.methods.gp.kernels import Matern52

# The seed of a run that no seed is known of: an average one.
ANY_SEED = -1


@dataclass(frozen=True)
class SeedKernel:
    """base(x, z; x', z')  +  τ² exp(−Σ|z_j − z'_j| / ℓ) where both runs have the same seed.

    θ = the base's, log τ², log ℓ.

    Attributes:
        base: of mixtures and scales.
        axes: J; 0 where all is done at the target.
    """

    base: FidelityKernel | Matern52
    axes: int

    @property
    def prior(self) -> Prior:
        """A shift of a third of what mixtures do, alike over a few decades of scale."""
        own = self.base.prior
        return Prior(np.append(own.mean, (math.log(0.1), math.log(3.0))), np.append(own.spread, (1.5, 1.0)))

    def matrix(
        self, theta: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(n_a, n_b) covariances."""
        return self.base.matrix(theta[:-2], a[:, :-1], b[:, :-1]) + self._shared(theta, a, b)[0]

    def diagonal(self, theta: NDArray[np.float64], a: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) variances."""
        return self.base.diagonal(theta[:-2], a[:, :-1]) + np.exp(theta[-2]) * (a[:, -1] != ANY_SEED)

    def value_and_pullback(
        self, theta: NDArray[np.float64], a: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], Pullback]:
        """See `mixopt.methods.gp.kernels.Kernel`."""
        covariance, base_pullback = self.base.value_and_pullback(theta[:-2], a[:, :-1])
        shared, apart = self._shared(theta, a, a)

        def pullback(gradient: NDArray[np.float64]) -> NDArray[np.float64]:
            by_pair = gradient * shared
            return np.append(base_pullback(gradient), (by_pair.sum(), (by_pair * apart).sum()))

        return covariance + shared, pullback

    def _shared(
        self, theta: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n_a, n_b) covariance of the shifts, and how far apart the scales are, in ℓ."""
        same = (a[:, None, -1] == b[None, :, -1]) & (a[:, None, -1] != ANY_SEED)
        start = a.shape[1] - 1 - self.axes
        between = a[:, None, start:-1] - b[None, :, start:-1]
        apart = np.abs(between).sum(axis=2) / np.exp(theta[-1])
        return np.exp(theta[-2] - apart) * same, apart
