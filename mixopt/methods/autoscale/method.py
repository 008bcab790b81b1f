"""`mixopt autoscale`: its options, and the searcher that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mixopt.errors import ConfigError
from mixopt.fields import Count, Counts
from mixopt.methods.autoscale.evidence import AutoScaleEvidence
from mixopt.methods.ddo.method import DesignSettings
from mixopt.methods.method import Method, option
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.display.figure import Figure
    from mixopt.display.table import Table
    from mixopt.methods.autoscale.searcher import AutoScale
    from mixopt.methods.base import Recommendation
    from mixopt.methods.ddo.design import Design
    from mixopt.methods.problem import Problem

# Default scales: `training.tokens`, and a quarter of it, the ratio of the paper's own pair (0.3B and 1.2B). The
# smaller one adds a quarter to the cost.
_RATIO = 4


class AutoscaleOptions(DesignSettings):
    """Options of AutoScale (see `mixopt.methods.autoscale`)."""

    name: str = "autoscale"
    reference: str = option("Base mixture: uniform, natural or FILE.", "uniform", mixture=True, trains=True)
    target_tokens: Count | None = option(
        "Tokens that the mixture is for, such as 10B.", flag="--target --target-tokens", shown=True
    )
    scales: Counts | None = option(
        "Tokens of the base run at each scale, such as 200k,800k [tokens/4 and tokens].",
        shown=True,
        example="[200k, 800k]",
        trains=True,
    )
    predictor: Literal["auto", "geometric", "joint"] = option(
        "geometric, joint, or auto (the better one on what it has not seen).", "auto", shown=True
    )
    match_epochs: bool = option("Let proxies repeat each domain as often as the target will.", False, trains=True)


class AutoscaleMethod(Method[AutoscaleOptions]):
    """AutoScale (Kang et al. 2024): DDO at two or more scales, carried on to the target."""

    name = command = "autoscale"
    summary = "DDO at scales that can be afforded, carried on to the target"
    Settings = AutoscaleOptions
    Evidence = AutoScaleEvidence

    def searcher(self, problem: Problem, settings: AutoscaleOptions) -> AutoScale:
        """DDO at each scale, or at those that a table has, for the target."""
        from mixopt.methods.autoscale.searcher import AutoScale
        from mixopt.methods.ddo.analysis import check_resolution
        from mixopt.methods.ddo.searcher import DdoSettings

        target = settings.target_tokens
        if target is None:
            raise ConfigError(
                "autoscale: expected the tokens that the mixture is for, such as --target 10B; found none"
            )
        if settings.match_epochs and problem.unique_tokens:
            raise ConfigError(
                "match-epochs: data.unique_tokens limits the distinct tokens of proxies already; leave one of them out"
            )
        designs = self._designs(problem, settings)
        asked = DdoSettings(
            factors=settings.factors,
            perturb=settings.perturb,
            objective=problem.objective(settings.objective),
            seeds=None if problem.history is not None else settings.search_seeds,
            preset=settings.preset,
            floor=settings.floor,
            supply=problem.supply(target),
        )
        named = {} if problem.history is not None else {"reference": designs[0].reference}
        searcher = AutoScale(
            designs,
            target,
            asked,
            predictor=settings.predictor,
            baselines={**named, **problem.given()},
            match_epochs=settings.match_epochs,
        )
        _check_matched(problem, searcher)
        for design in designs:
            check_resolution(problem, design, settings.preset)
        return searcher

    def _designs(self, problem: Problem, settings: AutoscaleOptions) -> list[Design]:
        from mixopt.methods.ddo.design import Design, find_designs

        if problem.history is not None:
            found = find_designs(problem.history)
            if len(found) < 2:
                raise ConfigError(
                    "history: autoscale needs DDO's runs at two scales or more, found those around one base run of "
                    f"{format_count(found[0].tokens)} tokens; a scale without its base, or without any run of some "
                    "domain, is not recognised"
                )
            return found
        reference = problem.mixture(settings.reference)
        wanted = settings.scales or (problem.tokens // _RATIO, problem.tokens)
        scales = [problem.training.size(None, tokens).tokens if problem.training else tokens for tokens in wanted]
        # First, as it says more than the bounds would about a data set that is too small.
        for tokens in scales:
            problem.check(reference, tokens, f"base at {format_count(tokens)}")
        return [Design(reference, tokens, settings.factors, settings.perturb) for tokens in scales]

    def figures(self, answer: Recommendation) -> list[Figure]:
        """How the optimum moves with scale, and how far the joint law is from each run."""
        from mixopt.methods.autoscale.evidence import scaling_figure
        from mixopt.methods.joint.evidence import law_figure

        found = answer.evidence
        if not isinstance(found, AutoScaleEvidence):
            return []
        law = [law_figure(answer, found.joint, {})] if found.joint else []
        return [scaling_figure(answer, found), *law]

    def tables(self, answer: Recommendation) -> list[Table]:
        """The predictors, the scales, the hold-out check, and the joint law."""
        from mixopt.methods.autoscale.evidence import scaling_tables
        from mixopt.methods.joint.evidence import law_tables

        found = answer.evidence
        if not isinstance(found, AutoScaleEvidence):
            return []
        return [*scaling_tables(answer, found), *(law_tables(found.joint) if found.joint else [])]


def _check_matched(problem: Problem, searcher: AutoScale) -> None:
    """Distinct tokens that match the target's epochs must be a sequence at least."""
    for ddo in searcher.ddos:
        tokens = ddo.design.tokens
        for domain, limit in zip(searcher.domains, searcher.unique_tokens(tokens) or (), strict=False):
            if limit is not None and limit <= problem.sequence_length:
                raise ConfigError(
                    f"match-epochs: at {format_count(tokens)} tokens {domain!r} would have {limit} distinct "
                    f"tokens, and a sequence needs {problem.sequence_length + 1}: use larger --scales or a smaller "
                    "--target"
                )


AUTOSCALE = AutoscaleMethod()
