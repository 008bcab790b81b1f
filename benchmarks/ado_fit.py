"""ADO's law fit, all domains at once, against the published recipe on the same core and the same objective.

The recipe (Jiang et al. 2024 and its code): L-BFGS from 512 starts a curve, at most 200 iterations, until the
gradient is 1e-5. Here scipy's L-BFGS in float64 with analytic gradients runs it, start by start; it is timed on a
subset of curves and starts and scaled up. CPU seconds of this process, one thread:

    OMP_NUM_THREADS=1 python benchmarks/ado_fit.py

Also measured: the policy's own cost a step, early and late in a run.
"""

from __future__ import annotations

import argparse
import itertools
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize
from scipy.signal import savgol_filter

from mixopt.laws.ado_fit import HUBER, fit_laws
from mixopt.laws.huber_newton import LawBounds
from mixopt.mixture import Mixture
from mixopt.policy import Ado

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BATCH, SKIP, STRIDE = 256, 500, 10
# The code's grid: log β, log ε, α.
STARTS = list(itertools.product(np.arange(-2, 6), np.arange(-2, 2, 0.5), np.arange(8) / 10))


def made_curves(domains: int, points: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n (T,) and smoothed noisy losses (K, T) of a run like the paper's, 60,000 steps at 5,950 points."""
    rng = np.random.default_rng(seed)
    steps = SKIP + STRIDE * points
    n = BATCH * np.arange(1.0, steps + 1)
    eps, alpha = rng.uniform(1.2, 3, (domains, 1)), rng.uniform(0.1, 0.6, (domains, 1))
    curves = eps + rng.uniform(0.3, 1.5, (domains, 1)) * (n / (BATCH * SKIP)) ** -alpha
    noisy = savgol_filter(curves * np.exp(0.02 * rng.standard_normal(curves.shape)), 101, 3)
    return n[SKIP::STRIDE], noisy[:, SKIP::STRIDE]


def objective(theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """The published objective without its constant −0.001, and its gradient, for one curve."""
    log_beta, log_eps, alpha = theta
    term = log_beta - alpha * x
    fitted = np.logaddexp(term, log_eps)
    rest, share = y - fitted, np.exp(term - fitted)
    size = np.abs(rest)
    inner = np.minimum(size, HUBER)
    pull = np.clip(rest, -HUBER, HUBER)
    over = [max(log_beta - 6.5, 0), max(0.5 - log_eps, 0), max(alpha - 0.8, 0) + max(0.001 - alpha, 0)]
    sides = np.array([log_beta > 6.5, -float(log_eps < 0.5), float(alpha > 0.8) - float(alpha < 0.001)])
    slope = np.array([-(pull * share).sum(), -(pull * (1 - share)).sum(), (pull * share * x).sum()])
    return float((inner * (size - 0.5 * inner)).sum() + sum(over)), slope + sides


def recipe(x: np.ndarray, y: np.ndarray, starts: Iterable[tuple[float, float, float]]) -> float:
    """The least objective that the recipe finds for one curve."""
    options = {"maxiter": 200, "gtol": 1e-5, "ftol": 0.0}
    found = (minimize(objective, s, (x, y), jac=True, method="L-BFGS-B", options=options).fun for s in starts)
    return min(f for f in found if np.isfinite(f))


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds and result."""
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


def step_cost(preset: str, steps: int) -> tuple[float, float]:
    """Median microseconds of an `observe` in the first and the last tenth of a run of 22 domains, fits left out."""
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.ones(22))
    policy = Ado(Mixture.normalised({str(k): float(s) for k, s in enumerate(share)}), preset, warmup=200, refit=False)
    policy.set_laws(np.full(22, 3.0), np.full(22, 0.6), rng.uniform(0.1, 0.5, 22))
    losses, tokens = rng.uniform(2, 4, (100, 22)), rng.multinomial(BATCH, share, 100) * 1024
    blocks = []
    for first in range(0, steps, 500):
        seconds, _ = cpu(
            lambda at=first: [policy.observe(at + i, losses[i % 100], tokens[i % 100]) for i in range(500)]
        )
        blocks.append(seconds / 500 * 1e6)
    tenth = max(1, len(blocks) // 10)
    return float(np.median(blocks[:tenth])), float(np.median(blocks[-tenth:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", type=int, default=22)
    parser.add_argument("--points", type=int, default=5950)
    parser.add_argument("--reference-curves", type=int, default=2)
    parser.add_argument("--reference-starts", type=int, default=64, help="of the 512, evenly spread")
    parser.add_argument("--steps", type=int, default=20_000)
    options = parser.parse_args()

    samples, losses = made_curves(options.domains, options.points)
    bounds = LawBounds.official()
    cold, fit = min((cpu(lambda: fit_laws(samples, losses, bounds=bounds)) for _ in range(3)), key=lambda r: r[0])
    warm, _ = min(
        (cpu(lambda: fit_laws(samples, losses, bounds=bounds, warm=fit.laws)) for _ in range(3)), key=lambda r: r[0]
    )
    print(f"{options.domains} domains x {options.points} points: cold {cold:.2f} s, warm {warm:.2f} s of CPU")

    stride = max(1, len(STARTS) // options.reference_starts)
    starts, curves = STARTS[::stride], min(options.reference_curves, options.domains)
    x, worst = np.log(samples), -np.inf
    reference = 0.0
    for k in range(curves):
        seconds, best = cpu(lambda k=k: recipe(x, np.log(losses[k]), starts))
        reference += seconds
        worst = max(worst, float(fit.objective[k]) - best)
    whole = reference / curves / len(starts) * len(STARTS) * options.domains
    print(f"the recipe: {reference:.1f} s for {curves} curves x {len(starts)} starts, {whole:.0f} s for all")
    print(
        f"ratio {whole / cold:.0f} cold, {whole / warm:.0f} warm; "
        f"our objective is above the recipe's by at most {worst:+.1e}"
    )

    for preset in ("robust", "paper", "official"):
        early, late = step_cost(preset, options.steps)
        print(f"observe, {preset}: {early:.0f} us early, {late:.0f} us late in {options.steps} steps")


if __name__ == "__main__":
    main()
