"""AutoScale's law of one domain's tokens, fitted for many domains and replicates in one batched call.

    y = (x + a)^(−b) + c          (Kang et al. 2024, Eq. 2)

Symbols: K problems (domains), P points each, B replicates. x is the domain's tokens in multiples of its tokens in
the base run, y the objective in multiples of the base run's. The form has no amplitude, so its fit depends on these
units: x = 1, y = 1 at the base is the normalisation of the published notebook, and the one used throughout.

c is solved inside, (log a, log b) by `mixopt.laws.batched_fit` from the best points of a grid. float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixopt.arrays import Floats, Indices
from mixopt.laws.batched_fit import Dense, Rows, fit_rows

# Bounds a > 0 and b > 0, in practice: b at its lower end is a domain whose tokens change nothing.
LOG_A = (np.log(1e-4), np.log(1e3))
LOG_B = (np.log(1e-4), np.log(50.0))

# The cost has more than one minimum: each problem starts at the best point of the grid in each band of b.
_GRID_A = np.log(np.geomspace(0.02, 30.0, 12))
_GRID_B = np.log([[0.01, 0.04, 0.12], [0.25, 0.45, 0.7], [1.0, 1.5, 2.2], [3.0, 4.5, 7.0]])
_ITERATIONS = 100


@dataclass(frozen=True)
class Prior:
    """Independent log-normal priors on a and b: log a ~ N(log a_median, a_log_sd²), b alike.

    Three points hardly determine (a, b) together: a family of laws fits them alike, and the prior picks one. The
    defaults are weak (95 % of b in 0.56 to 4.0, of a in 0.2 to 4.8) and lean to the published fit of perplexity
    (b of 1.2 to 2.0, a of 2.5 to 6.6). They were chosen by simulation: over noise of 0.05 to 0.5 % on AutoScale's
    published table, and on the same effects shrunk five-fold, the optimum was on average at total variation 0.05
    from the truth, against 0.07 with no prior.
    """

    a_median: float = 1.0
    a_log_sd: float = 0.8
    b_median: float = 1.5
    b_log_sd: float = 0.5

    @property
    def centre(self) -> Floats:
        """(2,) medians of (log a, log b)."""
        return np.log([self.a_median, self.b_median])

    @property
    def spread(self) -> Floats:
        """(2,) standard deviations of (log a, log b)."""
        return np.array([self.a_log_sd, self.b_log_sd])


@dataclass(frozen=True, eq=False)
class PowerFit:
    """Fitted laws, arrays of one shape (…, K)."""

    a: Floats  # offset, multiples of the domain's base amount
    b: Floats  # exponent
    c: Floats  # floor, multiples of the base objective
    residual: Floats  # weighted sum of squared residuals, Σ (y − fit)² / sd²; the prior's part left out

    def curve(self, x: Floats) -> Floats:
        """y at amounts x, which broadcasts against (…, K)."""
        return (x + self.a) ** -self.b + self.c

    def take(self, *index: Indices | int | slice) -> PowerFit:
        """Some of the laws."""
        return PowerFit(self.a[index], self.b[index], self.c[index], self.residual[index])


def fit_power(
    x: Floats,
    y: Floats,
    sd: Floats,
    prior: Prior | None = None,
    prior_shift: Floats | None = None,
    start: Floats | None = None,
) -> PowerFit:
    """Least squares, or maximum a posteriori with a prior, for every problem at once.

    Minimises Σ_p (y_p − (x_p + a)^(−b) − c)² / sd_p² + Σ ((log θ − centre − shift) / spread)² over θ = (a, b)
    and c.

    Args:
        x: (K, P) amounts, above 0.
        y: (B, K, P) or (K, P).
        sd: (K, P) standard deviations of y; infinite for a point that is not there (lines of unequal length).
        prior: None for plain least squares.
        prior_shift: (B, K, 2) moves the prior's centre in each replicate (see `mixopt.methods.ddo.fit.resample`).
        start: (K, 2) or (B, K, 2) start values of (log a, log b), for replicates that should stay on their law's
            branch; None to start each at the best of a grid.

    Returns:
        Arrays (B, K), or (K,) for y of (K, P).
    """
    single = y.ndim == 2
    y = y[None] if single else y
    count, problems, points = y.shape
    precision = np.broadcast_to(1 / sd**2, (problems, points))
    centre = np.zeros((count, problems, 2)) if prior is None else np.broadcast_to(prior.centre, (count, problems, 2))
    if prior is not None and prior_shift is not None:
        centre = centre + prior_shift
    weight = np.zeros(2) if prior is None else prior.spread**-2.0
    if start is None:
        starts = _grid_starts(x, y, precision, centre, weight)
    else:
        starts = np.broadcast_to(start, (1, count, problems, 2))

    def flat(array: Floats, last: int) -> Floats:
        return np.broadcast_to(array, (count, problems, last)).reshape(-1, last)

    rows = Rows(
        y=flat(y, points),
        precision=flat(precision, points),
        centre=flat(centre, 2),
        root=np.diag(weight),
        low=np.array([LOG_A[0], LOG_B[0]]),
        high=np.array([LOG_A[1], LOG_B[1]]),
        tolerance=1e-9,
    )
    fit = fit_rows(_Curves(flat(x, points)), rows, starts.reshape(len(starts), -1, 2), _ITERATIONS)
    a, b = np.exp(fit.theta).T
    residual = (rows.precision * fit.residual**2).sum(axis=1)
    shape = (problems,) if single else (count, problems)
    return PowerFit(*(part.reshape(shape) for part in (a, b, fit.floor, residual)))


def exact_branches(x: Floats, y: Floats, sd: Floats) -> list[PowerFit]:
    """Least-squares laws by ascending b, where several fit equally well.

    Three points and three parameters often have two exact solutions, one with b near 0.1 and one above 1: the data
    cannot tell them apart, though they differ little between the points.

    Args:
        x: (K, P) amounts.
        y: (K, P).
        sd: (K, P), as in `fit_power`.

    Returns:
        Two fits with arrays (K,): the least-squares law of smallest b and that of largest b. They are the same for
        a domain whose law is unique.
    """
    starts = np.stack(np.meshgrid(_GRID_A[::2], _GRID_B, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    count = starts.shape[0]
    start = np.broadcast_to(starts, (count, x.shape[0], 2))
    fits = fit_power(x, np.broadcast_to(y, (count, *y.shape)), sd, start=start)
    present = np.isfinite(sd)
    mean = np.where(present, y, 0).sum(axis=1) / present.sum(axis=1)
    total = (np.where(present, y - mean[:, None], 0) ** 2 / sd**2).sum(axis=1)
    best = fits.residual.min(axis=0)
    tied = fits.residual <= best * (1 + 1e-6) + 1e-10 * total
    domains = np.arange(x.shape[0])
    low = np.where(tied, fits.b, np.inf).argmin(axis=0)
    high = np.where(tied, fits.b, -np.inf).argmax(axis=0)
    return [fits.take(low, domains), fits.take(high, domains)]


@dataclass(frozen=True, eq=False)
class _Curves:
    """(x + a)^(−b) at amounts (N, P), by (log a, log b); see `mixopt.laws.batched_fit.Curves`."""

    x: Floats

    def some(self, rows: Indices) -> _Curves:
        return _Curves(self.x[rows])

    def curve(self, theta: Floats) -> Floats:
        a, b = np.exp(theta).T[..., None]
        return (self.x + a) ** -b

    def jacobian(self, theta: Floats, curve: Floats) -> Dense:
        a, b = np.exp(theta).T[..., None]
        shifted, slope = self.x + a, -b * curve
        return Dense(np.stack([slope * a / shifted, slope * np.log(shifted)], axis=2))


def _grid_starts(x: Floats, y: Floats, precision: Floats, centre: Floats, weight: Floats) -> Floats:
    """(S, B, K, 2) the best of a grid over (log a, log b) in each of S bands of b, with c solved at each point."""
    grid = np.stack(np.meshgrid(_GRID_A, _GRID_B, indexing="ij"), axis=-1).reshape(-1, 2)  # (G, 2)
    a, b = np.exp(grid).T
    total = precision.sum(axis=1)
    curves = (x + a[:, None, None]) ** -b[:, None, None]  # (G, K, P)
    curves = curves - ((precision * curves).sum(axis=2) / total)[..., None]
    rest = y - ((precision * y).sum(axis=2) / total)[..., None]
    # Σ p (rest − curve)² without the term that is the same everywhere.
    cost = (precision * curves**2).sum(axis=2) - 2 * np.einsum("gkp,bkp->bgk", precision * curves, rest)
    for axis in range(2):
        cost += weight[axis] * (grid[:, axis, None] - centre[:, None, :, axis]) ** 2
    bands = np.split(np.arange(grid.shape[0]).reshape(_GRID_A.size, *_GRID_B.shape), len(_GRID_B), axis=1)
    return np.stack([grid[band.ravel()][cost[:, band.ravel()].argmin(axis=1)] for band in bands])
