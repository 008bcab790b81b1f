"""Fit + propose at 20 domains against BoTorch and against Olmix's published recipe, in CPU seconds on one core.

The swarm is made: R mixtures of 20 domains, 20 losses by a log-linear law with 0.3 % noise; the objective is the
mean loss. Ours fits every loss and minimises the predicted mean over the simplex. References, in the same run:

- BoTorch: a SingleTaskGP (ARD Matérn-5/2) a loss on √w, then the posterior mean of 8,192 drawn mixtures; timed on
  `--losses` of the 20 losses and scaled up.
- Olmix (allenai/olmix at 9586977): L = exp(c) + exp(t·w) a loss, Huber's loss with delta 0.02, torch's L-BFGS with
  strong Wolfe line search, 100 steps of 20 iterations from each of 300 starts; timed on `--losses` losses and
  `--starts` starts and scaled up. Its proposal, a convex programme like ours, is not counted.

The error is that of predictions for 2,000 unseen mixtures without noise, in standard deviations of each loss, on
the losses that the references were timed on.

    OMP_NUM_THREADS=1 python benchmarks/search_speed.py
"""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numeric libraries are loaded

import numpy as np
import torch

from mixopt.methods.simplex.optimum import minimise
from mixopt.methods.swarm.predicted_objective import Single, Surface
from mixopt.methods.swarm.regressors.exponential import LogLinear
from mixopt.methods.swarm.regressors.gp import GaussianProcessRegressor
from mixopt.solve import Bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixopt.methods.swarm.regressors.base import Regressor

DOMAINS = 20
LIMITS = {64: 0.5, 512: 5.0}  # seconds
POOL, UNSEEN = 8192, 2000
HUBER_DELTA, OUTER_STEPS, INNER_STEPS, OLMIX_STARTS = 0.02, 100, 20, 300


class World:
    """A made swarm: (R, K) mixtures and (R, V) losses with noise, and the truth about unseen mixtures."""

    def __init__(self, runs: int) -> None:
        rng = np.random.default_rng(0)
        floor = rng.uniform(0.5, 1.0, DOMAINS)
        slopes = rng.normal(0, 0.3, (DOMAINS, DOMAINS)) - 2 * np.eye(DOMAINS)
        strength = rng.uniform(0.1, 1.0, runs + UNSEEN)
        mixtures = np.stack([rng.dirichlet(np.full(DOMAINS, own)) for own in strength])
        true = np.exp(floor) + np.exp(mixtures @ slopes.T)
        self.weights, self.unseen, self.truth = mixtures[:runs], mixtures[runs:], true[runs:]
        self.losses = true[:runs] * (1 + 0.003 * rng.standard_normal((runs, DOMAINS)))
        self.pool = rng.dirichlet(np.ones(DOMAINS), POOL)

    def error(self, predicted: NDArray[np.float64]) -> float:
        """Of predictions (2000, n) of the first n losses."""
        truth = self.truth[:, : predicted.shape[1]]
        return float(np.mean(np.sqrt(((predicted - truth) ** 2).mean(axis=0)) / truth.std(axis=0)))


def ours(world: World, regressor: Regressor, losses: int) -> tuple[float, float]:
    """CPU seconds of fit + propose, and the error."""
    start = time.process_time()
    fitted = regressor.fit(world.weights, world.losses, seed=0)
    share = np.full(DOMAINS, 1 / DOMAINS)
    minimise(Surface(Single(fitted), share, "sum", fitted=fitted), Bounds.free([str(i) for i in range(DOMAINS)]), share)
    seconds = time.process_time() - start
    return seconds, world.error(fitted.predict(world.unseen)[:, :losses])


