"""DDO's numbers: laws fitted to lines of runs, the simplex solved, and replicates of both.

Symbols: K domains, C cells (cell 0 is the base), P points a line (the base first), B replicates. Everything is
relative to the base: amounts x in multiples of the domain's base amount, y in multiples of the base's objective.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.laws.power import PowerFit, Prior, exact_branches, fit_power
from mixopt.solve import Bounds, PowerSum, Solution, solve_simplex

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Preset:
    """How laws are fitted.

    Attributes:
        name: `default`, `paper` or `official`.
        prior: on (a, b); None for plain least squares, where of two exact laws that of greater b is taken, as the
            published fit does.
        reduced_as: the amount that a reduced run counts as, whatever it was; None for the amount it was.
    """

    name: str
    prior: Prior | None
    reduced_as: float | None = None


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("default", Prior()),
        # Kang et al. 2024, section 2.2: three points, least squares.
        Preset("paper", None),
        # The published notebook says x1/3 and computes with x = 1/5.
        Preset("official", None, reduced_as=0.2),
    )
}


@dataclass(frozen=True, eq=False)
class Lines:
    """One line of runs for each domain.

    Attributes:
        cells: (K, P) the cell of each point; 0, the base, first.
        present: (K, P) whether the point was measured.
        x: (K, P) amounts; 1 where not measured.
        scale: (K,) u of the problem: x_j for w_j = 1 at the base's total tokens.
        amplitude: (K,) s of the problem: 1; for runs that hold the total 1 − w_j of the base. There a line also
            measures the others' loss of tokens, so that the sum over domains counts each change 1 / (1 − w_j) times
            to first order.
    """

    cells: NDArray[np.int64]
    present: NDArray[np.bool_]
    x: NDArray[np.float64]
    scale: NDArray[np.float64]
    amplitude: NDArray[np.float64]

    def y(self, effects: NDArray[np.float64]) -> NDArray[np.float64]:
        """(…, K, P) from (…, C) objectives relative to the base; 1 where not measured."""
        return np.where(self.present, effects[..., self.cells], 1.0)

    def sd(self, spread: NDArray[np.float64]) -> NDArray[np.float64]:
        """(K, P) from (C,); infinite where not measured."""
        return np.where(self.present, spread[self.cells], np.inf)

    def problem(self, fit: PowerFit) -> PowerSum:
        """min Σ_j s_j (a_j + u_j w_j)^(−b_j)."""
        return PowerSum(self.amplitude, fit.a, self.scale, fit.b)

    def change(self, fit: PowerFit, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Σ_j s_j [f_j(u_j w_j) − f_j(1)], shape (…): predicted change from the base, relative to its objective."""
        part = (self.scale * weights + fit.a) ** -fit.b - (1 + fit.a) ** -fit.b
        return (self.amplitude * part).sum(axis=-1)


@dataclass(frozen=True, eq=False)
class Fitted:
    """Point estimate: the laws, the optimum, and the two extremes where the points do not determine the laws.

    Attributes:
        fit: laws, (K,).
        solution: the optimum.
        tied: (K,) domains with two laws that fit the points exactly.
        branch_distance: total variation between the optima under either of them.
    """

    fit: PowerFit
    solution: Solution
    tied: NDArray[np.bool_]
    branch_distance: float


def fit_lines(
    lines: Lines, effects: NDArray[np.float64], spread: NDArray[np.float64], preset: Preset, bounds: Bounds
) -> Fitted:
    """Laws and optimum from (C,) relative objectives with (C,) standard deviations."""
    y, sd = lines.y(effects), lines.sd(spread)
    low, high = exact_branches(lines.x, y, sd)
    fit = high if preset.prior is None else fit_power(lines.x, y, sd, preset.prior)
    optima = [solve_simplex(lines.problem(branch), bounds).weights for branch in (low, high)]
    tied = (high.b > 1.05 * low.b) & (lines.present.sum(axis=1) > 2)
    return Fitted(
        fit=fit,
        solution=solve_simplex(lines.problem(fit), bounds),
        tied=tied,
        branch_distance=0.5 * float(np.abs(optima[0] - optima[1]).sum()),
    )


@dataclass(frozen=True, eq=False)
class Replicates:
    """What else the runs could have said.

    Attributes:
        fit: laws, (B, K).
        weights: (B, K) optimum under each.
        base: (B,) relative objective of the base.
        optimism: expected excess of a predicted gain at the optimum, relative to the base's objective, ≥ 0.
    """

    fit: PowerFit
    weights: NDArray[np.float64]
    base: NDArray[np.float64]
    optimism: float


def resample(
    lines: Lines,
    effects: NDArray[np.float64],
    noise: NDArray[np.float64],
    spread: NDArray[np.float64],
    fitted: Fitted,
    preset: Preset,
    bounds: Bounds,
    rng: np.random.Generator,
) -> Replicates:
    """Parametric bootstrap through fit and solve.

    Each replicate adds noise to every measured run (the base's is shared by all lines) and, where there is a prior,
    moves its centre by a draw from it: "randomise, then optimise" (Bardsley et al. 2014), without which a prior
    would narrow the intervals in place of widening them to what the points leave open. Without a prior each
    replicate stays on the branch of its law.

    Choosing the best mixture under noisy laws promises too much. The optimism is estimated as Efron's (2004): what
    each replicate promises for its own optimum, less what the fitted laws say that this optimum is worth, on
    average.

    Args:
        lines: the lines.
        effects: (C,) relative objectives.
        noise: (B, C) draws of their errors.
        spread: (C,) their standard deviations.
        fitted: the point estimate.
        preset: how to fit.
        bounds: floors and caps.
        rng: for the draws from the prior.
    """
    y = lines.y(effects + noise)
    shift, start = None, None
    if preset.prior is None:
        start = np.log(np.stack([fitted.fit.a, fitted.fit.b], axis=-1))
    else:
        shift = preset.prior.spread * rng.standard_normal((*y.shape[:2], 2))
    fit = fit_power(lines.x, y, lines.sd(spread), preset.prior, shift, start)
    weights = solve_simplex(lines.problem(fit), bounds).weights
    gap = lines.change(fitted.fit, weights) - lines.change(fit, weights)
    return Replicates(fit, weights, effects[0] + noise[:, 0], max(0.0, float(gap.mean())))
