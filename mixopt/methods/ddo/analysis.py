"""From a history to DDO's numbers for one objective: effects of runs, noise, laws, optimum, replicates.

Symbols as in `mixopt.methods.ddo.fit`; n observations (runs used).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Floats
from mixopt.errors import ConfigError
from mixopt.history import History, RunEffects
from mixopt.methods.base import Noise
from mixopt.methods.ddo.fit import PRESETS, Fitted, Lines, Preset, Replicates, fit_lines, resample
from mixopt.objective import Objective, score_noise
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.methods.ddo.design import Cell, Design
    from mixopt.methods.problem import Problem
    from mixopt.solve import Bounds

# An estimate from repeats that happen to agree is no licence for infinite precision.
LEAST_NOISE = 1e-6


@dataclass(frozen=True, eq=False)
class Sweep:
    """The runs of a design, laid out."""

    design: Design  # the design
    runs: History  # the runs used, n of them
    cells: list[Cell]  # the C cells that were measured; the base first
    layout: RunEffects  # observations to effects of cells
    lines: Lines  # one line a domain
    missing: tuple[str, ...]  # roles of cells without a run
    partly: tuple[str, ...]  # roles of cells that lack a run of some seed that other cells have

    @classmethod
    def of(cls, design: Design, history: History, seeds: Sequence[int] | None, preset: Preset) -> Sweep:
        """Find the design's runs.

        Raises:
            ConfigError: no base, or a domain with too few runs for a law; the message names what is missing.
        """
        found = design.match(history, seeds)
        # By cell and seed: the order of the history must not decide which draw of a replicate falls on which run.
        order = np.lexsort((history.seeds, found))
        order = order[found[order] >= 0]
        runs, filled = history.select(order), found[order]
        wanted = design.cells
        measured = np.unique(filled)
        cells = [wanted[i] for i in measured]
        index = np.searchsorted(measured, filled)
        missing = tuple(str(cell.role) for i, cell in enumerate(wanted) if i not in measured)
        _require_enough(design, missing, preset)
        count = np.unique(runs.seeds).size
        partly = tuple(str(cell.role) for i, cell in enumerate(cells) if (index == i).sum() < count)
        amounts = np.stack([runs.tokens_seen[index == i].mean(axis=0) for i in range(len(cells))])  # (C, K)
        lines = _lines(design, cells, amounts, preset)
        return cls(design, runs, cells, RunEffects.of(index, runs.seeds, len(cells)), lines, missing, partly)


def _require_enough(design: Design, missing: tuple[str, ...], preset: Preset) -> None:
    asked = f"{design.tokens} tokens, perturb={design.perturb}"
    if "base" in missing:
        shares = ", ".join(f"{d} {w:.3g}" for d, w in design.reference.to_dict().items())
        raise ConfigError(f"ddo: no base run is in the history (expected {asked}, weights {shares})")
    least = 2 if preset.prior is None else 1
    lost: list[str] = []
    for index in range(len(design.reference.domains)):
        roles = [str(cell.role) for cell in design.cells if cell.domain == index]
        gone = [role for role in roles if role in missing]
        if len(roles) - len(gone) < least:
            lost += gone or [f"another factor for {design.reference.domains[index]}"]
    if lost:
        shown = ", ".join(lost[:8]) + (f" and {len(lost) - 8} more" if len(lost) > 8 else "")
        need = "two runs" if least == 2 else "a run"
        raise ConfigError(f"ddo: every domain needs {need} beside the base; missing ({asked}): {shown}")


def _lines(design: Design, cells: list[Cell], amounts: Floats, preset: Preset) -> Lines:
    domains, points = len(design.reference.domains), 1 + len(design.factors)
    index = np.zeros((domains, points), dtype=np.int64)
    present = np.zeros((domains, points), dtype=np.bool_)
    present[:, 0] = True
    for position, cell in enumerate(cells[1:], start=1):
        if cell.domain is not None:
            slot = int(present[cell.domain].sum())
            index[cell.domain, slot], present[cell.domain, slot] = position, True
    x = amounts[index, np.arange(domains)[:, None]] / amounts[0][:, None]
    if preset.reduced_as is not None:
        x = np.where(x < 1 / 1.1, preset.reduced_as, x)
    weights = amounts[0] / amounts[0].sum()
    return Lines(index, present, np.where(present, x, 1.0), weights, np.ones(domains), np.zeros(domains))


@dataclass(frozen=True, eq=False)
class Analysis:
    """DDO under one objective."""

    sweep: Sweep  # the runs
    lines: Lines  # one line a domain, balanced where the preset and the design ask for it
    objective: Objective  # what is minimised
    base: float  # the base's objective, in the objective's units
    effects: Floats  # (C,) objectives relative to the base's
    noise: float  # standard deviation of one run, relative to the base's objective
    measured: int  # degrees of freedom behind `noise`; 0 where it is assumed
    fitted: Fitted  # the point estimate

    @classmethod
    def of(cls, sweep: Sweep, objective: Objective, preset: Preset, bounds: Bounds, assumed_noise: float) -> Analysis:
        """Fit and solve; `assumed_noise`, and that of scores over their items, is used where repeats give none."""
        values = objective.value(sweep.runs.losses, sweep.runs.eval_domains, sweep.runs.domains)
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ConfigError(f"ddo: the objective {objective.name} must be finite and above 0 in every run")
        effects = sweep.layout.operator @ values
        base = float(effects[0])
        estimate = sweep.layout.noise(values / base)
        assumed = float(np.hypot(assumed_noise, score_noise(objective, sweep.runs) / base))
        noise = assumed if estimate is None else max(estimate, LEAST_NOISE)
        relative = effects / base
        held = preset.balanced and sweep.design.perturb == "replace"
        lines = sweep.lines.balance(relative) if held else sweep.lines
        fitted = fit_lines(lines, relative, noise * sweep.layout.spread, preset, bounds)
        freedom = 0 if estimate is None else sweep.layout.freedom
        return cls(sweep, lines, objective, base, relative, noise, freedom, fitted)

    @property
    def run_noise(self) -> Noise:
        """Of one run."""
        return Noise(self.noise, self.measured, "repeats" if self.measured else "assumed")

    @property
    def spread(self) -> Floats:
        """(C,) standard deviations of the effects."""
        return self.noise * self.sweep.layout.spread

    def replicates(self, preset: Preset, bounds: Bounds, count: int, seed: int) -> Replicates:
        """`count` bootstrap replicates; the same for the same seed."""
        rng = np.random.default_rng(seed)
        draws = self.noise * rng.standard_normal((count, self.sweep.layout.operator.shape[1]))
        if self.measured:
            # The noise itself is an estimate: scaled so, draws follow Student's t with its degrees of freedom.
            draws *= np.sqrt(self.measured / rng.chisquare(self.measured, (count, 1)))
        errors = draws @ self.sweep.layout.operator.T
        return resample(self.lines, self.effects, errors, self.spread, self.fitted, preset, bounds, rng)

    def relative(self, weights: Floats) -> float:
        """Predicted objective of a mixture at the base's tokens, relative to the base's: 1 + Σ_j [f_j − f_j(1)]."""
        return 1 + float(self.lines.change(self.fitted.fit, weights))


def check_resolution(problem: Problem, design: Design, preset: str) -> None:
    """Refuse a design whose runs are so short that whole sequences are far from the tokens asked for.

    DDO would not recognise such runs as its own, and could say so only after they are trained. That some are off is
    no obstacle while each domain has runs enough for its law.

    Raises:
        ConfigError: it is such a design.
    """
    if problem.training is None:
        return
    seen = []
    for cell in design.cells:
        size = problem.training.size(None, round(cell.tokens.sum()))
        seen.append(problem.training.seen(cell.tokens / cell.tokens.sum(), size.tokens) * size.tokens)
    try:
        Sweep.of(design, _history(design, np.array(seen)), None, PRESETS[preset])
    except ConfigError:
        sequences = problem.training.size(None, design.tokens).tokens // problem.sequence_length
        domains = len(design.reference.domains)
        raise ConfigError(
            f"runs of {format_count(design.tokens)} tokens are too short: {sequences} sequences of "
            f"{problem.sequence_length} tokens cannot be shared out over {domains} domains near enough to what "
            "DDO asks; use more --tokens (or larger --scales), or smaller training.batch_tokens "
            "and training.sequence_length"
        ) from None


def _history(design: Design, seen: Floats) -> History:
    """Runs that saw these tokens, one seed each, so that none takes another's place."""
    names, domains = tuple(str(cell.role) for cell in design.cells), design.reference.domains
    count = len(names)
    return History(names, domains, domains, seen, np.ones_like(seen), np.arange(count), np.zeros(count, dtype=np.int64))
