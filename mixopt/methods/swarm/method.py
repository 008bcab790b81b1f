"""One-shot searches: a law's own (`--method regmix`), the best of all laws (`auto`), random search and the grid."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from mixopt.errors import ConfigError
from mixopt.fields import Numbers, Pair
from mixopt.methods.method import Method, RepeatedSettings, option
from mixopt.methods.swarm.evidence import SwarmEvidence

if TYPE_CHECKING:
    from mixopt.display.figure import Figure
    from mixopt.display.table import Table
    from mixopt.methods.adso.scales import Scale
    from mixopt.methods.base import Recommendation, Searcher
    from mixopt.methods.problem import Problem
    from mixopt.methods.simplex.designs import DesignSettings
    from mixopt.methods.swarm.searcher import OneShotSettings

# Four runs a domain, as the log-linear law needs on RegMix's tables (64 runs of 17 domains); no fewer than these.
_RUNS_A_DOMAIN, _LEAST_RUNS = 4, 16


class OneShotOptions(RepeatedSettings):
    """Options of every one-shot search (see `mixopt.methods.swarm.searcher.OneShotSettings`)."""

    name: str = "auto"
    floor: float | str | None = option("Least weight of a domain: 0.02, or 0.2x of uniform [0].")
    kl: float = option("Pull towards the natural mixture, in spreads of the objective; Olmix: 0.05.", 0.0, ge=0)
    pareto: Pair | None = option("Two objectives to trade off, such as mean_loss,worst.", example="[mean_loss, worst]")
    confirm: int = option(
        "Best predictions to run at the target, one by one; the best measured is the answer.",
        0,
        trains=True,
        ge=0,
        le=10_000,
    )


class SwarmOptions(OneShotOptions):
    """Options of searches that train a swarm (see `mixopt.methods.simplex.designs`)."""

    runs: int | None = option(
        "Mixtures to train [four a domain, 16 or more].", shown=True, ge=1, le=100_000, trains=True
    )
    design: Literal["dirichlet", "two-level", "sobol", "lattice"] | None = option(
        "dirichlet, two-level, sobol or lattice [dirichlet; two-level with groups].", trains=True
    )
    strengths: Numbers = option(
        "Least and greatest sum of Dirichlet parameters: mixtures of a few domains to near natural ones.",
        (0.1, 5.0),
        example="[0.1, 5]",
        trains=True,
    )
    temperature: float = option(
        "Power of the natural shares around which mixtures are drawn; 0: uniform.", 0.5, ge=0, le=1, trains=True
    )
    groups: dict[str, tuple[str, ...]] | None = option(
        "For two-level: the domains of each source.", example="{SOURCE: [DOMAIN, DOMAIN]}", trains=True
    )
    extend: str | None = option(
        "A finished study whose mixture is kept, while new domains are added.", shown=True, trains=True
    )


class RandomOptions(SwarmOptions):
    """Options of random search."""

    name: str = "random"
    regressor: str | None = option("A law that chooses, such as loglinear or auto [the best measured].", shown=True)


class GridOptions(OneShotOptions):
    """Options of the grid."""

    name: str = "grid"
    step: float | None = option("Step of the weights, such as 0.1: every mixture of them.", shown=True, trains=True)
    runs: int | None = option(
        "The finest lattice of at most so many mixtures [four a domain].",
        flag="--count",
        shown=True,
        ge=1,
        le=100_000,
        trains=True,
    )
    regressor: str | None = option("A law that chooses, such as loglinear or auto [the best measured].", shown=True)


class _OneShotMethod(Method[OneShotOptions]):
    """A swarm or a lattice, and a law or none."""

    Evidence = SwarmEvidence

    def law(self, settings: OneShotOptions) -> str | None:
        """The law that chooses; None for the best measured mixture."""
        return getattr(settings, "regressor", None)

    def design(self, settings: OneShotOptions, domains: int) -> DesignSettings:
        """The mixtures to train, of so many weights."""
        raise NotImplementedError

    def searcher(self, problem: Problem, settings: OneShotOptions) -> Searcher:
        """The search of the simplex, or of what extends a finished study."""
        from mixopt.methods.swarm.runs import check_duplicates
        from mixopt.methods.swarm.searcher import OneShot
        from mixopt.mixture import Mixture

        if problem.history is not None:
            check_duplicates(problem.history)
        if settings.kl > 0 and problem.natural is None:
            raise ConfigError(
                "--natural is missing: --kl pulls towards the natural mixture, which a table does not tell"
            )
        extend = getattr(settings, "extend", None)
        if extend:
            from mixopt.methods.swarm.extension import extension

            _, target = _scales(problem, settings.target_tokens, measured=False)
            return extension(problem, extend, partial(self._asked, problem, settings), settings.floor, target)
        uniform = Mixture.uniform(problem.domains)
        natural = problem.natural or uniform
        # First, as it says more than the bounds would about a data set that is too small.
        problem.check(natural, problem.tokens, "natural")
        asked = self._asked(problem, settings, len(problem.domains))
        own, target = _scales(problem, settings.target_tokens, asked.regressors is None)
        baselines = {**problem.given(), "uniform": uniform}
        return OneShot(natural, own.tokens, asked, baselines, None, problem.candidates, model=own.model, target=target)

    def figures(self, answer: Recommendation) -> list[Figure]:
        """The law on mixtures left out, and the front of two objectives."""
        from mixopt.methods.swarm.evidence import evidence_figure, pareto_figure

        found = answer.evidence
        if not isinstance(found, SwarmEvidence):
            return []
        law = [evidence_figure(answer, found.swarm, found.law)] if found.law else []
        return [*law, *([pareto_figure(found.pareto)] if found.pareto else [])]

    def tables(self, answer: Recommendation) -> list[Table]:
        """The front, the laws that were tried, and the swarm."""
        from mixopt.methods.swarm.evidence import evidence_tables, front_table, swarm_table

        found = answer.evidence
        if not isinstance(found, SwarmEvidence):
            return []
        front = [front_table(found.pareto)] if found.pareto else []
        return [*front, *(evidence_tables(found.law) if found.law else []), swarm_table(answer, found)]

    def _asked(self, problem: Problem, settings: OneShotOptions, domains: int) -> OneShotSettings:
        """Settings of the search over so many weights."""
        from mixopt.methods.swarm.fit import regressors_of
        from mixopt.methods.swarm.searcher import OneShotSettings

        law, training = self.law(settings), problem.training
        return OneShotSettings(
            design=self.design(settings, domains),
            regressors=None if law is None else regressors_of(law),
            objective=problem.objective(settings.objective),
            seeds=settings.search_seeds,
            floor=settings.floor or 0.0,
            run_supply=problem.run_supply(),
            supply=problem.supply(settings.target_tokens),
            kl=settings.kl,
            pareto=problem.pair(settings.pareto),
            confirm=settings.confirm,
            seen=None if training is None else lambda row: training.seen(row, problem.tokens),
        )


def _scales(problem: Problem, target_tokens: int | None, measured: bool) -> tuple[Scale, Scale]:
    """Where the swarm is run, and where mixtures are confirmed: both at the target for the best `measured` one."""
    from mixopt.methods.adso.scales import Scale

    training = problem.training
    if training is not None:
        unit, target = (training.size(None, tokens) for tokens in (problem.tokens, target_tokens or problem.tokens))
        own = Scale(None, unit.parameters, problem.tokens, 1.0)
        return own, Scale(None, target.parameters, target.tokens, target.flops / unit.flops)
    if problem.candidates is None or not problem.sizes:
        own = Scale(None, 0, problem.tokens, 1.0)
        return own, own
    target = problem.sizes[-1]
    there = [
        Scale(size.model, size.parameters, size.tokens, size.flops / target.flops)
        for size in ((target if measured else problem.sizes[0]), target)
    ]
    return there[0], there[1]


class SwarmMethod(_OneShotMethod):
    """A Dirichlet swarm, and the optimum of a law."""

    Settings = SwarmOptions

    def __init__(self, name: str, summary: str) -> None:
        """A method that is called as its law is; `auto` for the best of all laws."""
        self.name, self.summary = name, summary

    def law(self, settings: OneShotOptions) -> str | None:
        """The law of its name."""
        return self.name

    def design(self, settings: OneShotOptions, domains: int) -> DesignSettings:
        """The swarm."""
        from mixopt.methods.simplex.designs import DesignSettings

        assert isinstance(settings, SwarmOptions)
        return DesignSettings(
            kind=settings.design or ("two-level" if settings.groups else "dirichlet"),
            runs=settings.runs or max(_LEAST_RUNS, _RUNS_A_DOMAIN * domains),
            strengths=settings.strengths,
            temperature=settings.temperature,
            groups=settings.groups or {},
        )


class RandomMethod(SwarmMethod):
    """A swarm, and the best measured mixture."""

    Settings = RandomOptions

    def law(self, settings: OneShotOptions) -> str | None:
        """The law that was asked for, else none."""
        return getattr(settings, "regressor", None)


class GridMethod(_OneShotMethod):
    """Every mixture of a lattice."""

    name = command = "grid"
    summary = "every mixture of a lattice"
    Settings = GridOptions

    def design(self, settings: OneShotOptions, domains: int) -> DesignSettings:
        """The lattice."""
        from mixopt.methods.simplex.designs import DesignSettings

        assert isinstance(settings, GridOptions)
        if settings.step is not None and settings.runs is not None:
            raise ConfigError("grid: a step says how many mixtures there are; leave --step or --count out")
        runs = settings.runs or max(_LEAST_RUNS, _RUNS_A_DOMAIN * domains)
        return DesignSettings(kind="lattice", runs=runs, step=settings.step)


AUTO = SwarmMethod("auto", "a swarm, and the law that predicts left-out runs best")
RANDOM = RandomMethod("random", "a swarm, and the best measured mixture")
GRID = GridMethod()
