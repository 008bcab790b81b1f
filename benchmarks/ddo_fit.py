"""DDO's fit + solve + 1,000 bootstrap replicates, against scipy and cvxpy one problem at a time.

Reference, in the same run: for each replicate and domain `scipy.optimize.least_squares` on (a, b, c) from one start
with the same prior, then one cvxpy solve a replicate; timed on a subset and scaled up. Start it on one core:

    OMP_NUM_THREADS=1 python benchmarks/ddo_fit.py
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.optimize import least_squares
from simplex_references import convex_programme

from mixopt.laws.power import Prior, fit_power
from mixopt.solve import Bounds, PowerSum, solve_simplex

LIMITS = {7: 2.0, 100: 30.0}  # seconds


def sweep(domains: int, replicates: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Amounts (K, 3), deviations (K, 3) and replicates of y (B, K, 3) of a made sweep with 0.3 % noise."""
    rng = np.random.default_rng(0)
    x = np.tile([1.0, 3.0, 1 / 3], (domains, 1))
    a, b = np.exp(rng.normal(0.5, 0.4, (domains, 1))), np.exp(rng.normal(0.3, 0.3, (domains, 1)))
    y = 1 + ((x + a) ** -b - (1 + a) ** -b) * min(1.0, 7 / domains)
    return x, np.full((domains, 3), 0.003), y + 0.003 * rng.standard_normal((replicates, domains, 3))


def ours(x: np.ndarray, sd: np.ndarray, y: np.ndarray, prior: Prior, shift: np.ndarray) -> np.ndarray:
    fit = fit_power(x, y, sd, prior, shift)
    return solve_simplex(problem(fit.a, fit.b), Bounds.free([str(i) for i in range(x.shape[0])])).weights


def problem(a: np.ndarray, b: np.ndarray) -> PowerSum:
    return PowerSum(np.ones_like(a), a, np.full(a.shape, float(a.shape[-1])), b)


def scipy_fit(
    x: np.ndarray, sd: np.ndarray, y: np.ndarray, prior: Prior, shift: np.ndarray
) -> tuple[float, float, float]:
    """(a, b, cost) of one problem."""
    centre = prior.centre + shift

    def residuals(theta: np.ndarray) -> np.ndarray:
        a, b = np.exp(theta[:2])
        return np.append((y - (x + a) ** -b - theta[2]) / sd, (theta[:2] - centre) / prior.spread)

    found = least_squares(residuals, [*centre, float(y.mean())], x_scale="jac")
    return float(np.exp(found.x[0])), float(np.exp(found.x[1])), 2 * float(found.cost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--reference-fits", type=int, default=200)
    parser.add_argument("--reference-solves", type=int, default=10)
    options = parser.parse_args()
    prior, rng = Prior(), np.random.default_rng(1)
    print(f"{'domains':>7}  {'ours':>8}  {'limit':>6}  {'scipy+cvxpy (scaled)':>20}  {'ratio':>7}  {'worse fits':>10}")
    for domains, limit in LIMITS.items():
        x, sd, y = sweep(domains, options.replicates)
        shift = prior.spread * rng.standard_normal((options.replicates, domains, 2))
        start = time.perf_counter()
        ours(x, sd, y, prior, shift)
        seconds = time.perf_counter() - start

        fit = fit_power(x, y, sd, prior, shift)
        pairs = [
            (int(rng.integers(options.replicates)), int(rng.integers(domains))) for _ in range(options.reference_fits)
        ]
        start = time.perf_counter()
        found = [scipy_fit(x[k], sd[k], y[b, k], prior, shift[b, k]) for b, k in pairs]
        per_fit = (time.perf_counter() - start) / len(pairs)
        # Both minimise the same cost: how often is ours above the reference's?
        worse = 0
        for (b, k), (_, _, cost) in zip(pairs, found, strict=True):
            theta = np.log([fit.a[b, k], fit.b[b, k]])
            pull = ((theta - prior.centre - shift[b, k]) / prior.spread) ** 2
            worse += float(fit.residual[b, k] + pull.sum()) > cost * (1 + 1e-6) + 1e-6
        bounds = Bounds.free([str(i) for i in range(domains)])
        start = time.perf_counter()
        for b in range(options.reference_solves):
            solve_simplex(problem(fit.a[b], fit.b[b]), bounds, convex_programme)
        per_solve = (time.perf_counter() - start) / options.reference_solves
        reference = options.replicates * (domains * per_fit + per_solve)
        print(
            f"{domains:>7}  {seconds:>6.2f} s  {limit:>4.0f} s  {reference:>18.1f} s  {reference / seconds:>6.0f}x"
            f"  {worse:>4} / {len(pairs)}"
        )


if __name__ == "__main__":
    main()
