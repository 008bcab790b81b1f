"""A Gaussian process over √w for each loss: ARD Matérn-5/2 (`mixopt.methods.gp.process`).

On √w, mixtures that differ in a domain's presence lie apart however small its share: a domain's first per cent
moves a loss more than its last. Hyperparameters are fitted by loss, as domains matter differently to each.

Symbols as in `mixopt.methods.swarm.regressors.base`; P mixtures to predict at, M random features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixopt.arrays import Floats
from mixopt.methods.gp.process import OFFSET_VARIANCE, GaussianProcess, Scaling, fit_process
from mixopt.methods.swarm.regressors.base import Fitted, Regressor, Replicates

# Hyperparameters of a longer table are fitted to this many of its runs, drawn at random; all runs are conditioned
# on. An iteration costs the cube of its runs, and 2K hyperparameters do not need more.
_FOR_HYPERPARAMETERS = 192
_ITERATIONS = 50
_FEATURES = 512
# Mixtures predicted at a time: bounds the memory of the covariance between them and the runs.
_BLOCK = 4096


class GaussianProcessRegressor(Regressor):
    """One process a loss."""

    name = "gp"
    title = "Gaussian process on √w"

    def least_runs(self, domains: int) -> int:
        """A run a domain: its priors carry the hyperparameters that so few leave open."""
        return max(5, domains)

    def fit(self, weights: Floats, losses: Floats, *, seed: int) -> ProcessFit:
        """Fit every loss; the seed draws the runs that hyperparameters of a long table are fitted to."""
        self.check(weights, losses)
        features, runs = np.sqrt(weights), len(weights)
        scaling = Scaling.of(features)
        some = np.random.default_rng(seed).permutation(runs)[:_FOR_HYPERPARAMETERS]
        processes = []
        for y in losses.T[:, :, None]:
            own = Scaling.of(y)
            process = fit_process(
                features[some], y[some], iterations=_ITERATIONS, input_scaling=scaling, output_scaling=own
            )
            if runs > some.size:
                process = GaussianProcess.at(process.kernel, process.theta, features, y, scaling, own)
            processes.append(process)
        return ProcessFit(tuple(processes))


@dataclass(frozen=True, eq=False)
class ProcessFit(Fitted):
    """Processes of V losses."""

    processes: tuple[GaussianProcess, ...]

    def predict(self, weights: Floats) -> Floats:
        """(…, V) posterior means at mixtures (…, K)."""
        features = np.sqrt(weights.reshape(-1, weights.shape[-1]))
        means = np.empty((len(features), len(self.processes)))
        for start in range(0, len(features), _BLOCK):
            block = slice(start, start + _BLOCK)
            for v, process in enumerate(self.processes):
                means[block, v] = _in_units(process, _covariances(process, features[block]) @ process.dual[:, 0])
        return means.reshape(*weights.shape[:-1], -1)

    def sd(self, weights: Floats) -> Floats:
        """(…, V) posterior standard deviations."""
        features = np.sqrt(weights.reshape(-1, weights.shape[-1]))
        variance = np.concatenate([process.predict(features)[1] for process in self.processes], axis=1)
        return np.sqrt(variance).reshape(*weights.shape[:-1], -1)

    def replicates(self, count: int, seed: int) -> ProcessSamples:
        """Functions drawn from the posterior."""
        return ProcessSamples.draw(self.processes, count, np.random.default_rng(seed))

    def describe(self) -> dict[str, Any]:
        """By loss: length scales of √w, signal and noise standard deviations in nats/token."""
        spread = [process.output_scaling.scale[0] for process in self.processes]
        return {
            "law": "loss = Gaussian process of sqrt(w), Matern 5/2 with a length scale a domain",
            "length_scale": [
                (np.exp(process.theta[:-2]) * process.input_scaling.scale).tolist() for process in self.processes
            ],
            "signal_sd": [
                float(np.exp(process.theta[-2] / 2) * scale)
                for process, scale in zip(self.processes, spread, strict=True)
            ],
            "noise_sd": [float(np.sqrt(process.noise[0])) for process in self.processes],
        }


def _covariances(process: GaussianProcess, features: Floats) -> Floats:
    """(P, R) prior covariances of mixtures and runs."""
    return process.kernel.matrix(process.theta[:-1], process.input_scaling.apply(features), process.inputs)


def _in_units(process: GaussianProcess, values: Floats) -> Floats:
    """Standardised losses in nats/token."""
    return values * process.output_scaling.scale[0] + process.output_scaling.centre[0]


@dataclass(frozen=True, eq=False)
class _Paths:
    """Random functions of the prior of one process, and what the runs correct in them.

    The prior is drawn by M random Fourier features (Rahimi and Recht 2007; the spectrum of Matérn-5/2 is Student's
    t with 5 degrees of freedom), the correction is exact (Wilson et al. 2020, pathwise conditioning).
    """

    frequency: Floats  # (M, K) of standardised features
    phase: Floats  # (M,)
    amplitude: Floats  # (B, M)
    offset: Floats  # (B,) the unknown constant
    dual: Floats  # (B, R) covariance⁻¹ · (losses − drawn prior − drawn noise)

    @classmethod
    def draw(cls, process: GaussianProcess, count: int, rng: np.random.Generator) -> _Paths:
        from scipy.linalg import cho_solve

        size, runs = process.inputs.shape[1], len(process.inputs)
        heavy = np.sqrt(5 / rng.chisquare(5, (_FEATURES, 1)))
        frequency = rng.standard_normal((_FEATURES, size)) * heavy / np.exp(process.theta[:-2])
        phase = rng.uniform(0, 2 * np.pi, _FEATURES)
        amplitude = rng.standard_normal((count, _FEATURES)) * np.sqrt(2 * np.exp(process.theta[-2]) / _FEATURES)
        offset = rng.standard_normal(count) * np.sqrt(OFFSET_VARIANCE)
        prior = offset[:, None] + amplitude @ np.cos(process.inputs @ frequency.T + phase).T
        noise = np.sqrt(process.noise[0]) / process.output_scaling.scale[0]
        rest = process.outputs[:, 0] - prior - noise * rng.standard_normal((count, runs))
        return cls(frequency, phase, amplitude, offset, cho_solve((process.factor, True), rest.T).T)

    def values(self, process: GaussianProcess, features: Floats) -> Floats:
        """(B, P) in nats/token, at (P, K) or (B, P, K) features."""
        waves = np.cos(process.input_scaling.apply(features) @ self.frequency.T + self.phase)
        flat = features.reshape(-1, features.shape[-1])
        cross = _covariances(process, flat).reshape(*features.shape[:-1], -1)
        if features.ndim == 2:
            drawn = self.amplitude @ waves.T + self.dual @ cross.T
        else:
            drawn = (waves @ self.amplitude[..., None])[..., 0] + (cross @ self.dual[..., None])[..., 0]
        return _in_units(process, drawn + self.offset[:, None])


@dataclass(frozen=True, eq=False)
class ProcessSamples(Replicates):
    """B functions of the posterior of each loss, which can be evaluated anywhere."""

    processes: tuple[GaussianProcess, ...]
    paths: tuple[_Paths, ...]

    @classmethod
    def draw(cls, processes: tuple[GaussianProcess, ...], count: int, rng: np.random.Generator) -> ProcessSamples:
        """B functions a loss."""
        return cls(processes, tuple(_Paths.draw(process, count, rng) for process in processes))

    def __len__(self) -> int:
        return len(self.paths[0].offset)

    def predict(self, weights: Floats) -> Floats:
        """(B, P, V) losses of (P, K) or (B, P, K) mixtures."""
        features = np.sqrt(weights)
        return np.stack(
            [path.values(process, features) for path, process in zip(self.paths, self.processes, strict=True)], axis=-1
        )
