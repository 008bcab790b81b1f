"""`mixopt doremi`: its options, and the searcher that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.errors import ConfigError
from mixopt.methods.doremi.evidence import DoremiEvidence
from mixopt.methods.method import Method, RepeatedSettings, option

if TYPE_CHECKING:
    from mixopt.display.figure import Figure
    from mixopt.methods.base import Recommendation, Searcher
    from mixopt.methods.doremi.searcher import Doremi
    from mixopt.methods.problem import Problem

# The authors advise one round from the corpus' own shares, and two or three from uniform ones.
_MOST_ROUNDS = 3


class DoremiOptions(RepeatedSettings):
    """Options of DoReMi (see `mixopt.methods.doremi.rounds.DoremiSettings`)."""

    name: str = "doremi"
    objective: str = option(
        "What --verify compares: mean_ppl, mean_loss, worst, task:NAME, downstream or weighted:FILE.",
        "mean_ppl",
        identity=False,
    )
    reference: str = option(
        "Mixture of the first reference run: natural, uniform or FILE.",
        "natural",
        shown=True,
        mixture=True,
        trains=True,
    )
    sampling: str = option(
        "Mixture that proxies draw: uniform, natural or FILE.", "uniform", shown=True, mixture=True, trains=True
    )
    eta: float = option(
        "Rate of the domain weights; 0.1 where they collapse to one domain.", 1.0, shown=True, gt=0, trains=True
    )
    smoothing: float = option("Share of the uniform distribution in every weight.", 1e-3, ge=0, lt=1, trains=True)
    rounds: int | None = option(
        "Most rounds; they end when no weight changes by 1e-3 [1 from natural, else 3].",
        shown=True,
        ge=1,
        le=100,
        trains=True,
    )


class DoremiMethod(Method[DoremiOptions]):
    """DoReMi (Xie et al. 2023): domain weights of a proxy that is held against a reference."""

    name = command = "doremi"
    summary = "domain weights of a proxy that is held against a reference"
    Settings = DoremiOptions
    Evidence = DoremiEvidence

    def searcher(self, problem: Problem, settings: DoremiOptions) -> Doremi:
        """The rounds; one from the natural mixture and at most three from others, unless the settings say."""
        from mixopt.methods.doremi.rounds import DoremiSettings
        from mixopt.methods.doremi.searcher import Doremi
        from mixopt.mixture import Mixture
        from mixopt.policy.doremi import check_settings

        if problem.training is None or problem.natural is None or problem.available is None:
            raise ConfigError(
                "doremi: expected a study that trains, found a table of runs, which does not hold what proxies did"
            )
        check_settings(settings.eta, settings.smoothing)
        if len(problem.domains) == 1:
            raise ConfigError(
                f"doremi: expected two domains or more to weigh, found {problem.domains[0]!r} alone: nothing to do"
            )
        reference, sampling = problem.mixture(settings.reference), problem.mixture(settings.sampling)
        for name, mixture in (("reference", reference), ("sampling", sampling)):
            missing = [domain for domain, weight in mixture.to_dict().items() if not weight]
            if missing:
                raise ConfigError(
                    f"method.{name}: DoReMi expects a weight above 0 for every domain, found 0 for {missing[0]!r}: "
                    "without any of its text nothing can be said about its excess loss"
                )
        problem.check(reference, problem.tokens, "round 1 reference")
        problem.check(sampling, problem.tokens, "round 1 proxy")
        natural = reference.distance(problem.natural) < 1e-9  # a file may hold it too
        asked = DoremiSettings(
            eta=settings.eta,
            smoothing=settings.smoothing,
            sampling=sampling,
            tokens=problem.tokens,
            batch_sequences=problem.batch_tokens // problem.sequence_length,
            epochs={domain: problem.tokens / tokens for domain, tokens in problem.available.items()},
            max_epochs=problem.max_epochs or float("inf"),
            rounds=settings.rounds or (1 if natural else _MOST_ROUNDS),
        )
        baselines = {"reference": reference, "uniform": Mixture.uniform(problem.domains), "natural": problem.natural}
        return Doremi(reference, asked, settings.search_seeds, baselines)

    def outlook(self, searcher: Searcher) -> list[str]:
        """What follows the first reference runs."""
        from mixopt.methods.doremi.searcher import Doremi

        assert isinstance(searcher, Doremi)
        more = searcher.settings.rounds - 1
        rounds = f"; up to {more} more such rounds may follow, until no weight changes by 1e-3" if more else ""
        return [f"the runs below, then a proxy of their length held against each{rounds}"]

    def figures(self, answer: Recommendation) -> list[Figure]:
        """What the proxies did."""
        from mixopt.methods.doremi.evidence import weights_figure

        return [weights_figure(answer, answer.evidence)] if isinstance(answer.evidence, DoremiEvidence) else []


DOREMI = DoremiMethod()
