"""`mixopt doremi`: its options, and the searcher that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.errors import ConfigError
from mixopt.methods.method import Method
from mixopt.methods.settings import RepeatedSettings, option

if TYPE_CHECKING:
    from mixopt.methods.base import Searcher
    from mixopt.methods.problem import Problem


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
        "Rate of the domain weights; 0.1 where they collapse to one domain.",
        1.0,
        shown=True,
        gt=0,
        trains=True,
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

    def searcher(self, problem: Problem, settings: DoremiOptions) -> Searcher:
        """The rounds."""
        raise ConfigError("doremi: not yet a searcher")


DOREMI = DoremiMethod()
