"""Mixtures that papers publish, by name, with their source; and mixtures told by other spellings of the domains."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published mixture."""

    name: str  # what the command line calls it
    data: str  # the data set whose domains it names
    source: str  # paper and table, or file, that prints the numbers
    tokenizer: str | None  # the tokenizer whose tokens the shares count, where the source says; None where it does not
    # the numbers as printed, by domain: rounded shares, shares of a part of the domains, or tokens
    amounts: Mapping[str, float]

    @property
    def mixture(self) -> Mixture:
        """The mixture: `amounts` divided by their sum, as printed shares are rounded."""
        return Mixture.normalised(self.amounts)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `weights` are normalised."""
        told = {name: getattr(self, name) for name in ("name", "data", "source", "tokenizer")}
        return {**told, "weights": self.mixture.to_dict()}


@cache
def published() -> dict[str, Published]:
    """All published mixtures by name (`published.yaml`)."""
    content = yaml.safe_load(files("mixopt").joinpath("published.yaml").read_text(encoding="utf-8"))
    return {
        name: Published(name=name, amounts={k: float(v) for k, v in entry.pop("weights").items()}, **entry)
        for name, entry in content.items()
    }


def spelled(mixture: Mixture, domains: Iterable[str], what: str, *, complete: bool = True) -> Mixture:
    """`mixture` with the domains named, and ordered, as in `domains`.

    Names that differ in case, spaces and punctuation alone are the same domain (`Common Crawl`, `common_crawl`,
    `CommonCrawl`), as every trainer's tools rename them; anything else is another domain.

    Args:
        complete: refuse a mixture that leaves a domain out; otherwise such a domain gets 0.

    Raises:
        ConfigError: the domains differ; the message gives the difference both ways.
    """
    names = tuple(domains)
    given = _matched(mixture.to_dict(), names)
    extra = [name for name in given if name not in names]
    missing = [name for name in names if name not in given] if complete else []
    if not (extra or missing):
        return Mixture(names, tuple(given.get(name, 0.0) for name in names))
    parts = []
    if missing:
        parts.append(f"it has no weight for {', '.join(map(repr, missing))}")
    if extra:
        near = {name: difflib.get_close_matches(name, missing or names, n=1, cutoff=0.6) for name in extra}
        told = (f"{name!r} (nearest: {match[0]!r})" if (match := near[name]) else repr(name) for name in extra)
        parts.append(f"the data does not have {', '.join(told)}")
    raise ConfigError(
        f"{what}: its domains are not the data's ({', '.join(names)}): {'; '.join(parts)}; write the weights that "
        "you mean into a YAML file (`domain: weight`) and give that"
    )


def _matched(weights: Mapping[str, float], names: tuple[str, ...]) -> dict[str, float]:
    """Weights under the data's names where exactly one of these is meant; the same name otherwise."""
    by_key: dict[str, list[str]] = {}
    for name in names:
        by_key.setdefault(_key(name), []).append(name)
    claimed = [_key(name) for name in weights]
    found = {}
    for name, weight in weights.items():
        alike = by_key.get(_key(name), [])
        clear = len(alike) == 1 and claimed.count(_key(name)) == 1
        found[alike[0] if name not in names and clear else name] = weight
    return found


def _key(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
