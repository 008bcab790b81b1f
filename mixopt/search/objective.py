"""What is minimised: one number from a run's losses by domain. Computed, never stored in their place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Objective(Protocol):
    """A number to minimise, from validation losses.

    Attributes:
        name: as it is written on the command line.
        units: of its values, for tables and axes.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 (documented above)

    @property
    def units(self) -> str: ...  # noqa: D102

    def value(
        self, losses: NDArray[np.float64], domains: Sequence[str], trained: Sequence[str]
    ) -> NDArray[np.float64]:
        """The objective of each run.

        Args:
            losses: (…, V) nats/token.
            domains: V names, in the order of the last axis.
            trained: names of the training domains; the other ones of `domains` are only measured, and count only
                for an objective that names them.

        Returns:
            (…).
        """
        ...


def trained_losses(
    losses: NDArray[np.float64], domains: Sequence[str], trained: Sequence[str]
) -> NDArray[np.float64]:
    """The losses (…, V) of those domains that are trained on; all of them where none is.

    The last is for tables from elsewhere, whose validation sets have names of their own.
    """
    columns = [column for column, domain in enumerate(domains) if domain in trained]
    return losses[..., columns] if columns else losses


@dataclass(frozen=True)
class MeanPerplexity:
    """Arithmetic mean of the domains' perplexities exp(loss): AutoScale's, and the default."""

    name: str = "mean_ppl"
    units: str = "perplexity"

    def value(
        self, losses: NDArray[np.float64], domains: Sequence[str], trained: Sequence[str]
    ) -> NDArray[np.float64]:
        """Mean of exp(loss)."""
        return np.exp(trained_losses(losses, domains, trained)).mean(axis=-1)


@dataclass(frozen=True)
class MeanLoss:
    """Mean of the domains' losses (the logarithm of the geometric mean of perplexities)."""

    name: str = "mean_loss"
    units: str = "nats/token"

    def value(
        self, losses: NDArray[np.float64], domains: Sequence[str], trained: Sequence[str]
    ) -> NDArray[np.float64]:
        """Mean loss."""
        return trained_losses(losses, domains, trained).mean(axis=-1)


@dataclass(frozen=True)
class WorstLoss:
    """Loss of the domain where it is greatest."""

    name: str = "worst"
    units: str = "nats/token"

    def value(
        self, losses: NDArray[np.float64], domains: Sequence[str], trained: Sequence[str]
    ) -> NDArray[np.float64]:
        """Greatest loss."""
        return trained_losses(losses, domains, trained).max(axis=-1)


@dataclass(frozen=True)
class WeightedLoss:
    """Mean loss weighted by domain: Σ_v weight_v · loss_v.

    Attributes:
        weights: a mixture over evaluation domains, trained on or not; those that it does not name count nothing.
        name: `weighted:FILE`.
    """

    weights: Mixture
    name: str = "weighted"
    units: str = "nats/token"

    def value(
        self,
        losses: NDArray[np.float64],
        domains: Sequence[str],
        trained: Sequence[str],  # noqa: ARG002
    ) -> NDArray[np.float64]:
        """Weighted loss.

        Raises:
            ConfigError: the weights name a domain with no loss.
        """
        try:
            return losses @ self.weights.ordered(domains).array
        except ConfigError as error:
            raise ConfigError(f"objective {self.name}: {error}") from error


BUILT_IN: tuple[Objective, ...] = (MeanPerplexity(), MeanLoss(), WorstLoss())


def parse_objective(text: str) -> Objective:
    """The objective named on a command line: `mean_ppl`, `mean_loss`, `worst` or `weighted:FILE`.

    Raises:
        ConfigError: none of these, or no mixture in the file.
    """
    for objective in BUILT_IN:
        if objective.name == text:
            return objective
    kind, _, path = text.partition(":")
    if kind == "weighted" and path:
        return WeightedLoss(Mixture.from_file(path), name=f"weighted:{Path(path).name}")
    names = ", ".join(objective.name for objective in BUILT_IN)
    raise ConfigError(f"objective: expected {names} or weighted:FILE, found {text!r}")


def parse_pair(names: Sequence[str]) -> tuple[Objective, Objective]:
    """Two objectives to trade off, by name.

    Raises:
        ConfigError: other than two, or one twice.
    """
    objectives = [parse_objective(name.strip()) for name in names]
    if len(objectives) != 2 or names[0] == names[1]:
        raise ConfigError(
            f"pareto: expected two different objectives such as mean_loss,worst, found {','.join(names)}"
        )
    return objectives[0], objectives[1]
