"""`mixopt ddo`: its options, and the searcher that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mixopt.fields import Factors
from mixopt.methods.ddo.evidence import DdoEvidence, JointEvidence
from mixopt.methods.method import Method, RepeatedSettings, option

if TYPE_CHECKING:
    from mixopt.display.figure import Figure
    from mixopt.display.table import Table
    from mixopt.methods.base import Recommendation, Searcher
    from mixopt.methods.problem import Problem


class DesignSettings(RepeatedSettings):
    """Options of methods that perturb each domain (see `mixopt.methods.ddo.searcher.DdoSettings`)."""

    reference: str = option("Base mixture: uniform, natural or FILE.", "uniform", shown=True, mixture=True, trains=True)
    factors: Factors = option(
        "Each domain's tokens are multiplied by these, one run each.", (1 / 3, 3.0), example="[1/3, 3]", trains=True
    )
    perturb: Literal["add", "replace"] = option("add: the total changes; replace: it is held.", "add", trains=True)
    preset: str = option("How laws are fitted: default, paper or official.", "default")
    floor: float | str | None = option(
        "Least weight of a domain: 0.02, or 0.2x of uniform [the least that was tested]."
    )


class DdoOptions(DesignSettings):
    """Options of DDO."""

    fit: Literal["lines", "joint"] = option(
        "lines (a law of each domain's own runs) or joint (laws of all runs at once).", "lines", shown=True
    )


class DdoMethod(Method[DdoOptions]):
    """DDO (Kang et al. 2024, AutoScale, section 3): perturb each domain, fit, solve."""

    name = command = "ddo"
    summary = "perturb each domain, fit a law to each, solve"
    Settings = DdoOptions
    Evidence = DdoEvidence | JointEvidence

    def searcher(self, problem: Problem, settings: DdoOptions) -> Searcher:
        """DDO around the reference mixture, or around the base run that a table has."""
        from mixopt.methods.ddo.analysis import check_resolution
        from mixopt.methods.ddo.design import find_design
        from mixopt.methods.ddo.joint import JointDdo
        from mixopt.methods.ddo.searcher import Ddo, DdoSettings

        if problem.history is not None:
            design = find_design(problem.history)
            reference, tokens, factors, perturb, seeds = (
                design.reference, design.tokens, design.factors, design.perturb, None,
            )  # fmt: skip
        else:
            reference, tokens = problem.mixture(settings.reference), problem.tokens
            factors, perturb, seeds = settings.factors, settings.perturb, settings.search_seeds
        # First, as it says more than the bounds would about a data set that is too small.
        problem.check(reference, tokens, "base")
        asked = DdoSettings(
            factors=factors,
            perturb=perturb,
            objective=problem.objective(settings.objective),
            seeds=seeds,
            preset=settings.preset,
            floor=settings.floor,
            supply=problem.supply(settings.target_tokens),
        )
        kind = JointDdo if settings.fit == "joint" else Ddo
        searcher = kind(reference, tokens, asked, baselines=problem.given())
        check_resolution(problem, searcher.design, settings.preset)
        return searcher

    def figures(self, answer: Recommendation) -> list[Figure]:
        """The law of each domain; of a joint law, how far it is from each run."""
        from mixopt.methods.ddo.evidence import laws_figure
        from mixopt.methods.joint.evidence import law_figure

        found = answer.evidence
        if isinstance(found, JointEvidence):
            lines = laws_figure(answer, found.domains, found.joint.law)
            return [lines, law_figure(answer, found.joint, found.losses)]
        return [laws_figure(answer, found.domains, found.law)] if isinstance(found, DdoEvidence) else []

    def tables(self, answer: Recommendation) -> list[Table]:
        """The laws' parameters."""
        from mixopt.methods.ddo.evidence import laws_table
        from mixopt.methods.joint.evidence import law_tables

        found = answer.evidence
        if isinstance(found, JointEvidence):
            return [laws_table(found.domains), *law_tables(found.joint)]
        return [laws_table(found.domains)] if isinstance(found, DdoEvidence) else []


DDO = DdoMethod()
