"""ADSO and its single-fidelity relatives: their options, and the searcher that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.errors import ConfigError
from mixopt.fields import Counts, Multiple, Names
from mixopt.methods.adso.evidence import AdsoEvidence
from mixopt.methods.method import Method, MethodSettings, option

if TYPE_CHECKING:
    from mixopt.display.table import Table
    from mixopt.methods.adso.scales import Ladder
    from mixopt.methods.base import Recommendation, Searcher
    from mixopt.methods.problem import Problem, Size

# Shares of the target's tokens that are trained for where no scales are given.
_SHARES = (1 / 16, 1 / 4, 1)


class SingleFidelityOptions(MethodSettings):
    """Options of Bayesian optimisation at the target alone (see `mixopt.methods.adso.searcher.AdsoSettings`)."""

    name: str = "single-fidelity"
    budget: Multiple = option("Most to spend, in runs at the target, such as 3x.", 10.0, shown=True, ge=1, trains=True)
    batch: int = option("Runs chosen at once.", 1, shown=True, ge=1, trains=True)
    tolerance: float = option(
        "Stop when no run promises to lower the objective by this share of it; 0: spend the budget.",
        0.0,
        ge=0,
        lt=1,
        trains=True,
    )
    floor: float | str | None = option("Least weight of a domain: 0.02, or 0.2x of uniform [0].")


class TokensOnlyOptions(SingleFidelityOptions):
    """Options of a search over lengths of training of one model."""

    name: str = "tokens-only"
    scales: Counts | None = option(
        "Tokens to train for, such as 200k,800k; the largest is the target's [a 16th, a 4th, all of --tokens].",
        shown=True,
        example="[200k, 800k]",
        trains=True,
    )
    guard: float = option(
        "For so much spent on cheap runs, in target runs, the target is run once.", 0.5, gt=0, trains=True
    )

    def target_scale(self) -> tuple[str | None, int | None]:
        """The largest of the scales."""
        return None, max(self.scales) if self.scales else None


class AdsoOptions(TokensOnlyOptions):
    """Options of ADSO."""

    name: str = "adso"
    sizes: Names | None = option(
        "Models to train, such as gpt2-0.2m,gpt2-0.4m; the largest is the target's [--model].",
        shown=True,
        example="[gpt2-0.2m, gpt2-0.4m]",
        trains=True,
    )

    def target_scale(self) -> tuple[str | None, int | None]:
        """The largest of the sizes and of the scales."""
        from mixopt.presets import model_spec

        # Presets are ordered alike whatever the vocabulary.
        largest = max(self.sizes or (), key=lambda preset: model_spec(preset, 50257).parameters, default=None)
        return largest, super().target_scale()[1]


class SequentialMethod(Method[SingleFidelityOptions]):
    """One run after the other, each chosen for what it tells about the target for its cost."""

    Evidence = AdsoEvidence

    def __init__(self, name: str, summary: str, settings: type[SingleFidelityOptions]) -> None:
        """A method of these options; which scales there are follows from them."""
        self.name, self.summary, self.Settings = name, summary, settings

    def searcher(self, problem: Problem, settings: SingleFidelityOptions) -> Searcher:
        """ADSO over the scales that the settings allow."""
        from mixopt.methods.adso.choice import ChoiceSettings
        from mixopt.methods.adso.searcher import Adso, AdsoSettings
        from mixopt.mixture import Mixture

        natural = problem.natural or Mixture.uniform(problem.domains)
        problem.check(natural, problem.tokens, "natural")
        asked = AdsoSettings(
            budget=settings.budget,
            batch=settings.batch,
            objective=problem.objective(settings.objective),
            choice=ChoiceSettings(guard=getattr(settings, "guard", ChoiceSettings.guard)),
            tolerance=settings.tolerance,
            floor=settings.floor or 0.0,
            # Runs at the target are the longest, so that what they may repeat holds for all.
            supply=problem.run_supply(max(settings.target_tokens or 0, problem.tokens)),
        )
        ladder = self._ladder(problem, settings)
        return Adso(natural, ladder, asked, problem.given(), problem.candidates)

    def outlook(self, searcher: Searcher) -> list[str]:
        """What can be trained at and what that costs."""
        from mixopt.methods.adso.searcher import Adso

        assert isinstance(searcher, Adso)
        target, asked = searcher.ladder.target, searcher.settings
        lines = [
            f"{scale}{' (target)' if scale is target else ''}: costs {scale.cost:.3g} target runs"
            for scale in searcher.ladder.scales
        ]
        return [*lines, f"budget: {asked.budget:g} target runs, {asked.batch} at a time; it begins with"]

    def tables(self, answer: Recommendation) -> list[Table]:
        """The scales."""
        from mixopt.methods.adso.evidence import scales_table

        return [scales_table(answer.evidence)] if isinstance(answer.evidence, AdsoEvidence) else []

    def _ladder(self, problem: Problem, settings: SingleFidelityOptions) -> Ladder:
        """Every size at every length; the largest of both is the target.

        Raises:
            ConfigError: scales that are the same in whole batches, larger than the target, or one only.
        """
        from mixopt.methods.adso.scales import Ladder, Scale

        sizes = self._sizes(problem, settings)
        target = sizes[-1]
        ladder = Ladder(
            tuple(
                Scale(size.model, size.parameters, size.tokens, size.flops / target.flops if size.flops else 1.0)
                for size in sizes
            )
        )
        if isinstance(settings, TokensOnlyOptions) and len(ladder.scales) < 2:
            raise ConfigError(
                f"{self.name}: expected two scales or more, found one ({ladder.target}); give --scales such as "
                "200k,800k, or train at the target alone with --method single-fidelity"
            )
        return ladder

    def _sizes(self, problem: Problem, settings: SingleFidelityOptions) -> list[Size]:
        if problem.training is None:
            target = problem.sizes[-1]
            if not isinstance(settings, TokensOnlyOptions):
                return [target]
            return [
                size
                for size in problem.sizes
                if isinstance(settings, AdsoOptions) or size.parameters == target.parameters
            ]
        target = problem.training.size(None, problem.tokens)
        if not isinstance(settings, TokensOnlyOptions):
            return [target]
        scales = settings.scales or tuple(round(share * problem.tokens) for share in _SHARES)
        models = settings.sizes if isinstance(settings, AdsoOptions) and settings.sizes else (target.model,)
        found = [
            problem.training.size(model, tokens) for model in dict.fromkeys(models) for tokens in dict.fromkeys(scales)
        ]
        own = (target.parameters, target.tokens)
        return sorted(found, key=lambda size: ((size.parameters, size.tokens) == own, size.flops))


ADSO = SequentialMethod("adso", "(mixture, size, tokens) by what a run tells for its cost", AdsoOptions)
TOKENS_ONLY = SequentialMethod("tokens-only", "ADSO over lengths of training of one model", TokensOnlyOptions)
SINGLE_FIDELITY = SequentialMethod(
    "single-fidelity", "Bayesian optimisation at the target alone", SingleFidelityOptions
)
