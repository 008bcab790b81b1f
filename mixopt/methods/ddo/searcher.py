"""DDO, direct data optimisation: perturb each domain, fit a law of its tokens, minimise their sum on the simplex.

Source: Kang et al. 2024 (AutoScale, v1), section 2.2: Eq. 2 and Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixopt.errors import ConfigError
from mixopt.methods.base import Estimate, Proposal, Recommendation, Searcher, limits
from mixopt.methods.ddo.advice import describe, warn
from mixopt.methods.ddo.analysis import Analysis, Sweep
from mixopt.methods.ddo.design import Cell, Design, Perturb
from mixopt.methods.ddo.fit import PRESETS, Preset, Replicates
from mixopt.methods.intervals import Prediction, forecast, weight_intervals
from mixopt.mixture import Mixture
from mixopt.objective import MeanPerplexity, Objective, other_objectives
from mixopt.solve import Supply, make_bounds

if TYPE_CHECKING:
    from mixopt.arrays import Floats
    from mixopt.history import History


@dataclass(frozen=True, kw_only=True)
class DdoSettings:
    """How DDO perturbs, fits and solves.

    Raises:
        ConfigError: an unknown preset, or a number outside its range.
    """

    factors: tuple[float, ...] = (1 / 3, 3.0)  # multiples of a domain's tokens; more of them give more points a law
    perturb: Perturb = "add"  # `add` (Algorithm 1, the total changes) or `replace` (the total is held)
    objective: Objective = field(default_factory=MeanPerplexity)  # what is minimised
    # initialisations and data orders; two or more measure the noise. None (when reading somebody's table): all that
    # there are.
    seeds: tuple[int, ...] | None = (0,)
    preset: str = "default"  # `default`, `paper` or `official` (see `mixopt.methods.ddo.fit.PRESETS`)
    # least weight of every domain: `0.02`, or `0.2x` of the uniform share; None for the preset's: the least amount
    # tested (`default`), or 0 (`paper`, `official`)
    floor: str | float | None = None
    supply: Supply | None = None  # how much text there is for the target, which caps weights; None for no caps
    # standard deviation of one run's objective, relative, assumed where seeds are not repeated. Measured on small
    # proxies: 0.04 to 0.8 % of the loss, depending on the learning rate.
    noise: float = 0.003
    replicates: int = 1000  # bootstrap replicates behind every interval

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"preset: expected {', '.join(PRESETS)}, found {self.preset!r}")
        if self.preset == "official" and (len(self.factors) != 2 or not min(self.factors) < 1 < max(self.factors)):
            raise ConfigError(f"preset official: expected one factor below 1 and one above, found {self.factors}")
        if self.seeds is not None and (not self.seeds or len(set(self.seeds)) != len(self.seeds)):
            raise ConfigError(f"seeds: expected one or more different numbers, found {list(self.seeds)}")
        if not 0 < self.noise < 1:
            raise ConfigError(f"noise: expected a share above 0 and below 1, found {self.noise}")
        if self.replicates < 100:
            raise ConfigError(f"replicates: a 95 % interval needs 100 or more, found {self.replicates}")


class Ddo(Searcher):
    """A `Searcher`: 2m + 1 runs a seed with the default factors.

    Attributes:
        design: the runs that it asks for.
        settings: the settings.
        baselines: mixtures to compare with, by name: `reference`, `uniform` and those given.
        bounds: floors and caps.
    """

    def __init__(
        self,
        reference: Mixture,
        tokens: int,
        settings: DdoSettings | None = None,
        baselines: Mapping[str, Mixture] | None = None,
    ) -> None:
        """Set up the search.

        Args:
            reference: the base run's mixture, every weight above 0.
            tokens: the base run's tokens.
            settings: None for the defaults.
            baselines: mixtures to predict beside the reference and the uniform one, by name (`natural`).

        Raises:
            ConfigError: settings, bounds or mixtures that do not fit together.
        """
        self.settings = settings or DdoSettings()
        self.design = Design(reference, tokens, self.settings.factors, self.settings.perturb)
        domains = reference.domains
        given = {name: mixture.ordered(domains) for name, mixture in (baselines or {}).items()}
        if "recommended" in given:
            raise ConfigError("baselines: the name `recommended` is taken")
        self.baselines = {"reference": reference, "uniform": Mixture.uniform(domains), **given}
        self._preset: Preset = PRESETS[self.settings.preset]
        self.bounds = make_bounds(domains, self._floor(), self.settings.supply)

    def ask(self, history: History) -> list[Proposal]:
        """The base and the perturbed runs of every seed: the same whatever there is already."""
        return [
            Proposal(mixture=self._asked(cell), tokens=cell.total, seed=seed, role=cell.role)
            for seed in self.settings.seeds or (0,)
            for cell in self.design.cells
        ]

    def recommend(self, history: History) -> Recommendation:
        """The optimum at the base's total tokens, with intervals and warnings.

        Runs that are no part of the design are ignored.

        Raises:
            ConfigError: runs are missing without which there is no law for some domain; the message names them.
        """
        settings, preset = self.settings, self._preset
        sweep = Sweep.of(self.design, history, settings.seeds, preset)
        analysis = Analysis.of(sweep, settings.objective, preset, self.bounds, settings.noise)
        replicates = analysis.replicates(preset, self.bounds, settings.replicates, seed=0)
        mixture = self._mixture(analysis)
        predicted, gains = self._predictions(analysis, replicates, mixture)
        others = {
            objective.name: self._mixture(Analysis.of(sweep, objective, preset, self.bounds, settings.noise)).to_dict()
            for objective in other_objectives(settings.objective, sweep.runs.eval_domains)
        }
        prices = analysis.fitted.solution.bound_multipliers * analysis.base
        return Recommendation(
            method=f"DDO, preset {preset.name}, perturb {self.design.perturb}",
            objective=settings.objective.name,
            tokens=self.design.tokens,
            mixture=mixture,
            intervals=weight_intervals(mixture, replicates.weights),
            predicted=predicted,
            gains=gains,
            multipliers=self.bounds.prices(mixture.array, prices),
            other_objectives=others,
            warnings=warn(analysis, mixture, self.bounds, self.baselines, gains, settings.supply, preset),
            runs=sweep.runs.runs,
            **limits(mixture, self.bounds, settings.supply),
            units=settings.objective.units,
            baselines=self.baselines,
            noise=analysis.run_noise,
            evidence=describe(analysis, replicates, mixture),
        )

    def _asked(self, cell: Cell) -> Mixture:
        """A cell's mixture; the base's is the reference to the last bit, so that others share the run."""
        reference = self.design.reference
        if cell.domain is None:
            return reference
        return Mixture.of_array(reference.domains, cell.tokens)

    def _floor(self) -> str | float | Floats:
        if self.settings.floor is not None:
            return self.settings.floor
        least = min(self.settings.factors)
        return self.design.reference.array * least if self._preset.tested_floor and least < 1 else 0.0

    def _mixture(self, analysis: Analysis) -> Mixture:
        weights = analysis.fitted.solution.weights.tolist()
        return Mixture(self.design.reference.domains, tuple(weights))

    def _predictions(
        self, analysis: Analysis, replicates: Replicates, mixture: Mixture
    ) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
        """Predicted objective by mixture, and relative gain over each baseline; the optimism widens both."""
        base = analysis.base

        def prediction(one: Mixture) -> Prediction:
            draws = replicates.base + analysis.lines.change(replicates.fit, one.array)
            return Prediction(one.array, base * analysis.relative(one.array), base * draws)

        others = {name: prediction(baseline) for name, baseline in self.baselines.items()}
        return forecast(prediction(mixture), others, optimism=base * replicates.optimism)
