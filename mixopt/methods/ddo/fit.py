"""DDO's numbers: laws fitted to lines of runs, the simplex solved, and replicates of both.

Symbols: K domains, C cells (cell 0 is the base), P points a line (the base first), B replicates. Everything is
relative to the base: amounts x in multiples of the domain's base amount, y in multiples of the base's objective.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mixopt.arrays import Bools, Floats, Ints
from mixopt.laws.power import PowerFit, Prior, exact_branches, fit_power
from mixopt.mixture import total_variation
from mixopt.solve import Bounds, PowerSum, Solution, solve_simplex


@dataclass(frozen=True)
class Preset:
    """How laws are fitted."""

    name: str  # `default`, `paper` or `official`
    # on (a, b); None for plain least squares, where of two exact laws that of greater b is taken, as the published fit
    # does
    prior: Prior | None
    # the amount that a reduced run counts as, whatever it was; None for the amount it was
    reduced_as: float | None = None
    balanced: bool = False  # with runs that hold the total, allow for what the other domains lose (see `Lines.balance`)
    # where no floor is given, no domain gets less than the least amount of it that was tested. A law fitted at x1/3 and
    # above says nothing of a domain left out: its own loss then explodes.
    tested_floor: bool = False


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("default", Prior(), balanced=True, tested_floor=True),
        # Kang et al. 2024, section 2.2: three points, least squares.
        Preset("paper", None),
        # The published notebook says x1/3 and computes with x = 1/5.
        Preset("official", None, reduced_as=0.2),
    )
}


@dataclass(frozen=True, eq=False)
class Lines:
    """One line of runs for each domain."""

    cells: Ints  # (K, P) the cell of each point; 0, the base, first
    present: Bools  # (K, P) whether the point was measured
    x: Floats  # (K, P) amounts; 1 where not measured
    share: Floats  # (K,) weights of the base run; u_j = 1 / share_j is x_j for w_j = 1 at the base's total tokens
    stretch: Floats  # (K,) and
    tilt: Floats  # (K,): laws are fitted to 1 + stretch · (y − 1) − tilt · (x − 1); 1 and 0 unless balanced

    def balance(self, effects: Floats) -> Lines:
        """The same lines for runs that hold the total, allowing for what the other domains lose.

        Such a run measures its domain against the others. To first order, with L_j = ∂y/∂w_j and S = Σ_k w_k L_k,
        its line has slope (L_j − S) / (1 − w_j): the sum over domains would count every change 1 / (1 − w_j) times,
        and some lines rise (Σ_j w_j (L_j − S) = 0), which Eq. 2 cannot. So lines are stretched by 1 − w_j, and
        tilted by κ w_j (x − 1), which sums to κ (Σ w − 1) = 0 over any mixture, and so changes no prediction. κ,
        which stands for −S, is the least number with which no line rises at its upper end.
        """
        y = self.measured(effects)
        order = np.where(self.present, self.x, -np.inf).argsort(axis=1)
        (x1, x2), (y1, y2) = (np.take_along_axis(array, order[:, -2:], axis=1).T for array in (self.x, y))
        slope = (1 - self.share) * (y2 - y1) / (x2 - x1)
        kappa = max(0.0, float((slope / self.share).max()))
        return replace(self, stretch=1 - self.share, tilt=kappa * self.share)

    def measured(self, effects: Floats) -> Floats:
        """(…, K, P) from (…, C) objectives relative to the base; 1 where not measured."""
        return np.where(self.present, effects[..., self.cells], 1.0)

    def y(self, effects: Floats) -> Floats:
        """What laws are fitted to: (…, K, P) from (…, C)."""
        stretched = 1 + self.stretch[:, None] * (self.measured(effects) - 1)
        return stretched - self.tilt[:, None] * (self.x - 1)

    def unfold(self, domain: int, x: Floats, y: Floats) -> Floats:
        """The inverse of `y` for one domain: what a run with amount x would measure, from its law's value."""
        return 1 + (y - 1 + self.tilt[domain] * (x - 1)) / self.stretch[domain]

    def sd(self, spread: Floats) -> Floats:
        """(K, P) standard deviations of `y` from (C,); infinite where not measured."""
        return np.where(self.present, self.stretch[:, None] * spread[self.cells], np.inf)

    def problem(self, fit: PowerFit) -> PowerSum:
        """min Σ_j (a_j + u_j w_j)^(−b_j)."""
        return PowerSum(np.ones_like(fit.a), fit.a, 1 / self.share, fit.b)

    def change(self, fit: PowerFit, weights: Floats) -> Floats:
        """Σ_j [f_j(u_j w_j) − f_j(1)], shape (…): predicted change from the base, relative to its objective."""
        return ((weights / self.share + fit.a) ** -fit.b - (1 + fit.a) ** -fit.b).sum(axis=-1)


@dataclass(frozen=True, eq=False)
class Fitted:
    """Point estimate: the laws, the optimum, and the two extremes where the points do not determine the laws."""

    fit: PowerFit  # laws, (K,)
    solution: Solution  # the optimum
    tied: Bools  # (K,) domains with two laws that fit the points exactly
    branch_distance: float  # total variation between the optima under either of them


def fit_lines(lines: Lines, effects: Floats, spread: Floats, preset: Preset, bounds: Bounds) -> Fitted:
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
        branch_distance=float(total_variation(optima[0], optima[1])),
    )


@dataclass(frozen=True, eq=False)
class Replicates:
    """What else the runs could have said."""

    fit: PowerFit  # laws, (B, K)
    weights: Floats  # (B, K) optimum under each
    base: Floats  # (B,) relative objective of the base
    optimism: float  # expected excess of a predicted gain at the optimum, relative to the base's objective, ≥ 0


def resample(
    lines: Lines,
    effects: Floats,
    noise: Floats,
    spread: Floats,
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
        effects: (C,) relative objectives.
        noise: (B, C) draws of their errors.
        spread: (C,) their standard deviations.
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
