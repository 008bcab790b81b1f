"""Mixture: domain names and the share of tokens that each gets."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixopt.arrays import Floats, Ints
from mixopt.errors import ConfigError
from mixopt.files import read_mapping

SUM_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Mixture:
    """Shares of training tokens by domain: finite, non-negative, sum 1 within 1e-9; never normalised silently.

    Raises:
        ConfigError: the values break one of these rules.
    """

    domains: tuple[str, ...]  # K distinct names
    weights: tuple[float, ...]  # K shares

    def __post_init__(self) -> None:
        if not self.domains or len(self.domains) != len(self.weights):
            raise ConfigError(
                f"mixture: expected one weight for each domain, found {len(self.domains)} domains "
                f"and {len(self.weights)} weights"
            )
        if len(set(self.domains)) != len(self.domains):
            twice = sorted({d for d in self.domains if self.domains.count(d) > 1})
            raise ConfigError(f"mixture: domain {twice[0]!r} is named more than once")
        for domain, weight in zip(self.domains, self.weights, strict=True):
            if not math.isfinite(weight) or weight < 0:
                raise ConfigError(f"mixture: the weight of {domain!r} must be a number of at least 0, found {weight}")
        total = math.fsum(self.weights)
        if abs(total - 1) > SUM_TOLERANCE:
            raise ConfigError(
                f"mixture: the weights must sum to 1 (within {SUM_TOLERANCE:g}), found {total:.10g}; "
                "divide them by their sum"
            )

    @classmethod
    def uniform(cls, domains: Iterable[str]) -> Mixture:
        """The same share for every domain."""
        names = tuple(domains)
        return cls(names, (1 / len(names),) * len(names) if names else ())

    @classmethod
    def from_dict(cls, weights: Mapping[str, float]) -> Mixture:
        """A mixture from shares by name, which must already sum to 1."""
        return cls(tuple(weights), tuple(float(w) for w in weights.values()))

    @classmethod
    def normalised(cls, amounts: Mapping[str, float]) -> Mixture:
        """A mixture proportional to `amounts` (token counts, say): the one place that divides by the sum."""
        total = math.fsum(amounts.values())
        if not (math.isfinite(total) and total > 0):
            raise ConfigError(f"mixture: amounts must have a positive, finite sum, found {total}")
        return cls.from_dict({name: float(amount) / total for name, amount in amounts.items()})

    @classmethod
    def of_array(cls, domains: Iterable[str], amounts: Iterable[float]) -> Mixture:
        """A mixture proportional to K `amounts` in the order of `domains`."""
        return cls.normalised(dict(zip(domains, map(float, amounts), strict=True)))

    @classmethod
    def from_file(cls, path: str | Path) -> Mixture:
        """A mixture from YAML or JSON: `{domain: weight}`, alone or under the key `weights`.

        Raises:
            ConfigError: no such file, or no mixture in it.
        """
        content = read_mapping(path, f"mixture file {path}", "`domain: weight` lines")
        if content.get("weights") and isinstance(content["weights"], dict):
            content = content["weights"]
        for name, weight in content.items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)):
                raise ConfigError(f"mixture file {path}: the weight of {name!r} must be a number, found {weight!r}")
        try:
            return cls.from_dict({str(name): weight for name, weight in content.items()})
        except ConfigError as error:
            raise ConfigError(f"mixture file {path}: {error}") from error

    def ordered(self, domains: Iterable[str]) -> Mixture:
        """The same mixture in the order of `domains`; a domain that it does not name gets 0.

        Raises:
            ConfigError: the mixture names a domain that is not in `domains`.
        """
        names = tuple(domains)
        unknown = [d for d in self.domains if d not in names]
        if unknown:
            raise ConfigError(f"mixture: unknown domain {unknown[0]!r}; the data has {', '.join(names)}")
        given = self.to_dict()
        return Mixture(names, tuple(given.get(d, 0.0) for d in names))

    @property
    def array(self) -> Floats:
        """The weights, shape (K,)."""
        return np.array(self.weights, dtype=np.float64)

    def to_dict(self) -> dict[str, float]:
        """Weights by domain."""
        return dict(zip(self.domains, self.weights, strict=True))

    def to_json(self) -> str:
        """One JSON object, exact under a round trip through `from_dict`."""
        return json.dumps(self.to_dict())

    def counts(self, n: int) -> Ints:
        """Split `n` whole items by largest remainder: shape (K,), sum n, each within one of n·w."""
        ideal = self.array * (n / math.fsum(self.weights))
        counts = np.floor(ideal).astype(np.int64)
        short = n - int(counts.sum())
        # Stable order: ties go to the earlier domain, so that the split is deterministic.
        order = np.argsort(-(ideal - counts), kind="stable")
        counts[order[:short]] += 1
        return counts

    def distance(self, other: Mixture) -> float:
        """Total variation distance to `other`, from 0 (same) to 1 (disjoint)."""
        return float(total_variation(self.array, other.ordered(self.domains).array))


def total_variation(one: Floats, other: Floats) -> Floats:
    """(…) distances of weights (…, K), from 0 (same) to 1 (disjoint)."""
    return 0.5 * np.abs(one - other).sum(axis=-1)


def distinct(mixtures: Mapping[str, Mixture], by: float = 5e-4) -> dict[str, Mixture]:
    """Baselines without repeats: of two nearer than `by` in total variation, the one not called `reference` stays.

    The one notion of "the same baseline" of console, page and advice; three decimals of weights tell no two apart.
    """
    kept: dict[str, Mixture] = {}
    for name, mixture in sorted(mixtures.items(), key=lambda item: item[0] == "reference"):
        if all(mixture.distance(other) > by for other in kept.values()):
            kept[name] = mixture
    return kept