def botorch(world: World, losses: int) -> tuple[float, float]:
    """CPU seconds of fit + posterior, scaled up to all losses, and the error."""
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Normalize, Standardize
    from gpytorch.kernels import MaternKernel, ScaleKernel
    from gpytorch.mlls import ExactMarginalLogLikelihood

    inputs, pool, unseen = (torch.tensor(np.sqrt(w)) for w in (world.weights, world.pool, world.unseen))
    start = time.process_time()
    models = []
    for loss in range(losses):
        model = SingleTaskGP(
            inputs,
            torch.tensor(world.losses[:, [loss]]),
            covar_module=ScaleKernel(MaternKernel(nu=2.5, ard_num_dims=DOMAINS)),
            input_transform=Normalize(DOMAINS),
            outcome_transform=Standardize(1),
        )
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        with torch.no_grad():
            model.posterior(pool)
        models.append(model)
    seconds = (time.process_time() - start) * DOMAINS / losses
    with torch.no_grad():
        predicted = [model.posterior(unseen).mean.numpy()[:, 0] for model in models]
    return seconds, world.error(np.stack(predicted, axis=1))


def olmix(world: World, losses: int, starts: int) -> tuple[float, float]:
    """CPU seconds of the fits, scaled up to all losses and 300 starts, and the error of the best of `starts`."""
    rng = np.random.default_rng(0)
    start = time.process_time()
    fits = [olmix_fit(world, loss, rng, starts) for loss in range(losses)]
    seconds = (time.process_time() - start) * DOMAINS / losses * OLMIX_STARTS / starts
    predicted = [np.exp(fit[0]) + np.exp(world.unseen @ fit[1:]) for fit in fits]
    return seconds, world.error(np.stack(predicted, axis=1))


def olmix_fit(world: World, loss: int, rng: np.random.Generator, starts: int) -> NDArray[np.float64]:
    """(1 + K,) c and t of one loss, the best of several starts."""
    weights, measured = torch.tensor(world.weights), torch.tensor(world.losses[:, loss])
    huber = torch.nn.HuberLoss(reduction="sum", delta=HUBER_DELTA)

    def cost(theta: torch.Tensor) -> torch.Tensor:
        return huber(torch.exp(theta[0]) + torch.exp(weights @ theta[1:]), measured)

    best, least = np.zeros(1 + DOMAINS), np.inf
    for c in rng.choice(np.linspace(-2, 1.5, 10), starts):
        slopes = 0.1 * rng.random(DOMAINS)
        slopes[loss] = -rng.random()
        theta = torch.tensor(np.append(c, slopes), requires_grad=True)
        optimiser = torch.optim.LBFGS([theta], lr=0.01, max_iter=INNER_STEPS, line_search_fn="strong_wolfe")

        def closure(theta: torch.Tensor = theta, optimiser: torch.optim.LBFGS = optimiser) -> torch.Tensor:
            optimiser.zero_grad()
            value = cost(theta)
            value.backward()
            return value

        for _ in range(OUTER_STEPS):
            optimiser.step(closure)
        found = float(cost(theta.detach()))
        if found < least:
            best, least = theta.detach().numpy().copy(), found
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", type=int, default=2, help="losses that the references are timed on")
    parser.add_argument("--starts", type=int, default=6, help="starts of Olmix's recipe that are timed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    own = {"loglinear": LogLinear(), "gp": GaussianProcessRegressor()}
    for regressor in own.values():  # imports and first calls are not counted
        ours(World(64), regressor, options.losses)
    botorch(World(64), 1)
    print(f"{'runs':>4}  {'':<10}  {'CPU seconds':>11}  {'limit':>6}  {'of ours':>8}  {'error':>6}")
    for runs, limit in LIMITS.items():
        world = World(runs)
        found = {name: ours(world, regressor, options.losses) for name, regressor in own.items()}
        references = {
            "BoTorch": (*botorch(world, options.losses), found["gp"][0]),
            "Olmix": (*olmix(world, options.losses, options.starts), found["loglinear"][0]),
        }
        for name, (seconds, error) in found.items():
            print(f"{runs:>4}  {name:<10}  {seconds:>10.2f}s  {limit:>5.1f}s  {'':>8}  {error:>6.3f}")
        for name, (seconds, error, counterpart) in references.items():
            print(f"{runs:>4}  {name:<10}  {seconds:>10.2f}s  {'':>6}  {seconds / counterpart:>7.0f}x  {error:>6.3f}")


if __name__ == "__main__":
    main()
